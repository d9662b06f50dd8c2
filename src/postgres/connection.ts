import { StoreError } from '../errors.ts'
import type { Row } from '../sql/columns.ts'
import type { PostgresClient, PostgresValue } from './client.ts'
import { toStoreError } from './errors.ts'

/** Runs statements on the user's client and translates its errors. */
export class Connection {
  readonly client: PostgresClient
  readonly #prepared: boolean

  constructor(client: PostgresClient, prepared: boolean) {
    this.client = client
    this.#prepared = prepared
  }

  /** Returns the same connection on another client. */
  with(client: PostgresClient): Connection {
    return new Connection(client, this.#prepared)
  }

  /** @throws StoreError for any error of the driver */
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

  /** Throws the driver's error as it is. */
  async send({ name, text }: Statement, values: PostgresValue[]): Promise<Row[]> {
    const answer = await (this.#prepared && name !== undefined
      ? (this.client as unknown as NamedClient).query({ name, text, values })
      : this.client.query(text, values))
    return rowsOf(answer)
  }
}

/** Neon over HTTP returns the rows alone, without `fullResults`. */
function rowsOf(answer: { readonly rows: unknown[] } | undefined): Row[] {
  const rows = answer?.rows
  if (Array.isArray(rows)) return rows as Row[]
  throw new StoreError(
    'STORE_FAILED',
    'The query(text, values) of the Postgres client must resolve to an object with "rows". For neon(url), set fullResults: true.',
  )
}

/** A statement. One without a name is never kept prepared. */
export interface Statement {
  readonly name?: string
  readonly text: string
}

/** The form of `query` in `pg` that keeps a statement prepared. */
interface NamedClient {
  query(statement: { name: string; text: string; values: PostgresValue[] }): Promise<{ readonly rows: unknown[] }>
}
