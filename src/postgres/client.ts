import { DefinitionError } from '../errors.ts'

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

/** @throws DefinitionError that says what is needed */
export function checkClient(client: PostgresClient): void {
  // That of Neon over HTTP is a function.
  if ((typeof client === 'object' || typeof client === 'function') && typeof client?.query === 'function') return
  throw new DefinitionError(
    'postgresStore needs a Pool or Client of pg, or something else with query(text, values); what it got has no method "query".',
  )
}
