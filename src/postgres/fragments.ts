import type { Names } from './names.ts'

/**
 * Sums the sizes of the events before each one in a page, so that a page of large events ends
 * early.
 *
 * These are stored sizes, possibly compressed: reading them does not decompress the values.
 */
export const bytesBefore = `sum(pg_column_size(payload)) OVER (ORDER BY position) - pg_column_size(payload) AS bytes_before`

/** The key of the advisory lock for a view's generations. */
export const generationLock = (n: Names, view: string): string => `hashtextextended(${n.generationLock} || ${view}, 0)`

/**
 * Returns `rows`, with this many text columns, or fails if the session would change or hide them.
 *
 * The check is a separate arm of the UNION, because Postgres does not evaluate an arm whose rows a
 * policy hides.
 */
export const inCheckedSession = (n: Names, columns: number, rows: string): string =>
  `(${rows})\nUNION ALL\nSELECT ${Array(columns).fill('NULL').join(', ')} WHERE NOT ${n.checkSession}()`

/** With one snapshot for the whole transaction, the checks would read outdated rows. */
export const checkIsolation = `  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transactions of this connection are %', current_setting('transaction_isolation') USING ERRCODE = 'CQ001';
  END IF;`

/** Digest of a view's name and an index name. The length keeps different pairs apart. */
export const indexKey = (view: string, index: string): string =>
  `sha256(convert_to(length(${view}) || ':' || ${view} || ${index}, 'UTF8'))`

/**
 * Values of a column that says whether more rows follow: yes, no.
 *
 * They are texts, because a program can change how its driver reads booleans. They have capitals
 * and spaces, so that a driver that trims texts or changes their case is noticed: it would change
 * ids as well.
 */
export const followed = [' More rows ', ' Last row '] as const

export const isFollowed = (next: string): string => `CASE WHEN ${next} IS NULL THEN '${followed[1]}' ELSE '${followed[0]}' END`

/**
 * The command that restores the position sequence. Sessions may hold positions drawn in advance.
 */
export const restoredSequence = (n: Names): string =>
  `ALTER SEQUENCE ${n.positions} CACHE 1 INCREMENT 1 NO CYCLE, then restart all writers`
