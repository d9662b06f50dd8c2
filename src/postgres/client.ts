import { DefinitionError, StoreError } from '../errors.ts'
import type { Row } from '../sql/columns.ts'
import { toStoreError } from './errors.ts'

/**
 * What the store asks of a driver: to run one statement with values for `$1`, `$2` … and to give its rows as objects. The `Pool` and the `Client` of `pg`, those of
 * `@neondatabase/serverless`, and PGlite have it. But for `transact`, which needs a `Pool` or PGlite, the store sends nothing but single statements and
 * leaves nothing in the session, so it works through any pooler. Values are texts, numbers and `null`.
 *
 * @example
 * ```ts
 * import type { PostgresClient } from 'cqrs-es/postgres'
 *
 * interface PostgresJs { unsafe(text: string, values?: unknown[]): PromiseLike<unknown[]> } // the `postgres` package
 *
 * export const clientOf = (sql: PostgresJs): PostgresClient => ({
 *   query: async (text, values) => ({ rows: await sql.unsafe(text, values) }),
 * })
 * ```
 */
export interface PostgresClient {
  query(text: string, values?: PostgresValue[]): Promise<{ readonly rows: unknown[] }>
}

/** What the store binds to a statement's parameters. */
export type PostgresValue = string | number | null

/** The user's client, and how its failures read. */
export class Connection {
  readonly client: PostgresClient
  readonly #prepared: boolean

  constructor(client: PostgresClient, prepared: boolean) {
    this.client = client
    this.#prepared = prepared
  }

  /** The same on another client. */
  with(client: PostgresClient): Connection {
    return new Connection(client, this.#prepared)
  }

  /** @throws StoreError for whatever the driver throws */
  async all(statement: Statement, ...values: PostgresValue[]): Promise<Row[]> {
    try {
      return await this.send(statement, values)
    } catch (error) {
      throw toStoreError(error)
    }
  }

  async first(statement: Statement, ...values: PostgresValue[]): Promise<Row | undefined> {
    return (await this.all(statement, ...values))[0]
  }

  /** As the driver throws it. */
  async send({ name, text }: Statement, values: PostgresValue[]): Promise<Row[]> {
    const answer = await (this.#prepared && name !== undefined
      ? (this.client as unknown as NamedClient).query({ name, text, values })
      : this.client.query(text, values))
    return rowsOf(answer)
  }
}

/** Neon over HTTP answers with the rows alone, unless told otherwise. */
function rowsOf(answer: { readonly rows: unknown[] } | undefined): Row[] {
  const rows = answer?.rows
  if (Array.isArray(rows)) return rows as Row[]
  throw new StoreError(
    'STORE_FAILED',
    'The query(text, values) of the Postgres client must resolve to an object with "rows". For neon(url), set fullResults: true.',
  )
}

/** A statement; those without a name are not worth keeping prepared. */
export interface Statement {
  readonly name?: string
  readonly text: string
}

/** How `pg` takes a statement that it shall keep prepared. */
interface NamedClient {
  query(statement: { name: string; text: string; values: PostgresValue[] }): Promise<{ readonly rows: unknown[] }>
}

/** @throws DefinitionError that says what is needed */
export function checkClient(client: PostgresClient): void {
  // That of Neon over HTTP is a function.
  if ((typeof client === 'object' || typeof client === 'function') && typeof client?.query === 'function') return
  throw new DefinitionError(
    'postgresStore needs a Pool or Client of pg, or something else with query(text, values); what it got has no method "query".',
  )
}
