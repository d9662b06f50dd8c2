import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { FeedPage, LogEvent } from './store.ts'

/** Events that a filtered call reads at most, which takes a few milliseconds. */
export const feedWindow = 10_000

/** The last event of a page, if there is one. */
export const lastOf = (event: { readonly position?: Position; readonly commitId: string } | undefined): Pick<FeedPage, 'last'> =>
  event?.position === undefined ? {} : { last: { position: event.position, commitId: event.commitId } }

/** The error for a log without the event that a reader has seen. */
export const lostEvent = ({ position }: LogEvent): StoreError =>
  new StoreError(
    'STORE_BEHIND',
    `The event at position ${position} is not the event that was read before: the database has lost commits. Read again from a stored position.`,
  )

/**
 * Returns the position after which a page of the feed starts, 0 for the first page.
 *
 * @throws StoreError `STORE_BEHIND`
 */
export function feedStart(after: Position | undefined, last: number): number {
  const start = after === undefined ? 0 : Number(after)
  if (start <= last) return start
  throw new StoreError(
    'STORE_BEHIND',
    `The log ends at position ${last}, before position ${after}: the position is from another log, or the database has lost commits.`,
  )
}
