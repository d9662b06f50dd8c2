import type { Position } from '../event-envelope.ts'
import { feedPage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { FeedPage, Store } from '../store/store.ts'
import { beginning } from './lane.ts'

/** Some pages of the log together. */
export interface Gathered {
  readonly events: readonly StoredEvent[]
  readonly position: Position | undefined
  readonly more: boolean
}

/** The log of these aggregate types from a position on, one page read ahead. */
export class Feed {
  readonly #read: (after: Position | undefined) => Promise<FeedPage>
  #after: Position | undefined
  #next: Promise<FeedPage> | undefined

  constructor(store: Store, aggregateTypes: readonly string[], start: Position, size: number) {
    const only = aggregateTypes.map((aggregateType) => ({ aggregateType }))
    this.#after = start === beginning ? undefined : start
    this.#read = (after) => feedPage({ store }, { only, ...(after === undefined ? {} : { after }) }, size)
  }

  /** So many events, or as many as there are; at the end of the log the next ones are what came since. */
  async gather(most: number): Promise<Gathered> {
    const events: StoredEvent[] = []
    for (;;) {
      const next = this.#next ?? this.#read(this.#after)
      this.#next = next
      let page: FeedPage
      try {
        page = await next
      } catch (error) {
        // What was read before comes first, and the error when it is asked for more.
        if (events.length === 0) throw error
        return { events, position: this.#after, more: true }
      }
      events.push(...page.events)
      this.#after = page.position
      this.#next = page.more ? this.#read(page.position) : undefined
      this.#next?.catch(() => {})
      if (!page.more || events.length >= most) return { events, position: page.position, more: page.more }
    }
  }
}
