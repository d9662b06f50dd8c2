import type { Names } from './names.ts'

/**
 * The bytes of the events ahead of each in a page, so that a page of large events ends early. As they are kept, which may be compressed: that costs no look at them.
 */
export const bytesBefore = (order: 'sequence' | 'position'): string =>
  `sum(pg_column_size(payload)) OVER (ORDER BY ${order}) - pg_column_size(payload) AS bytes_before`

/** Names the advisory lock of a view's generations. */
export const generationLock = (n: Names, view: string): string => `hashtextextended(${n.generationLock} || ${view}, 0)`

/** A transaction with one snapshot for all its statements would check on what is no longer so. */
export const checkIsolation = `  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transactions of this connection are %', current_setting('transaction_isolation') USING ERRCODE = 'CQ001';
  END IF;`

/** What an index is known by: its view and its own name, so joined that no two pairs are the same. */
export const indexKey = (view: string, index: string): string =>
  `sha256(convert_to(length(${view}) || ':' || ${view} || ${index}, 'UTF8'))`
