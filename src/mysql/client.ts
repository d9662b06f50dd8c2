import { DefinitionError } from '../errors.ts'

/** A value bound to a parameter of a statement; numbers are sent as text. */
export type MysqlValue = string | null

/** A statement, and the form of its rows, which overrides the settings of the pool. */
export interface MysqlStatement {
  sql: string
  rowsAsArray: false
  nestTables: false
  namedPlaceholders: false
  metaAsArray: false
}

/**
 * A pool of connections, such as those of `mysql2/promise` and `mariadb`.
 * @example
 * ```ts
 * import type { MysqlPool } from 'cqrs-es/mysql'
 * import { createPool } from 'mysql2/promise'
 *
 * const pool: MysqlPool = createPool('mysql://root@localhost/bank')
 * ```
 */
export interface MysqlPool {
  /** Runs one prepared statement on any connection. */
  execute(statement: MysqlStatement, values: MysqlValue[]): Promise<unknown>
  /** Reserves a connection for the caller. */
  getConnection(): Promise<MysqlConnection>
}

/** A connection of a `MysqlPool`. */
export interface MysqlConnection {
  /** Runs one prepared statement. */
  execute(statement: MysqlStatement, values: MysqlValue[]): Promise<unknown>
  /** Runs one statement without values, as text. */
  query(sql: string): Promise<unknown>
  /** Returns the connection to the pool. */
  release(): unknown
  /** Closes the connection; the pool opens another one when needed. */
  destroy(): unknown
}

/** @throws DefinitionError unless it is a pool with promises */
export function checkPool(pool: MysqlPool): void {
  const given: Partial<Record<'execute' | 'getConnection' | 'promise', unknown>> =
    (typeof pool === 'object' || typeof pool === 'function') && pool !== null ? (pool as object) : {}
  if (typeof given.promise === 'function') {
    throw new DefinitionError(
      'mysqlStore expects a pool with promises. Import createPool from mysql2/promise, or pass pool.promise().',
    )
  }
  for (const method of ['execute', 'getConnection'] as const) {
    if (typeof given[method] === 'function') continue
    throw new DefinitionError(
      `mysqlStore expects a pool of mysql2/promise or mariadb (createPool), not a single connection; this value has no method "${method}".`,
    )
  }
}
