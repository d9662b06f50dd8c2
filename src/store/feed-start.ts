import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'

/** How many events a call looks at when it filters: some milliseconds of work. */
export const feedWindow = 10_000

/** The position that a page of the feed begins behind, 0 for the first page. @throws StoreError `STORE_BEHIND` */
export function feedStart(after: Position | undefined, last: number): number {
  const start = after === undefined ? 0 : Number(after)
  if (start <= last) return start
  throw new StoreError(
    'STORE_BEHIND',
    `The log ends at position ${last}, before position ${after}: it is not the log that position is from.`,
  )
}
