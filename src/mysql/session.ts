import { StoreError } from '../errors.ts'
import type { Row } from '../sql/columns.ts'

/** The variable is `tx_isolation` before MySQL 8.0.3 and in all versions of MariaDB. */
const isolation = '/*!80003 @@transaction_isolation *//*M! @@tx_isolation */'

/**
 * Settings that change the meaning or result of statements: name, value, and required condition.
 */
const settings = [
  ['autocommit', '@@autocommit', '@@autocommit = 1'],
  ['character_set_client', '@@character_set_client', "@@character_set_client = 'utf8mb4'"],
  ['character_set_connection', '@@character_set_connection', "@@character_set_connection = 'utf8mb4'"],
  // NULL means that texts are sent as they are stored.
  ['character_set_results', '@@character_set_results', "COALESCE(@@character_set_results, 'utf8mb4') = 'utf8mb4'"],
  // Readers would receive events that may be rolled back.
  ['transaction_isolation', isolation, `${isolation} <> 'READ-UNCOMMITTED'`],
  // Other programs that insert events rely on the unique keys.
  ['unique_checks', '@@unique_checks', '@@unique_checks = 1'],
  // Otherwise, the server refuses updates of a list of rows in the procedure.
  ['sql_safe_updates', '@@sql_safe_updates', '@@sql_safe_updates = 0'],
  ['sql_mode', "'EMPTY_STRING_IS_NULL'", "FIND_IN_SET('EMPTY_STRING_IS_NULL', @@sql_mode) = 0"],
] as const

/** Lists unsuitable settings of the session with their values; empty if there are none. */
export const unfitSettings = `CONCAT_WS(', ', ${settings
  .map(([name, value, fits]) => `IF(${fits}, NULL, CONCAT('${name} = ', ${value}))`)
  .join(', ')})`

const chains = "@@completion_type <> 'NO_CHAIN'"

/**
 * Condition for a change outside a transaction.
 *
 * If transactions are chained, one may be open, which the driver rolls back later.
 */
export const alone = `AND LENGTH(${unfitSettings}) = 0 AND NOT (${chains})`

const start = `SELECT ${unfitSettings} AS session`

/** Overrides `sql_select_limit`, which applies to a SELECT without LIMIT. */
const allRows = 'LIMIT 9223372036854775807'

/**
 * A SELECT whose first row has the state of the session, which saves a round trip.
 *
 * Each of the `columns` is a name, or an expression that ends with `AS` and a name.
 */
export const reading = (columns: readonly string[], from: string): string => `${start}, ${columns
  .map((column) => `NULL AS ${/\w+$/.exec(column)}`)
  .join(', ')}
UNION ALL
(SELECT NULL, ${columns.join(', ')}
${from})
${allRows}`

/** Reads nothing but the state of the session. */
export const readSession = `${start} ${allRows}`

/**
 * Reads whether the session chains transactions, if one is open already.
 *
 * In such a session, COMMIT and ROLLBACK, also those of other code or the driver, leave a new
 * transaction open.
 */
export const readChaining = `${start} FROM (SELECT 1 AS one) AS one WHERE NOT (${chains})
UNION ALL
SELECT CONCAT('completion_type = ', @@completion_type) FROM (SELECT 1 AS one) AS one WHERE ${chains}
${allRows}`

export const isReading = (sql: string): boolean => sql.startsWith(start)

/**
 * Returns the rows of a SELECT made by `reading`.
 *
 * @throws StoreError when the session has unsuitable settings
 * @throws UnreadableAnswer when the first row has no state of the session
 */
export function rowsOfReading(rows: readonly Row[]): readonly Row[] {
  const session = rows[0]?.session
  // With the character set `binary`, texts arrive as bytes.
  const settings = session instanceof Uint8Array ? new TextDecoder().decode(session) : session
  if (typeof settings === 'string' && settings !== '') throw new StoreError('STORE_FAILED', unfit(settings))
  if (session !== '') throw new UnreadableAnswer()
  return rows.slice(1)
}

/** @param settings list from `unfitSettings` */
export const unfit = (settings: string): string =>
  `The store cannot use a pool connection with this setting: ${settings}. Nothing was stored. See "Connection settings" in the documentation of the store.`

/** The driver, or a wrapper of it, returns something else than the store requested. */
export class UnreadableAnswer extends Error {
  constructor() {
    super(
      'The result of the MySQL server cannot be read. Look for a wrapper of the pool or a type cast of the driver that changes results.',
    )
  }
}
