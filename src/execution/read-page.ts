import { isCqrsError } from '../errors.ts'
import { toUnread } from '../evolution/unread.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { AggregatePage, AggregateRequest, FeedPage, FeedRequest, Store } from '../store/store.ts'

/** Events asked for at once by who gives them on one by one: enough to hide the round trips, few enough to hold. */
const pageSize = 200

/**
 * A page of events, read by `read`. Where the JSON of one of them is corrupt a store gives none of its page, so a shorter one is read: those before it
 * are given before its error.
 */
export async function readPage<P>(read: (limit: number) => Promise<P>, size = pageSize): Promise<P> {
  for (let limit = size; ; limit = Math.ceil(limit / 2)) {
    try {
      return await read(limit)
    } catch (error) {
      if (limit === 1 || !isCqrsError(error, 'DESERIALIZATION')) throw error
    }
  }
}

/** A page of the log for who goes on behind a corrupt event: that is given too, unread. @throws DeserializationError where the store does not say its position */
export const feedPage = (
  { store }: { readonly store: Store },
  request: Omit<FeedRequest, 'limit'>,
  size?: number,
): Promise<FeedPage> =>
  readPage((limit) => store.readFeed({ ...request, limit }), size).catch((error: unknown) => {
    const event = unreadOf(error)
    if (event.position === undefined) throw error
    return { events: [event], position: event.position, more: true }
  })

/** The same of one aggregate. */
export const aggregatePage = (
  { store }: { readonly store: Store },
  request: Omit<AggregateRequest, 'limit'>,
  size?: number,
): Promise<AggregatePage> =>
  readPage((limit) => store.readAggregate({ ...request, limit }), size).catch((error: unknown) => ({
    events: [unreadOf(error)],
    more: true,
  }))

function unreadOf(error: unknown): StoredEvent {
  if (!isCqrsError(error, 'DESERIALIZATION')) throw error
  return toUnread(error)
}
