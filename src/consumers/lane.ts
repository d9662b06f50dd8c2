import type { Position } from '../event-envelope.ts'
import { CommitQueue } from '../execution/commit-queue.ts'
import type { Core } from '../execution/core.ts'
import type { CommitResult } from '../execution/result.ts'
import type { CommitOutcome, StoredEvent, ViewWrite } from '../store/commit.ts'
import type { InternalRows, RowAccess } from '../store/internal-rows.ts'
import { comparePositions } from '../store/order.ts'
import type { LogEvent } from '../store/store.ts'
import { slotOf } from './slots.ts'
import { Sequences } from './sources/sequences.ts'

/** Before the first event of any log. */
export const beginning = '0' as Position

/** The lease is another's now: what was under way must have no effect any more. */
export class LeaseLost extends Error {}

/** Sends what consumers commit, apart from the commands, which must not wait for a large batch of rows. */
export const consumerQueue = ({ store, runtime, observe }: Core): CommitQueue =>
  new CommitQueue({ store, runtime, observe }, { lanes: 16, maxCommits: 64, maxBytes: 4_000_000 }, { inside: 0 })

/** What goes into the database together with a checkpoint: rows of views, or whatever `store` does. */
export interface Effects {
  readonly views?: readonly ViewWrite[] | undefined
  readonly store?: ((commit: { id: string; checkpoint: Checkpoint }) => Promise<CommitOutcome>) | undefined
  /** Whether what follows in the aggregate waits from now on; left out, it stays as it is. */
  readonly parks?: boolean | undefined
}

type Checkpoint = { name: string; fence: number; position: string; expectedPosition: string | null }

/** What a consumer goes along: the log under its lease, or the events of one aggregate. */
export interface Place {
  /** All up to here is done. */
  readonly position: Position
  /** Whether the events of an aggregate come along here. */
  covers(aggregateType: string, aggregateId: string): boolean
  /** Its events wait behind one that was parked: where it is the place of one aggregate. */
  readonly isParked?: boolean
  /** Looks again at what others may have moved. */
  read?(): Promise<void>
  /** Makes sure that the lease is still ours. @throws LeaseLost */
  prove(): Promise<void>
  /**
   * Moves the checkpoint, never back, with the effects of what lies before it. `view`, `generation`: others had moved a row or the view, and nothing was written.
   * @throws LeaseLost
   */
  save(reached: Position, effects?: Effects): Promise<'saved' | 'view' | 'generation'>
}

/** A held lease, with the place in the log that its consumer has come to. */
export class Lane implements Place {
  readonly name: string
  /** The 64th part of a subscription that is shared, `undefined` for all of it. */
  readonly slot: number | undefined
  readonly fence: number
  /** All up to here is done. */
  position: Position
  /** The last event that was read up to there, where this process has read any: a log that has lost it is not read on. */
  seen: LogEvent | undefined
  /** What is known of the aggregates whose events came by. */
  sequences: Sequences
  readonly #core: Core
  readonly #queue: CommitQueue
  readonly #ttlMs: number
  #saved: string | null
  #provedAt: number

  constructor(core: Core, queue: CommitQueue, { name, slot, fence, saved, start, ttlMs }: LaneStart) {
    this.#core = core
    this.#queue = queue
    this.name = name
    this.slot = slot
    this.fence = fence
    this.#saved = saved
    this.position = start
    this.#ttlMs = ttlMs
    this.sequences = new Sequences(core.store)
    this.#provedAt = core.runtime.now().getTime()
  }

  get isSaved(): boolean {
    return this.#saved === this.position
  }

  /** How many positions the stored checkpoint is behind. */
  get unsaved(): number {
    return Number(this.position) - Number(this.#saved ?? beginning)
  }

  covers(aggregateType: string, aggregateId: string): boolean {
    return this.slot === undefined || slotOf(aggregateType, aggregateId) === this.slot
  }

  async save(reached: Position, effects: Effects = {}): Promise<'saved' | 'view' | 'generation'> {
    const isBack = this.#core.store.capabilities.globalOrder && comparePositions(reached, this.position) < 0
    const position = isBack ? this.position : reached
    const checkpoint = { name: this.name, fence: this.fence, position, expectedPosition: this.#saved }
    const outcome = await this.#send(checkpoint, effects)
    if (outcome.kind === 'conflict' && outcome.on === 'fence') throw new LeaseLost()
    if (outcome.kind === 'conflict') return savedOr(outcome)
    this.#saved = position
    this.position = position
    return 'saved'
  }

  /** Back to the beginning. @throws LeaseLost */
  async rewind(effects: Effects): Promise<void> {
    const outcome = await this.#send(
      { name: this.name, fence: this.fence, position: beginning, expectedPosition: this.#saved },
      effects,
    )
    if (outcome.kind === 'conflict') throw new LeaseLost()
    this.#saved = beginning
    this.position = beginning
    this.seen = undefined
    this.sequences = new Sequences(this.#core.store)
  }

  async #send(checkpoint: Checkpoint, { views, store }: Effects) {
    const id = this.#core.runtime.randomUUID()
    if (store === undefined)
      return this.#queue.send({ id, appends: [], ...(views && { views }), checkpoint }, this.name, undefined).outcome
    for (let attempt = 1; ; attempt++) {
      const outcome = await store({ id, checkpoint })
      if (outcome.kind !== 'failed') return outcome
      if (outcome.certain || attempt > 5) throw outcome.cause
      await this.#core.runtime.sleep(50 * 2 ** attempt * this.#core.runtime.random())
    }
  }

  async prove({ freshly = false }: { readonly freshly?: boolean } = {}): Promise<void> {
    const age = this.#core.runtime.now().getTime() - this.#provedAt
    // A clock that went back proves nothing either.
    if (!freshly && age >= 0 && age < this.#ttlMs / 2) return
    const at = this.#core.runtime.now().getTime()
    const held = await this.#core.store.renewLease({ name: this.name, fence: this.fence, ttlMs: this.#ttlMs })
    if (!held) throw new LeaseLost()
    this.#provedAt = at
  }

  async release(): Promise<void> {
    await this.#core.store.releaseLease({ name: this.name, fence: this.fence })
  }
}

interface LaneStart {
  readonly name: string
  readonly slot: number | undefined
  readonly fence: number
  /** The stored checkpoint. */
  readonly saved: string | null
  readonly start: Position
  readonly ttlMs: number
}

/** Where an event stands: in the log, or where there is no order of all, in its aggregate. */
export const placeOf = ({ position, sequence }: StoredEvent): Position => position ?? (String(sequence) as Position)

/** What is stored by now is not behind this; where there is no order of all events, nothing is. */
export const endOf = async ({ store }: Core): Promise<Position> =>
  (store.capabilities.globalOrder ? await store.endPosition() : undefined) ?? beginning

/** Stores rows by themselves: all of them, or none where others had moved one or its view. */
export async function saveRows(
  { consumerQueue, runtime }: Core & { readonly consumerQueue: CommitQueue },
  views: readonly ViewWrite[],
): Promise<'saved' | 'view' | 'generation'> {
  const id = runtime.randomUUID()
  return savedOr(await consumerQueue.send({ id, appends: [], views }, id, undefined).outcome)
}

/** Internal rows of this app's store. */
export const rowsOf = (core: Core & { readonly consumerQueue: CommitQueue }): RowAccess => ({
  store: core.store,
  save: (writes) => saveRows(core, writes),
})

/** Reads a row that is written once, and creates it if it does not exist. */
export async function readOrCreate<T extends object>(
  core: Core & { readonly consumerQueue: CommitQueue },
  rows: InternalRows<T>,
  id: string,
  make: () => T | Promise<T>,
): Promise<T> {
  return (await rows.update(rowsOf(core), id, (row) => (row === undefined ? make() : undefined))) as T
}

const savedOr = (outcome: CommitResult): 'saved' | 'view' | 'generation' =>
  outcome.kind !== 'conflict' ? 'saved' : outcome.on === 'generation' ? 'generation' : 'view'
