import type { AggregateDefinition } from '../../aggregate-definition.ts'
import { StoreError } from '../../errors.ts'
import { decodeApart } from '../../evolution/decode.ts'
import { KeyedQueue } from '../../execution/keyed-queue.ts'
import { aggregatePage } from '../../execution/read-page.ts'
import type { StoredEvent } from '../../store/commit.ts'
import { stoppedRows } from '../../store/internal-rows.ts'
import { type Change, placeIn, seenIdOf } from '../change.ts'
import type { ConsumerCore, Consumption, Failure, Processed, RunResult, Turn } from '../consumption.ts'
import { type Lane, placeOf, saveRows } from '../lane.ts'
import { readStopped, stoppedError, toStopped } from '../troubles.ts'
import { AggregateLane } from './aggregate-lane.ts'
import { begunAt, type Start, startAmong, startAtNews } from './from-now.ts'

/** Whose word it is that an aggregate has news, which says where a consumer begins that was never in it. */
export type Word = 'told' | 'marks' | 'all'

/** The aggregates that a consumer follows where there is no order of all events: each is brought up to its end by itself, and nobody else in this process is at it meanwhile. */
export class Aggregates {
  readonly #core: ConsumerCore
  readonly #consumption: Consumption
  readonly #lease: () => Lane | undefined
  readonly #queue = new KeyedQueue()
  #since: Promise<number> | undefined

  /** `lease`: what proves that this process may work on them, where that is asked for. */
  constructor(core: ConsumerCore, consumption: Consumption, lease: () => Lane | undefined) {
    this.#core = core
    this.#consumption = consumption
    this.#lease = lease
  }

  /** From where it has come in the aggregate to the end of it. */
  advance(change: Change, word: Word, signal: AbortSignal, isOver: () => boolean): Promise<RunResult> {
    return this.inTurn(change, signal, async () => {
      const lane = await this.laneOf(change)
      await lane.read()
      return this.advanceAlong(lane, change, word, signal, isOver)
    })
  }

  async advanceAlong(
    lane: AggregateLane,
    change: Change,
    word: Word,
    signal: AbortSignal,
    isOver: () => boolean,
  ): Promise<RunResult> {
    const { aggregateType, aggregateId } = change
    const turn: Turn = { lane, signal, isOver }
    let events = 0
    await this.#beginIn(lane, change, word)
    if (lane.sequence >= change.sequence) return { state: 'caught-up', events }
    // A look at all also looks whether the last event that was seen is still there.
    for (let isLook = change.sequence === Number.POSITIVE_INFINITY && lane.sequence > 0; ; isLook = false) {
      const after = lane.sequence - (isLook ? 1 : 0)
      const page = await aggregatePage(this.#core, { aggregateType, aggregateId, after }, this.#consumption.batchSize)
      if (isLook && page.events[0]?.sequence !== lane.sequence) throw this.#ahead(lane, change)
      const result = await this.#process(page.events.slice(isLook ? 1 : 0), lane, turn)
      events += result.events
      if (result.state !== 'caught-up' || !page.more) return { ...result, events }
    }
  }

  #ahead({ sequence }: AggregateLane, { aggregateType, aggregateId }: Change): StoreError {
    return new StoreError(
      'STORE_BEHIND',
      `${this.#consumption.title} has come to event ${sequence} of ${aggregateType} '${aggregateId}', which has no such event: was the table of events restored to an earlier moment than that of views?`,
    )
  }

  /** In an aggregate where it was never. */
  async #beginIn(lane: AggregateLane, change: Change, word: Word): Promise<void> {
    while (lane.isNew && !lane.hasBegun && this.#consumption.from !== 'beginning' && word !== 'all') {
      const since = await this.begunAt()
      const start: Start = await (word === 'told' ? startAtNews : startAmong)(this.#core, change, since)
      lane.beginAt(start.sequence)
      if (start.isCertain || (await lane.save(lane.position)) === 'saved') return
      await lane.read()
    }
  }

  begunAt(): Promise<number> {
    this.#since ??= begunAt(this.#core, this.#consumption.name).catch((error: unknown) => {
      this.#since = undefined
      throw error
    })
    return this.#since
  }

  /** Who is told to end is waited for no longer: the versions of the rows see to it that nothing is done twice. */
  inTurn<T>(change: Change, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(placeIn(change), work, signal, { until: signal })
  }

  async #process(page: readonly StoredEvent[], lane: AggregateLane, turn: Turn): Promise<RunResult> {
    let left = await decodeApart(this.#core, (type) => this.#core.definitions.get(type) as AggregateDefinition, page)
    let events = 0
    while (left.length > 0) {
      if (turn.isOver()) return { state: 'more', events }
      const processed: Processed = await this.#consumption.process(left, turn)
      const { done, failure } = processed
      const last = left[done - 1]
      if (last !== undefined) {
        const saved = await lane.save(placeOf(last.stored), processed)
        if (saved !== 'saved') {
          await processed.moved?.(saved)
          await lane.read()
          left = left.filter(({ stored }) => stored.sequence > lane.sequence)
          continue
        }
        processed.stored?.()
      }
      events += done
      left = left.slice(done)
      if (failure !== undefined) return { ...(await this.#fail(failure)), events }
    }
    return { state: 'caught-up', events }
  }

  async #fail(failure: Failure): Promise<RunResult> {
    const { error, at, next } = failure
    if (next === 'wait') return { state: 'waiting', events: 0, error }
    if (next === 'outdated') return { state: 'outdated', events: 0, error, leftAt: at }
    const stopped = toStopped(failure, this.#core.runtime.now())
    const row = await readStopped(this.#core, this.#consumption.name)
    await saveRows(this.#core, [stoppedRows.write(row, stopped)])
    return { state: 'stopped', events: 0, error: stoppedError(this.#consumption.title, stopped, error) }
  }

  /** Not read yet. */
  async laneOf(change: Change): Promise<AggregateLane> {
    const { aggregateType, aggregateId } = change
    const id = await seenIdOf(this.#consumption.name, change)
    return new AggregateLane(this.#core, id, aggregateType, aggregateId, this.#lease)
  }
}
