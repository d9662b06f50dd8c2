import { DefinitionError } from '../errors.ts'

/** A value bound to a parameter of a statement. */
export type SqliteValue = string | number | null

/**
 * A SQLite database object of a synchronous driver.
 *
 * The `DatabaseSync` of `node:sqlite` and the `Database` of `better-sqlite3`, `libsql` and
 * `bun:sqlite` fit.
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
  /** Prepares one statement and returns it synchronously. */
  prepare(sql: string): SqliteStatement
}

/**
 * A prepared statement of a `SqliteDatabase`. The store binds a `SqliteValue` to each parameter.
 *
 * Parameters are `unknown`, because the types of better-sqlite3 and libsql leave out `null`.
 */
export interface SqliteStatement {
  /** Runs the statement and returns all rows, as objects by column. */
  all(...values: unknown[]): unknown[]
  /** Runs the statement. */
  run(...values: unknown[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
}

/** @throws DefinitionError that names the missing method */
export function checkDatabase(db: SqliteDatabase): void {
  const given: Partial<SqliteDatabase> = typeof db === 'object' && db !== null ? db : {}
  for (const method of ['exec', 'prepare'] as const) {
    if (typeof given[method] === 'function') continue
    throw new DefinitionError(
      `sqliteStore expects an open database of node:sqlite, better-sqlite3, libsql or bun:sqlite; this value has no method "${method}".`,
    )
  }
}

/** @throws DefinitionError when the driver uses promises or callbacks */
export function checkStatement(statement: SqliteStatement): void {
  if (typeof statement?.all === 'function' && typeof statement.run === 'function') return
  throw new DefinitionError(
    'sqliteStore expects a driver with a synchronous API; prepare() of this one does not return a statement with all() and run().',
  )
}
