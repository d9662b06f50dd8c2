import { DefinitionError } from '../errors.ts'

/** What the store binds to a statement's parameters. */
export type SqliteValue = string | number | null

/**
 * What the store asks of a driver: the `DatabaseSync` of `node:sqlite` and the `Database` of `better-sqlite3`, `libsql` and
 * `bun:sqlite` all have it.
 *
 * @example
 * ```ts
 * import Database from 'libsql'
 * import type { SqliteDatabase } from 'cqrs-es/sqlite'
 *
 * const db: SqliteDatabase = new Database(':memory:')
 * ```
 */
export interface SqliteDatabase {
  /** Runs a script of one or more statements. */
  exec(sql: string): unknown
  /** Prepares one statement; synchronous. */
  prepare(sql: string): SqliteStatement
}

/** A prepared statement of a `SqliteDatabase`. The store binds a `SqliteValue` to each parameter. */
export interface SqliteStatement {
  // `unknown`: for TypeScript 5.9, statements of libsql and better-sqlite3 take `{}`, which `null` does not fit.
  /** Runs it and gives all rows, as objects by column. */
  all(...values: unknown[]): unknown[]
  /** Runs it. */
  run(...values: unknown[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
}

/** @throws DefinitionError that names what is missing */
export function checkDatabase(db: SqliteDatabase): void {
  const given: Partial<SqliteDatabase> = typeof db === 'object' && db !== null ? db : {}
  for (const method of ['exec', 'prepare'] as const) {
    if (typeof given[method] === 'function') continue
    throw new DefinitionError(
      `sqliteStore needs an open database of node:sqlite, better-sqlite3, libsql or bun:sqlite; what it got has no method "${method}".`,
    )
  }
}

/** @throws DefinitionError when the driver answers with promises or callbacks */
export function checkStatement(statement: SqliteStatement): void {
  if (typeof statement?.all === 'function' && typeof statement.run === 'function') return
  throw new DefinitionError(
    'sqliteStore needs a driver with a synchronous API; the prepare() of this one does not return a statement with all() and run().',
  )
}
