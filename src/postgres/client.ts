import { DefinitionError } from '../errors.ts'

/**
 * A Postgres client: it runs one statement with values for `$1`, `$2` … and returns rows as
 * objects.
 *
 * The `Pool` and the `Client` of `pg`, those of `@neondatabase/serverless`, and PGlite fit. The
 * store sends single statements and leaves nothing in the session, so any pooler works. Only
 * `transact` needs a `Pool` or PGlite. Values are strings, numbers and `null`.
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

/** A value bound to a parameter of a statement. */
export type PostgresValue = string | number | null

/** @throws DefinitionError unless the client has a method `query` */
export function checkClient(client: PostgresClient): void {
  // Neon's client over HTTP is a function.
  if ((typeof client === 'object' || typeof client === 'function') && typeof client?.query === 'function') return
  throw new DefinitionError(
    'postgresStore expects a Pool or Client of pg, or another client with query(text, values); this value has no method "query".',
  )
}
