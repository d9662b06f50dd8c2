import type { Position } from '../../event-envelope.ts'
import type { StoredEvent } from '../../store/commit.ts'
import type { FeedPage, LogEvent, Store } from '../../store/store.ts'
import { logPage } from '../log-page.ts'

/** Some pages of the log together. */
export interface Gathered {
  readonly events: readonly StoredEvent[]
  readonly position: Position | undefined
  readonly last: LogEvent | undefined
  readonly more: boolean
}

/** The log of these aggregate types from a position on, one page read ahead. */
export class Feed {
  readonly #read: (after: Position | undefined, last: LogEvent | undefined) => Promise<FeedPage>
  #after: Position | undefined
  #last: LogEvent | undefined
  #next: Promise<FeedPage> | undefined

  /** `first`: the first page, where it was read already. `last` is an event that was read before, at or before `start`. A log that does not have it any more is a StoreError `STORE_BEHIND`. */
  constructor(store: Store, aggregateTypes: readonly string[], start: Position, size: number, last?: LogEvent, first?: FeedPage) {
    this.#after = start
    this.#last = last
    this.#next = first && Promise.resolve(first)
    this.#read = (after, confirm) => logPage({ store }, aggregateTypes, after, size, confirm)
  }

  /** So many events, or as many as there are; at the end of the log the next ones are what came since. */
  async gather(most: number): Promise<Gathered> {
    const events: StoredEvent[] = []
    for (;;) {
      const next = this.#next ?? this.#read(this.#after, this.#last)
      this.#next = next
      let page: FeedPage
      try {
        page = await next
      } catch (error) {
        // What was read before comes first, and the error when it is asked for more.
        if (events.length === 0) throw error
        return { events, position: this.#after, last: this.#last, more: true }
      }
      events.push(...page.events)
      this.#after = page.position
      this.#last = page.last ?? this.#last
      this.#next = page.more ? this.#read(this.#after, this.#last) : undefined
      this.#next?.catch(() => {})
      if (!page.more || events.length >= most) return { events, position: page.position, last: this.#last, more: page.more }
    }
  }
}
