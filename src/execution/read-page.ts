import { isCqrsError } from '../errors.ts'
import { toUnread } from '../evolution/unread.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { AggregatePage, AggregateRequest, FeedPage, FeedRequest, Store } from '../store/store.ts'

/**
 * Events per read for callers that use them one by one: enough to hide round trips, few enough for
 * memory.
 */
const pageSize = 200

/**
 * Reads a page of events. A store returns no page with corrupt JSON in it, so a shorter page is
 * read: the events before the corrupt one are returned before its error.
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

/**
 * A page of the log for consumers that skip corrupt events: such an event is returned undecoded.
 *
 * @throws DeserializationError if the store does not name its position
 */
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
