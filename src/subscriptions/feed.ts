import type { Position } from '../event-envelope.ts'
import { readPage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { FeedPage, Store } from '../store/store.ts'
import { beginning } from './lane.ts'

/** The log of these aggregate types from a position on, one page read ahead; at its end the next page is what came since. */
export async function* pagesFrom(
  store: Store,
  aggregateTypes: readonly string[],
  start: Position,
  size: number,
): AsyncGenerator<FeedPage, never, undefined> {
  const only = aggregateTypes.map((aggregateType) => ({ aggregateType }))
  const read = (after: Position | undefined) =>
    readPage((limit) => store.readFeed({ only, limit, ...(after === undefined ? {} : { after }) }), size)
  let next = read(start === beginning ? undefined : start)
  for (;;) {
    const page = await next
    if (page.more) {
      next = read(page.position)
      next.catch(() => {})
    }
    yield page
    if (!page.more) next = read(page.position)
  }
}

/** Some pages of the log together. */
export interface Gathered {
  readonly events: readonly StoredEvent[]
  readonly position: Position | undefined
  readonly more: boolean
}

/** So many events, or as many as there are. */
export async function gather(pages: AsyncGenerator<FeedPage, never, undefined>, most: number): Promise<Gathered> {
  const events: StoredEvent[] = []
  for (;;) {
    const page = (await pages.next()).value
    events.push(...page.events)
    if (!page.more || events.length >= most) return { events, position: page.position, more: page.more }
  }
}
