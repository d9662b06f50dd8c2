import { DefinitionError } from '../errors.ts'

/** What the store binds to a statement's parameters; numbers are sent as text. */
export type MysqlValue = string | null

/** A statement, and how the driver shall hand out its rows, whatever the pool's own settings are. */
export interface MysqlStatement {
  sql: string
  rowsAsArray: false
  nestTables: false
  namedPlaceholders: false
  metaAsArray: false
}

/**
 * What the store asks of a pool: those of `mysql2/promise` and of `mariadb` have it.
 *
 * @example
 * ```ts
 * import type { MysqlPool } from 'cqrs-es/mysql'
 * import { createPool } from 'mysql2/promise'
 *
 * const pool: MysqlPool = createPool('mysql://root@localhost/bank')
 * ```
 */
export interface MysqlPool {
  /** Runs one prepared statement on any of its connections. */
  execute(statement: MysqlStatement, values: MysqlValue[]): Promise<unknown>
  /** Hands out a connection of its own. */
  getConnection(): Promise<MysqlConnection>
}

/** A connection of a `MysqlPool`. */
export interface MysqlConnection {
  /** Runs one prepared statement. */
  execute(statement: MysqlStatement, values: MysqlValue[]): Promise<unknown>
  /** Runs one statement without values, as text. */
  query(sql: string): Promise<unknown>
  /** Gives it back to the pool. */
  release(): unknown
  /** Closes it; the pool makes another when it needs one. */
  destroy(): unknown
}

/** @throws DefinitionError that says what is passed instead of a pool */
export function checkPool(pool: MysqlPool): void {
  const given: Partial<Record<'execute' | 'getConnection' | 'promise', unknown>> =
    (typeof pool === 'object' || typeof pool === 'function') && pool !== null ? (pool as object) : {}
  if (typeof given.promise === 'function') {
    throw new DefinitionError(
      'mysqlStore needs a pool that answers with promises: import createPool from mysql2/promise, or pass pool.promise().',
    )
  }
  for (const method of ['execute', 'getConnection'] as const) {
    if (typeof given[method] === 'function') continue
    throw new DefinitionError(
      `mysqlStore needs a pool of mysql2/promise or mariadb (createPool), not a single connection; what it got has no method "${method}".`,
    )
  }
}
