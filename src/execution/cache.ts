import type { StoredView } from '../store/store.ts'

/** The state of an aggregate after one of its events. */
export interface Loaded {
  readonly state: unknown
  /** Of the last event in it, 0 for none. */
  readonly sequence: number
  /** Of the commit that its last event belongs to; none at sequence 0. */
  readonly commitId?: string | undefined
  /** View name → the row of the view that follows this aggregate alone, as of `sequence`. */
  readonly rows?: ReadonlyMap<string, StoredView> | undefined
}

/**
 * The latest known state of the aggregates used last. May be behind the store, never ahead of it: an append on it is checked by the store,
 * and any other answer is confirmed by reading the tail first. Keys are `cacheKey`s.
 */
export class StateCache {
  readonly #entries = new Map<string, Loaded>()
  readonly #max: number

  constructor(maxAggregates: number) {
    this.#max = maxAggregates
  }

  get(key: string): Loaded | undefined {
    const entry = this.#entries.get(key)
    if (entry !== undefined) {
      this.#entries.delete(key)
      this.#entries.set(key, entry)
    }
    return entry
  }

  /** Keeps the later of what it has and `loaded`. A state that the store has lost is dropped by whoever finds that out, not replaced here. */
  put(key: string, loaded: Loaded): void {
    if (this.#max === 0) return
    const known = this.#entries.get(key)
    if (known !== undefined && known.sequence > loaded.sequence) return
    this.#entries.delete(key)
    this.#entries.set(key, known !== undefined && isSame(known, loaded) && loaded.rows === undefined ? known : loaded)
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value as string)
  }

  drop(key: string): void {
    this.#entries.delete(key)
  }
}

const isSame = (one: Loaded, other: Loaded): boolean => one.sequence === other.sequence && one.commitId === other.commitId

/** Types hold no `/`, so it is unambiguous. */
export const cacheKey = (aggregateType: string, aggregateId: string): string => `${aggregateType}/${aggregateId}`
