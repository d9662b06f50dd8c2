import type { Position } from '../../event-envelope.ts'
import type { StoredEvent } from '../../store/commit.ts'
import type { FeedPage, LogEvent, Store } from '../../store/store.ts'
import { logPage } from '../log-page.ts'

/** Several pages of the log. */
export interface Gathered {
  readonly events: readonly StoredEvent[]
  readonly position: Position | undefined
  readonly last: LogEvent | undefined
  readonly more: boolean
}

/** Reads the log of these aggregate types from a position on, one page ahead. */
export class Feed {
  readonly #read: (after: Position | undefined, last: LogEvent | undefined) => Promise<FeedPage>
  #after: Position | undefined
  #last: LogEvent | undefined
  #next: Promise<FeedPage> | undefined

  /**
   * `first`: the first page, if it was read already. `last`: an event at or before `start` that was
   * read before. If the log has lost it, reading throws StoreError `STORE_BEHIND`.
   */
  constructor(store: Store, aggregateTypes: readonly string[], start: Position, size: number, last?: LogEvent, first?: FeedPage) {
    this.#after = start
    this.#last = last
    this.#next = first && Promise.resolve(first)
    this.#read = (after, confirm) => logPage({ store }, aggregateTypes, after, size, confirm)
  }

  /** Returns up to about `most` events. At the end of the log, later calls return newer ones. */
  async gather(most: number): Promise<Gathered> {
    const events: StoredEvent[] = []
    for (;;) {
      const next = this.#next ?? this.#read(this.#after, this.#last)
      this.#next = next
      let page: FeedPage
      try {
        page = await next
      } catch (error) {
        // Return what was read first; the next call throws the error.
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
