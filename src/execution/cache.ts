import type { StoredView } from '../store/store.ts'
import { LruMap } from '../util/lru-map.ts'

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
 * and any other answer is confirmed by reading the tail first. Keys are `aggregateKey`s.
 */
export class StateCache {
  readonly #entries: LruMap<Loaded>

  constructor(maxAggregates: number) {
    this.#entries = new LruMap(maxAggregates)
  }

  get(key: string): Loaded | undefined {
    return this.#entries.get(key)
  }

  /** Keeps the later of what it has and `loaded`. A state that the store has lost is dropped by whoever finds that out, not replaced here. */
  put(key: string, loaded: Loaded): void {
    const known = this.#entries.get(key)
    if (known !== undefined && known.sequence > loaded.sequence) return
    if (known === undefined || !isSame(known, loaded) || loaded.rows !== undefined) this.#entries.set(key, loaded)
  }

  drop(key: string): void {
    this.#entries.delete(key)
  }
}

const isSame = (one: Loaded, other: Loaded): boolean => one.sequence === other.sequence && one.commitId === other.commitId
