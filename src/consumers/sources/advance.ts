import { StoreError } from '../../errors.ts'
import { aggregatePage } from '../../execution/read-page.ts'
import type { StoredEvent } from '../../store/commit.ts'
import { type FailedRow, failedRows, type SkippedRow, stoppedRows } from '../../store/internal-rows.ts'
import { KeyedQueue } from '../../util/keyed-queue.ts'
import { processBacklog } from '../backlog.ts'
import { type AggregateChange, placeIn, rowIdOf } from '../change.ts'
import type { ConsumerCore, RunResult } from '../core.ts'
import { afterFailure, readProcessor, toFailed } from '../failures.ts'
import type { Lease } from '../lease.ts'
import { processBatch } from '../process-batch.ts'
import { type Failure, type Processor, type Results, setsAside, type Turn } from '../processor.ts'
import { rowsOf } from '../rows.ts'
import { skipWrites } from '../skips.ts'
import { stoppedError, toStopped } from '../stopped.ts'
import { begunAt, type Start, startAmong, startAtNews } from './from-now.ts'
import { AggregateMark, type Era } from './mark.ts'

/**
 * Source of a change. It decides the start position in an aggregate that the processor has not met.
 */
export type Word = 'told' | 'marks' | 'all'

const pageSize = 1_000

/** Limits of a call or a run. */
export type Limits = Pick<Turn, 'signal' | 'isOver'>

/**
 * Processes aggregates up to their ends, one task at a time for each, where there is no global
 * order.
 */
export class Aggregates {
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #lease: () => Lease | undefined
  readonly #queue = new KeyedQueue()
  /** An event to skip: it has stopped the processor. */
  skipped: SkippedRow | undefined
  /** Epoch and reset, as last read. */
  era: Era = { epoch: 1 }
  #since: Promise<number> | undefined

  /** `lease`: proves that this process may work on the aggregates, if required. */
  constructor(core: ConsumerCore, processor: Processor, lease: () => Lease | undefined) {
    this.#core = core
    this.#processor = processor
    this.#lease = lease
  }

  /** Processes an aggregate to its end, after those that must come first and are not `waiting`. */
  async advance(
    change: AggregateChange,
    word: Word,
    limits: Limits,
    waiting: ReadonlySet<string> = new Set(),
  ): Promise<RunResult> {
    let events = 0
    for (;;) {
      const result = await this.inTurn(change, limits.signal, async () => {
        const mark = await this.markOf(change)
        await mark.read()
        return this.advanceFrom(mark, change, word, limits)
      })
      events += result.events
      if (result.first === undefined) return { ...result, events }
      const unfinished = await this.advanceFirst(change, result.first, limits, waiting)
      if (unfinished !== undefined) return { ...unfinished, events }
    }
  }

  /**
   * Processes the aggregates that must come before `change`, whose turn is not held: two aggregates
   * may need each other. Returns the result of one that did not reach its end.
   */
  async advanceFirst(
    change: AggregateChange,
    first: readonly AggregateChange[],
    limits: Limits,
    before: ReadonlySet<string> = new Set(),
  ): Promise<RunResult | undefined> {
    const waiting = new Set([...before, placeIn(change)])
    for (const one of first) {
      if (waiting.has(placeIn(one))) continue
      const result = await this.advance(one, 'marks', limits, waiting)
      if (result.state !== 'caught-up') return result
    }
    return undefined
  }

  async advanceFrom(mark: AggregateMark, change: AggregateChange, word: Word, limits: Limits): Promise<RunResult> {
    const { aggregateType, aggregateId } = change
    const { mode, batchSize } = this.#processor
    const size = mode === 'fold' ? batchSize : pageSize
    const turn = this.#turnOf(limits, mark)
    let events = 0
    await this.#beginIn(mark, change, word)
    if (mark.waits) events += await this.#retryIfDue(mark, change, limits)
    if (mark.sequence >= change.sequence) return { state: 'caught-up', events }
    // A scan also checks that the last processed event still exists.
    for (let isLook = change.sequence === Number.POSITIVE_INFINITY && mark.sequence > 0; ; isLook = false) {
      const after = mark.sequence - (isLook ? 1 : 0)
      const page = await aggregatePage(this.#core, { aggregateType, aggregateId, after }, size)
      if (isLook && page.events[0]?.sequence !== mark.sequence) throw this.#ahead(mark, change)
      const result = await this.#process(page.events.slice(isLook ? 1 : 0), mark, turn)
      events += result.events
      if (result.state !== 'caught-up' || !page.more) return { ...result, events }
    }
  }

  /**
   * Retries a failed event, then processes the later ones that wait. Returns the number of
   * processed events.
   */
  async retry(mark: AggregateMark, row: FailedRow, resumes: number, limits: Limits): Promise<number> {
    const turn = this.#turnOf(limits, mark)
    const id = await rowIdOf(this.#processor.name, row)
    let events = 0
    for (let from = row; ; ) {
      const stored = await failedRows.read(this.#core.store, id)
      if (stored.value === undefined) return events
      if (stored.value.sequence > from.sequence) from = stored.value
      const result = await processBacklog(this.#core, this.#processor, from, (event) => mark.isDone(event), turn)
      const { failure, isEmpty, sequence } = result
      events += result.events
      const isElsewhere = sequence !== from.sequence
      const next = { ...from, sequence, attempts: isElsewhere ? 0 : from.attempts }
      const waits = failure?.kind === 'outdated' || failure?.retry === 'all'
      if (!isElsewhere && (failure === undefined ? !isEmpty : waits)) return events
      const left = isEmpty
        ? null
        : failure === undefined || failure.retry === 'all'
          ? next
          : await this.#rowOf(failure, resumes, from)
      const saved = await mark.move(mark.sequence, { rows: [failedRows.write(stored, left)] }, left !== null)
      if (saved === 'saved' && (!result.isCut || turn.isOver())) return events
      // Another process has added waiting events, or skipped one.
      from = next
    }
  }

  async #rowOf(failure: Failure, resumes: number, before: FailedRow): Promise<FailedRow> {
    const { row, halts } = afterFailure(this.#core, this.#processor, failure, resumes, before)
    if (halts && failure.kind !== 'outdated') await this.#stop(failure)
    return row ?? toFailed(this.#core, this.#processor, failure, resumes, before)
  }

  async #retryIfDue(mark: AggregateMark, change: AggregateChange, limits: Limits): Promise<number> {
    const { name } = this.#processor
    const { value } = await failedRows.read(this.#core.store, await rowIdOf(name, change))
    // Parked events are left to the lease holder.
    if (value?.nextTryAt === undefined || value.nextTryAt > this.#core.runtime.now().toISOString()) return 0
    const { resumes } = await readProcessor(this.#core, name)
    return this.retry(mark, value, resumes, limits)
  }

  #turnOf({ signal, isOver }: Limits, results: Results): Turn {
    return { signal, isOver, results, prove: async () => this.#lease()?.prove() }
  }

  #ahead({ sequence }: AggregateMark, { aggregateType, aggregateId }: AggregateChange): StoreError {
    return new StoreError(
      'STORE_BEHIND',
      `${this.#processor.title} has processed event ${sequence} of ${aggregateType} '${aggregateId}', which does not exist. The events table seems restored to an earlier time than the views table: restore both to one time.`,
    )
  }

  /** Sets the start position in an aggregate that the processor has not met. */
  async #beginIn(mark: AggregateMark, change: AggregateChange, word: Word): Promise<void> {
    await this.enter(mark, change)
    while (mark.isNew && !mark.hasBegun && this.#processor.from !== 'beginning' && word !== 'all') {
      const since = await this.begunAt()
      const start: Start = await (word === 'told' ? startAtNews : startAmong)(this.#core, change, since)
      mark.beginAt(start.sequence)
      if (start.isCertain || (await mark.move(mark.sequence)) === 'saved') return
    }
  }

  /**
   * Applies the last reset to an aggregate not met since. Deletes later failures, since their
   * events are delivered again.
   */
  async enter(mark: AggregateMark, change: AggregateChange): Promise<void> {
    const { epoch, since } = this.era
    while (epoch > 1 && (mark.isOlder || (mark.isNew && since !== undefined && !mark.hasBegun))) {
      const sequence = await this.#sequenceAt(change)
      mark.beginAt(sequence)
      if (mark.isNew && sequence === 0) return
      const failed = await failedRows.read(this.#core.store, await rowIdOf(this.#processor.name, change))
      const waits = failed.value !== undefined && failed.value.sequence <= sequence
      const rows = failed.value === undefined || waits ? [] : [failedRows.write(failed, null)]
      await mark.move(sequence, { rows }, waits)
    }
  }

  /** Returns the sequence of the last event that is not delivered again. */
  async #sequenceAt(change: AggregateChange): Promise<number> {
    const { since } = this.era
    if ((since ?? this.#processor.from) === 'beginning') return 0
    const time = since === undefined ? await this.begunAt() : Date.parse(since)
    return (await startAmong(this.#core, change, time)).sequence
  }

  begunAt(): Promise<number> {
    this.#since ??= begunAt(this.#core, this.#processor.name).catch((error: unknown) => {
      this.#since = undefined
      throw error
    })
    return this.#since
  }

  /**
   * Runs one task at a time per aggregate. Aborted tasks are not awaited: row versions prevent
   * double effects.
   */
  inTurn<T>(change: AggregateChange, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(placeIn(change), work, signal, { until: signal })
  }

  async #process(page: readonly StoredEvent[], mark: AggregateMark, turn: Turn): Promise<RunResult> {
    const { skipped } = this
    const at = skipped === undefined ? -1 : page.findIndex(({ id }) => id === skipped.eventId)
    if (skipped === undefined || at < 0) return this.#processAll(page, mark, turn)
    const before = await this.#processAll(page.slice(0, at), mark, turn)
    if (before.state !== 'caught-up') return before
    const { sequence } = page[at] as StoredEvent
    while (mark.sequence < sequence && (await mark.move(sequence, { rows: await skipWrites(this.#core, skipped) })) !== 'saved');
    this.skipped = undefined
    const rest = await this.#processAll(page.slice(at + 1), mark, turn)
    return { ...rest, events: before.events + rest.events }
  }

  async #processAll(page: readonly StoredEvent[], mark: AggregateMark, turn: Turn): Promise<RunResult> {
    const last = page.at(-1)
    if (last === undefined) return { state: 'caught-up', events: 0 }
    let left = page
    let events = 0
    for (;;) {
      if (mark.waits) {
        // Skip waiting events: the call that ends the wait processes them.
        if ((await mark.move(last.sequence)) === 'saved') return { state: 'caught-up', events }
      } else {
        const result = await processBatch(this.#core, this.#processor, mark, left, turn)
        events += result.events
        if (result.isWhole) return { state: 'caught-up', events }
        if (result.failure === undefined) return { state: 'more', events, first: result.first }
        const failed = await this.#fail(result.failure, mark)
        if (failed !== undefined) return { ...failed, events }
      }
      left = page.filter((event) => !mark.isDone(event))
      if (left.length === 0) return { state: 'caught-up', events }
    }
  }

  /**
   * Handles a failure. Returns `undefined` if only later events of the aggregate wait, or another
   * process interfered.
   */
  async #fail(failure: Failure, mark: AggregateMark): Promise<RunResult | undefined> {
    const { error, at, kind } = failure
    if (kind === 'outdated') return { state: 'outdated', events: 0, error, leftAt: at }
    const { name, label } = this.#processor
    const { resumes } = setsAside(this.#processor) ? await readProcessor(this.#core, name) : { resumes: 0 }
    const { row, halts } = afterFailure(this.#core, this.#processor, failure, resumes)
    if (row !== undefined) {
      const stored = await failedRows.read(this.#core.store, await rowIdOf(name, at))
      if ((await mark.move(at.sequence, { rows: [failedRows.write(stored, row)] }, true)) !== 'saved') return undefined
      if (row.nextTryAt === undefined) this.#core.observe?.({ kind: 'parked', subscription: label, eventId: at.id, error })
    }
    if (!halts) return undefined
    const waits = failure.retry === 'all' || this.#processor.onFailure === 'retry'
    return waits ? { state: 'waiting', events: 0, error } : this.#stop(failure)
  }

  async #stop(failure: Failure): Promise<RunResult> {
    const stopped = toStopped(failure, this.#core.runtime.now())
    await stoppedRows.update(rowsOf(this.#core), this.#processor.name, (row) => (row === undefined ? stopped : undefined))
    return { state: 'stopped', events: 0, error: stoppedError(this.#processor.title, stopped, failure.error) }
  }

  /** Returns the mark of an aggregate, not read yet. */
  async markOf(change: AggregateChange): Promise<AggregateMark> {
    return new AggregateMark(this.#core, await rowIdOf(this.#processor.name, change), () => this.era)
  }
}
