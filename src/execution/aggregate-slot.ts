import { Turns } from '../util/turns.ts'
import type { Loaded } from './loaded.ts'
import type { Fate, PendingState } from './pending-state.ts'

/** The knowledge of this process about one aggregate. */
export class AggregateSlot {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Commands are decided one after another: they could not win against each other anyway. */
  readonly turns = new Turns()
  /** The latest known stored state. It may lag behind the store, but is never ahead of it. */
  cached: Loaded | undefined
  /** The state after the last commit in flight. */
  pending: PendingState | undefined
  /** A commit of the aggregate is in an append. */
  isInFlight = false
  /** Calls that use the slot now. */
  users = 0
  /** Neighbours among the slots that no call uses. */
  older: AggregateSlot = this
  newer: AggregateSlot = this

  constructor(aggregateType: string, aggregateId: string) {
    this.aggregateType = aggregateType
    this.aggregateId = aggregateId
  }

  /**
   * Sets the pending state: on top, or instead of an earlier attempt of the same commit.
   *
   * An attempt that another commit builds on is not replaced.
   */
  expect(next: PendingState, instead: PendingState | undefined): void {
    if (instead === undefined || this.pending === instead) this.pending = next
  }

  /**
   * Drops the pending state of a commit that is settled. If it was not stored, neither is what
   * builds on it.
   */
  settle(chain: Fate, fate: Fate, isStored: boolean): void {
    const { pending } = this
    if (pending?.fate === fate || (!isStored && pending?.chain === chain)) this.pending = undefined
  }
}

/**
 * The slots of the aggregates that are in use, and of those used last as far as their states are
 * cached.
 *
 * An append on a cached state is checked by the store, and any other answer is confirmed by reading
 * the tail first.
 */
export class AggregateSlots {
  readonly #maxCached: number
  /** By type, then by id: joining the two for each command would cost more than a second lookup. */
  readonly #byType = new Map<string, Map<string, AggregateSlot>>()
  /**
   * Of a ring of the unused slots: between the newest and the oldest. A ring spares the `Map` a
   * deletion for each use.
   */
  readonly #ends = new AggregateSlot('', '')
  #unused = 0

  constructor(maxCached: number) {
    this.#maxCached = maxCached
  }

  /** Must be followed by `release`, whatever happens. */
  use(aggregateType: string, aggregateId: string): AggregateSlot {
    let slot = this.#byType.get(aggregateType)?.get(aggregateId)
    if (slot === undefined) slot = this.#add(aggregateType, aggregateId)
    else if (slot.users === 0) this.#unlink(slot)
    slot.users++
    return slot
  }

  release(slot: AggregateSlot): void {
    if (--slot.users > 0) return
    if (slot.cached === undefined) this.#drop(slot)
    else this.#link(slot)
    if (this.#unused <= this.#maxCached) return
    const oldest = this.#ends.newer
    this.#unlink(oldest)
    this.#drop(oldest)
  }

  /**
   * Caches the later of the cached state and `loaded`. A state that the store has lost is dropped
   * by the call that notices, not replaced here.
   */
  cache(slot: AggregateSlot, loaded: Loaded): void {
    if (this.#maxCached === 0) return
    const { cached } = slot
    if (cached !== undefined && cached.sequence > loaded.sequence) return
    if (cached === undefined || !isSame(cached, loaded) || loaded.rows !== undefined) slot.cached = loaded
  }

  #add(aggregateType: string, aggregateId: string): AggregateSlot {
    const slot = new AggregateSlot(aggregateType, aggregateId)
    const byId = this.#byType.get(aggregateType) ?? new Map<string, AggregateSlot>()
    this.#byType.set(aggregateType, byId.set(aggregateId, slot))
    return slot
  }

  #drop({ aggregateType, aggregateId }: AggregateSlot): void {
    this.#byType.get(aggregateType)?.delete(aggregateId)
  }

  #link(slot: AggregateSlot): void {
    slot.older = this.#ends.older
    slot.newer = this.#ends
    this.#ends.older.newer = slot
    this.#ends.older = slot
    this.#unused++
  }

  #unlink({ older, newer }: AggregateSlot): void {
    older.newer = newer
    newer.older = older
    this.#unused--
  }
}

const isSame = (one: Loaded, other: Loaded): boolean => one.sequence === other.sequence && one.commitId === other.commitId
