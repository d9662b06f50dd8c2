import type { Names } from './names.ts'

/**
 * The bytes of the events ahead of each in a page, so that a page of large events ends early. As they are kept, which may be compressed: that costs no look at them.
 */
export const bytesBefore = (order: 'sequence' | 'position'): string =>
  `sum(pg_column_size(payload)) OVER (ORDER BY ${order}) - pg_column_size(payload) AS bytes_before`

/** Names the advisory lock of a view's generations. */
export const generationLock = (n: Names, view: string): string => `hashtextextended(${n.generationLock} || ${view}, 0)`

/**
 * Rows of this many text columns, or an error when the session would change them.
 *
 * The check is an arm of its own: Postgres does not run the other arm where a policy hides all rows.
 */
export const inCheckedSession = (n: Names, columns: number, rows: string): string =>
  `(${rows})\nUNION ALL\nSELECT ${Array(columns).fill('NULL').join(', ')} WHERE NOT ${n.checkSession}()`

/** A transaction with one snapshot for all its statements would check on what is no longer so. */
export const checkIsolation = `  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transactions of this connection are %', current_setting('transaction_isolation') USING ERRCODE = 'CQ001';
  END IF;`

/** What an index is known by: its view and its own name, so joined that no two pairs are the same. */
export const indexKey = (view: string, index: string): string =>
  `sha256(convert_to(length(${view}) || ':' || ${view} || ${index}, 'UTF8'))`

/**
 * Says whether more rows follow: yes or no.
 *
 * Texts, since a program may change how its driver reads booleans. With capitals and spaces, since a driver that trims texts or changes their case
 * would change ids as well, and is noticed by these.
 */
export const followed = [' More rows ', ' Last row '] as const

export const isFollowed = (next: string): string => `CASE WHEN ${next} IS NULL THEN '${followed[1]}' ELSE '${followed[0]}' END`

/** What makes the position sequence as it was. Sessions may have drawn ahead from it. */
export const restoredSequence = (n: Names): string =>
  `ALTER SEQUENCE ${n.positions} CACHE 1 INCREMENT 1 NO CYCLE, then restart all writers`
