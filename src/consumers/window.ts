import type { Decoded } from '../evolution/decode.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { LogCheckpoint } from './log-checkpoint.ts'

/** An event in hand. */
export interface Item {
  readonly decoded: Decoded
  readonly checkpoint: LogCheckpoint
  /** Key of its aggregate. */
  readonly aggregate: string
}

export const aggregateOf = ({ aggregateType, aggregateId }: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>): string =>
  `${aggregateType}/${aggregateId}`

/**
 * The events that a process has in hand. With concurrency 1 they form one queue in log order.
 * Otherwise each aggregate has a queue, and the queues take turns.
 */
export class Window {
  readonly #isOrdered: boolean
  /** Queues in the order of their turns, without those in progress. */
  readonly #queues = new Map<string, Item[]>()
  readonly #busy = new Map<string, Item[]>()
  #size = 0

  constructor(concurrency: number) {
    this.#isOrdered = concurrency === 1
  }

  /** Number of events that are not in progress. */
  get size(): number {
    return this.#size
  }

  get isReady(): boolean {
    return this.#queues.size > 0
  }

  add(item: Item): void {
    const key = this.#keyOf(item)
    const queue = this.#busy.get(key) ?? this.#queues.get(key)
    this.#size++
    if (queue === undefined) this.#queues.set(key, [item])
    else queue.push(item)
  }

  /**
   * Returns the next events to process together, up to `most`; parts of one event stay together.
   * Their aggregates have no turn until `end`.
   */
  take(most: number): readonly Item[] {
    const taken: Item[] = []
    let parts = 0
    for (const [key, queue] of this.#queues) {
      let count = 0
      for (const item of queue) {
        const more = partsOf(item)
        // An unreadable event fails alone.
        const isAlone = item.decoded.failure !== undefined || taken[0]?.decoded.failure !== undefined
        if (taken.length + count > 0 && (parts + more > most || isAlone)) break
        parts += more
        count++
      }
      if (count === 0) break
      taken.push(...queue.splice(0, count))
      this.#queues.delete(key)
      this.#busy.set(key, queue)
      if (parts >= most) break
    }
    this.#size -= taken.length
    return taken
  }

  /** Ends processing. `left` was not done, and comes first in its aggregate's next turn. */
  end(taken: readonly Item[], left: readonly Item[]): void {
    this.#size += left.length
    for (const item of [...left].reverse()) this.#busy.get(this.#keyOf(item))?.unshift(item)
    for (const key of new Set(taken.map((item) => this.#keyOf(item)))) {
      const queue = this.#busy.get(key)
      this.#busy.delete(key)
      if (queue !== undefined && queue.length > 0) this.#queues.set(key, queue)
    }
  }

  /** Removes and returns all events of an aggregate. */
  drop(aggregate: string): readonly Item[] {
    const key = this.#isOrdered ? '' : aggregate
    const dropped: Item[] = []
    for (const queues of [this.#queues, this.#busy]) {
      const queue = queues.get(key)
      if (queue === undefined) continue
      const left = queue.filter((item) => item.aggregate !== aggregate || dropped.push(item) === 0)
      queue.splice(0, queue.length, ...left)
      if (left.length === 0 && queues === this.#queues) queues.delete(key)
    }
    this.#size -= dropped.length
    return dropped
  }

  #keyOf({ aggregate }: Item): string {
    return this.#isOrdered ? '' : aggregate
  }
}

/** An event that its upcaster drops also counts as one. */
const partsOf = ({ decoded }: Item): number => Math.max(1, decoded.events.length)
