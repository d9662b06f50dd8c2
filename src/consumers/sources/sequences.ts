import { StoreError } from '../../errors.ts'
import { aggregatePage } from '../../execution/read-page.ts'
import type { StoredEvent } from '../../store/commit.ts'
import type { Store } from '../../store/store.ts'

/** Limit of remembered aggregates. A forgotten one is trusted when it comes next. */
const most = 100_000

/**
 * Checks that the events of each aggregate arrive as n, n + 1, n + 2, so that no fault of the feed
 * is silent.
 */
export class Sequences {
  readonly #store: Store
  readonly #last = new Map<string, number>()
  /** Sequences read in this run, perhaps not done. */
  readonly #read = new Map<string, number>()

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Returns the new events in order, without earlier ones. Missing events are read from their
   * aggregate.
   *
   * @throws StoreError `STORE_CORRUPT` when an event is missing there too
   */
  async inOrder(events: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
    const found: StoredEvent[] = []
    for (const event of events) {
      const key = keyOf(event)
      const last = this.#read.get(key) ?? this.#last.get(key)
      if (last !== undefined && event.sequence <= last) continue
      if (last !== undefined && event.sequence > last + 1) found.push(...(await this.#missing(event, last)))
      found.push(event)
      this.#read.set(key, event.sequence)
    }
    return found
  }

  /** Records that an event is done. */
  pass(event: StoredEvent): void {
    const key = keyOf(event)
    this.#last.delete(key)
    this.#last.set(key, event.sequence)
    if (this.#read.get(key) === event.sequence) this.#read.delete(key)
    if (this.#last.size > most) this.#last.delete(this.#last.keys().next().value as string)
  }

  /** Prepares for reading again the events that are not done. */
  readAgain(): void {
    this.#read.clear()
  }

  /** Prepares for reading everything again. */
  forget(): void {
    this.#read.clear()
    this.#last.clear()
  }

  async #missing({ aggregateType, aggregateId, sequence }: StoredEvent, last: number): Promise<readonly StoredEvent[]> {
    const missing: StoredEvent[] = []
    for (let at = last; at < sequence - 1; ) {
      const page = await aggregatePage({ store: this.#store }, { aggregateType, aggregateId, after: at, upTo: sequence - 1 })
      for (const event of page.events) if (event.sequence === at + 1) at = missing.push(event) + last
      if (page.events.length === 0 || page.events.at(-1)?.sequence !== at)
        throw new StoreError(
          'STORE_CORRUPT',
          `The events of ${aggregateType} '${aggregateId}' have a hole: event ${sequence} follows ${last}, and the store lacks those between. Later events wait. Restore the missing events.`,
        )
    }
    return missing
  }
}

const keyOf = ({ aggregateType, aggregateId }: StoredEvent): string => `${aggregateType}/${aggregateId}`
