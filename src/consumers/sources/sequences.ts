import { StoreError } from '../../errors.ts'
import { aggregatePage } from '../../execution/read-page.ts'
import type { StoredEvent } from '../../store/commit.ts'
import type { Store } from '../../store/store.ts'

/** Aggregates that are remembered at the most; one that is forgotten is taken at its word when it comes next. */
const most = 100_000

/** Checks that the events of each aggregate arrive as n, n + 1, n + 2: a mistake of the feed can then never be silent. */
export class Sequences {
  readonly #store: Store
  readonly #last = new Map<string, number>()
  /** Read in this run, and perhaps not done. */
  readonly #read = new Map<string, number>()

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * The events that are new, in order. What came before is left out; what is missing is read from its aggregate.
   * @throws StoreError `STORE_CORRUPT` when it is not there either
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

  /** An event is done. */
  pass(event: StoredEvent): void {
    const key = keyOf(event)
    this.#last.delete(key)
    this.#last.set(key, event.sequence)
    if (this.#read.get(key) === event.sequence) this.#read.delete(key)
    if (this.#last.size > most) this.#last.delete(this.#last.keys().next().value as string)
  }

  /** What is not done comes again. */
  readAgain(): void {
    this.#read.clear()
  }

  /** All comes again. */
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
