import { StoreError } from '../errors.ts'
import type { Row } from '../sql/columns.ts'

/** `tx_isolation` until MySQL 8.0.2, and in all of MariaDB. */
const isolation = '/*!80003 @@transaction_isolation *//*M! @@tx_isolation */'

/** Settings that would change what a statement means or returns: name, value, and the condition under which it fits. */
const settings = [
  ['autocommit', '@@autocommit', '@@autocommit = 1'],
  ['character_set_client', '@@character_set_client', "@@character_set_client = 'utf8mb4'"],
  ['character_set_connection', '@@character_set_connection', "@@character_set_connection = 'utf8mb4'"],
  // NULL: texts are sent as they are kept.
  ['character_set_results', '@@character_set_results', "COALESCE(@@character_set_results, 'utf8mb4') = 'utf8mb4'"],
  // Readers would be given events that may be rolled back.
  ['transaction_isolation', isolation, `${isolation} <> 'READ-UNCOMMITTED'`],
  // Other programs that insert events rely on the unique keys.
  ['unique_checks', '@@unique_checks', '@@unique_checks = 1'],
  // The server refuses the procedure's change of a list of rows.
  ['sql_safe_updates', '@@sql_safe_updates', '@@sql_safe_updates = 0'],
  ['sql_mode', "'EMPTY_STRING_IS_NULL'", "FIND_IN_SET('EMPTY_STRING_IS_NULL', @@sql_mode) = 0"],
] as const

/** A text that names the settings of the session that do not fit the store, with their values; empty when all do. */
export const unfitSettings = `CONCAT_WS(', ', ${settings
  .map(([name, value, fits]) => `IF(${fits}, NULL, CONCAT('${name} = ', ${value}))`)
  .join(', ')})`

const chains = "@@completion_type <> 'NO_CHAIN'"

/** For a change outside a transaction. With chained transactions one may be open, which the driver rolls back later. */
export const alone = `AND LENGTH(${unfitSettings}) = 0 AND NOT (${chains})`

const start = `SELECT ${unfitSettings} AS session`

/** For `sql_select_limit`, which holds for a SELECT without LIMIT. */
const allRows = 'LIMIT 9223372036854775807'

/**
 * A SELECT whose first row has the state of its session, which costs no round trip. `columns` are names, or expressions
 * that end with `AS` and a name.
 */
export const reading = (columns: readonly string[], from: string): string => `${start}, ${columns
  .map((column) => `NULL AS ${/\w+$/.exec(column)}`)
  .join(', ')}
UNION ALL
(SELECT NULL, ${columns.join(', ')}
${from})
${allRows}`

/** Asks for nothing else. */
export const readSession = `${start} ${allRows}`

/** When a transaction is open: COMMIT and ROLLBACK of others, the driver's too, leave one open in a session that chains them. */
export const readChaining = `${start} FROM (SELECT 1 AS one) AS one WHERE NOT (${chains})
UNION ALL
SELECT CONCAT('completion_type = ', @@completion_type) FROM (SELECT 1 AS one) AS one WHERE ${chains}
${allRows}`

export const isReading = (sql: string): boolean => sql.startsWith(start)

/** The rows of a statement that reads. @throws StoreError for a session that does not fit, UnreadableAnswer */
export function rowsOfReading(rows: readonly Row[]): readonly Row[] {
  const session = rows[0]?.session
  // With the character set `binary` texts come as bytes.
  const settings = session instanceof Uint8Array ? new TextDecoder().decode(session) : session
  if (typeof settings === 'string' && settings !== '') throw new StoreError('STORE_FAILED', unfit(settings))
  if (session !== '') throw new UnreadableAnswer()
  return rows.slice(1)
}

/** @param settings what `unfitSettings` gives */
export const unfit = (settings: string): string =>
  `The store cannot use a connection of the pool for its setting: ${settings}. Nothing was stored. See "Connection settings" on the page of the store.`

/** The driver, or what is around it, hands out something else than the store has asked for. */
export class UnreadableAnswer extends Error {
  constructor() {
    super(
      'The answer of the MySQL server cannot be read. Look for what changes results: a wrapper around the pool, or a type cast of the driver.',
    )
  }
}
