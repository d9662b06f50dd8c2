import { isCqrsError } from '../../errors.ts'
import type { Position } from '../../event-envelope.ts'
import { processorRows, type SkippedRow, type StoppedRow, stoppedRows } from '../../store/internal-rows.ts'
import { comparePositions } from '../../store/order.ts'
import type { FeedPage } from '../../store/store.ts'
import { Countdown } from '../../util/countdown.ts'
import { KeyedQueue } from '../../util/keyed-queue.ts'
import { type Asked, askedOf } from '../asked.ts'
import { withoutBesides, workBesides } from '../besides.ts'
import type { AggregateChange, CatchUpOutcome } from '../change.ts'
import type { ResettableConsumer } from '../consumer.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../core.ts'
import { eachEnded } from '../each-ended.ts'
import { readProcessor, resume } from '../failures.ts'
import { nextDue } from '../find-failed.ts'
import { isLongAgo, layoutOf, noteRun, readOrBegin, undivided } from '../layout.ts'
import { isLeasedElsewhere, LeaseLost, type Slice, underLeases } from '../lease.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import type { Watched } from '../look.ts'
import { isWaitedFor } from '../partitions.ts'
import { type Effects, type Failure, keepsStart, type Processor, setsAside } from '../processor.ts'
import { finishReset, type ResetOptions, resetLog } from '../reset.ts'
import { Saver } from '../saver.ts'
import { readStopped, stoppedError, stoppedToRun, toStopped } from '../stopped.ts'
import { findPosition, findWanted } from '../wanted.ts'
import { Acting } from './act.ts'
import { Feed } from './feed.ts'
import { fold } from './fold.ts'
import { HeldPartitions } from './held-partitions.ts'
import { LayoutChanges } from './layout-changes.ts'
import { isPassed, type Left, outdated } from './left.ts'
import type { SliceResult } from './slice.ts'

const pageSize = 1_000
/** Positions without events of interest after which a checkpoint is stored. */
const mostUnsaved = 1_000
/** Interval of checks for stops and requests. */
const lookAgainMs = 5_000
/** Reads the log from the checkpoint on, under its leases, and processes it. One run at a time. */
export class LogConsumer implements ResettableConsumer {
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly asked: Asked | undefined
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #runs = new KeyedQueue()
  readonly #held: HeldPartitions
  readonly #changes: LayoutChanges
  #lookedAt = 0
  #touched = 0
  /** Event that is left to a newer program. */
  #left: Left | undefined
  /** Page that was read to find out which partitions have something to do. */
  #page: FeedPage | undefined
  /** The event that has stopped it and should be skipped. */
  #skipped: SkippedRow | undefined
  #cause: { readonly eventId: string; readonly error: unknown } | undefined

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
    this.title = processor.title
    this.#held = new HeldPartitions(core, processor)
    this.#changes = new LayoutChanges(core, processor)
    this.aggregateTypes = processor.aggregateTypes
    this.asked = askedOf(core, processor, () => this.#touched)
  }

  run(request: RunRequest = {}): Promise<RunResult> {
    return this.#runs.run('', () => this.#run(request), request.signal)
  }

  async catchUp(changes: readonly AggregateChange[]): Promise<readonly CatchUpOutcome[]> {
    return changes.map(() => undefined)
  }

  hold(): Promise<void> {
    return this.#runs.run('', () => this.#held.prove())
  }

  release(): Promise<void> {
    return this.#runs.run('', () => this.#held.release())
  }

  /** Returns whether another process holds the lease, by taking it; rarely called. */
  isHeld(): Promise<boolean> {
    return this.#runs.run('', () => isLeasedElsewhere(this.#core, this.#left?.lease ?? this.#processor.name))
  }

  async position(): Promise<Position> {
    const { name } = this.#processor
    const { value } = !keepsStart(this.#processor) ? { value: undefined } : await processorRows.read(this.#core.store, name)
    return findPosition(this.#core, this.#processor, layoutOf(name, value))
  }

  async watched(): Promise<Watched> {
    return { processor: this.#processor, rows: 'own', toError: (stopped) => this.#stoppedError(stopped) }
  }

  async resume(): Promise<void> {
    await resume(this.#core, this.#processor)
    this.lookAgain()
  }

  reset(options: ResetOptions, signal: AbortSignal): Promise<void> {
    const reset = async () => {
      await this.#held.release()
      await resetLog(this.#core, this.#processor, options, signal)
      this.lookAgain()
    }
    return this.#runs.run('', reset, signal)
  }

  async nextDue(): Promise<Date | undefined> {
    return setsAside(this.#processor) ? nextDue(this.#core, this.#processor.name) : undefined
  }

  lookAgain(): void {
    this.#lookedAt = 0
  }

  /**
   * Takes the lease and moves back to the beginning. Returns false if another process has it.
   *
   * @throws the error of an event left to a newer program
   */
  rewind(transaction: NonNullable<Effects['transaction']>): Promise<boolean> {
    return this.#runs.run('', async () => {
      // A program that cannot read the log to its end must not start over.
      if (this.#left !== undefined && !(await isPassed(this.#core, this.#left))) throw this.#left.failure.error
      if (this.#held.isEmpty) await this.#held.take(undivided, [0])
      const [checkpoint] = this.#held.checkpoints
      if (checkpoint === undefined) return false
      this.#held.isKept = true
      try {
        return (await checkpoint.rewind(transaction)) === 'saved'
      } catch (error) {
        await this.#held.release([], { saves: false }).catch(() => {})
        if (error instanceof LeaseLost) return false
        throw error
      }
    })
  }

  #stoppedError(stopped: StoppedRow) {
    const cause = this.#cause?.eventId === stopped.eventId ? this.#cause.error : undefined
    return stoppedError(this.title, stopped, cause)
  }

  async #run(request: RunRequest): Promise<RunResult> {
    request.signal?.throwIfAborted()
    try {
      return await this.#runOnce(request)
    } catch (error) {
      // If the log went back, the position of unsaved progress no longer exists.
      await this.#held.release([], { saves: !isCqrsError(error, 'STORE_BEHIND') }).catch(() => {})
      if (error instanceof LeaseLost) return { state: 'elsewhere', events: 0, remainingMs: this.#core.leaseMs }
      if (isCqrsError(error, 'SCHEMA_TOO_NEW')) return { state: 'outdated', events: 0, error }
      throw error
    }
  }

  async #runOnce(request: RunRequest): Promise<RunResult> {
    if (this.#left !== undefined) {
      if (!(await isPassed(this.#core, this.#left))) return outdated(this.#left.failure)
      this.#left = undefined
    }
    const now = this.#core.runtime.now().getTime()
    if (this.#held.isEmpty || this.#held.isShared || now - this.#lookedAt > lookAgainMs || now < this.#lookedAt) {
      // Set before reading: requests during the read cause another check.
      this.#lookedAt = now
      const found = await this.#look(request)
      if (found !== undefined) return found
      if (await this.#processor.isFinished?.()) {
        await this.#held.release()
        return { state: 'caught-up', events: 0 }
      }
    }
    const leases = this.#held.checkpoints.map(({ lease }) => lease)
    const result = await underLeases(this.#core, leases, request, (slice) => this.#workOn(request, slice))
    const { isPartial } = this.#held
    if (request.keep) this.#held.isKept = true
    // A run that does not keep leases leaves those that another run keeps; its caller releases
    // them.
    const isOver = !this.#held.isKept || result.state === 'stopped' || result.state === 'outdated' || this.#held.isShared
    const stays = !isOver || (result.state === 'waiting' && this.#held.isKept)
    await this.#held.release(stays ? this.#held.checkpoints : [])
    return isPartial ? { ...result, isPartial, remainingMs: this.#held.remainingMs } : result
  }

  /**
   * Checks for stops and requests, and takes the necessary leases. Returns a result if it cannot
   * run.
   */
  async #look(request: RunRequest): Promise<RunResult | undefined> {
    const core = this.#core
    const { name, mode, kind } = this.#processor
    for (;;) {
      const [stopped, said] = await core.store.readViews([stoppedRows.key(name), processorRows.key(name)])
      const { value } = await stoppedToRun(core, name, stoppedRows.parse(name, stopped))
      this.#skipped = value?.skipped
      if (value !== undefined && value.skipped === undefined) {
        await this.#held.release()
        return { state: 'stopped', events: 0, error: this.#stoppedError(value) }
      }
      const found = processorRows.parse(name, said).value
      const row = !keepsStart(this.#processor) ? found : await readOrBegin(core, this.#processor, found)
      if (kind === 'sqlView' && isLongAgo(core, found?.ranAt)) await noteRun(core, name, kind)
      const layout = layoutOf(name, row)
      if (row?.reset?.isCleared === false) {
        await this.#held.release()
        if (await finishReset(core, name)) continue
        return { state: 'elsewhere', events: 0, remainingMs: core.leaseMs }
      }
      if (this.#changes.isDue(layout)) {
        await this.#held.release()
        if (await this.#changes.change(request)) continue
      }
      const { touched = 0, resumes = 0 } = row ?? {}
      const isFresh = this.#held.isEmpty || layout.partitions > 1
      if (isFresh) {
        const { partitions, page } = await findWanted(core, this.#processor, layout, { resumes, held: this.#held })
        if (partitions.length === 0) {
          this.#touched = touched
          return this.#idle()
        }
        if (!(await this.#held.take(layout, partitions))) {
          await this.#held.release()
          if (await this.#changes.finish(layout, request)) continue
          return { state: 'elsewhere', events: 0, remainingMs: core.leaseMs }
        }
        if (this.#held.isEmpty) return { state: 'elsewhere', events: 0, remainingMs: this.#held.remainingMs }
        this.#page = page
      }
      if (mode === 'act' && (isFresh || touched !== this.#touched)) {
        await this.#held.loadFailed(resumes, isFresh)
      }
      this.#touched = touched
      return undefined
    }
  }

  /**
   * Checks for requests since the run began. Returns false if another process waits for some
   * partitions.
   */
  async #mayGoOn(): Promise<boolean> {
    const { touched, resumes } = await readProcessor(this.#core, this.#processor.name)
    if (touched !== this.#touched) await this.#held.loadFailed(resumes, false)
    this.#touched = touched
    return !(this.#held.isShared && (await isWaitedFor(this.#core, this.#processor.name)))
  }

  /** Ends a run in which no partition has anything to do. */
  async #idle(): Promise<RunResult> {
    await this.#held.release()
    const due = await this.nextDue()
    return { state: 'caught-up', events: 0, ...(due && { nextDue: due }) }
  }

  async #workOn(request: RunRequest, slice: Slice): Promise<RunResult> {
    const { besides } = this.#processor
    const { budgetMs } = withoutBesides(besides, request)
    const countdown = new Countdown(this.#core.runtime, budgetMs)
    const isOver = () => slice.isOver() || countdown.isOver
    return workBesides(besides, await this.#work(request, { ...slice, isOver }), slice)
  }

  async #work(request: RunRequest, slice: Slice): Promise<RunResult> {
    const { checkpoints } = this.#held
    for (const checkpoint of checkpoints) checkpoint.begin()
    const first = checkpoints.reduce((low, one) => (comparePositions(one.position, low.position) < 0 ? one : low))
    const { store } = this.#core
    const size = Math.min(pageSize, request.maxEvents ?? pageSize)
    const feed = new Feed(store, this.#processor.aggregateTypes, first.position, size, first.seen, this.#page)
    this.#page = undefined
    const scene = { core: this.#core, processor: this.#processor, feed, request, slice }
    if (this.#processor.mode === 'fold') return this.#end(request, await fold({ ...scene, checkpoint: first }))
    this.#held.failed?.begin()
    let acting: Acting | undefined
    const saver = new Saver(this.#core, checkpoints, this.#held.failed, {
      fail: (error) => acting?.fail(error),
      resume: () => acting?.resume(),
    })
    const mayGoOn = () => this.#mayGoOn()
    acting = new Acting({ ...scene, checkpoints, failed: this.#held.failed, saver, mayGoOn, skipped: this.#skipped })
    return this.#end(request, await acting.run(), saver)
  }

  /** Stores the checkpoints that moved, and returns why nothing more is done. */
  async #end(
    request: RunRequest,
    { events, isWhole, failure }: SliceResult,
    saver = new Saver(this.#core, this.#held.checkpoints, undefined),
  ): Promise<RunResult> {
    const { onFailure } = this.#processor
    if (failure !== undefined && failure.kind !== 'outdated' && failure.retry !== 'all' && onFailure !== 'retry')
      return { ...(await this.#stop(failure, saver)), events }
    const isLeft = failure?.kind === 'outdated'
    if (isLeft) this.#left = { lease: this.#held.covering(failure.at)?.lease.name ?? this.#processor.name, failure }
    const { keep = false, until } = isLeft ? {} : request
    const isDue = (one: LogCheckpoint) => !one.isSaved() && (!keep || until !== undefined || one.unsaved >= mostUnsaved)
    await eachEnded(this.#held.checkpoints.filter(isDue).map((checkpoint) => saver.saveOne(checkpoint)))
    if (isLeft) return outdated(failure, events)
    if (failure !== undefined) return { state: 'waiting', events, error: failure.error }
    if (!isWhole) return { state: 'more', events }
    const due = this.#held.failed?.mayBeDue ? await nextDue(this.#core, this.#processor.name) : undefined
    // The feed may have passed open events of other partitions.
    const reached = this.#held.isShared ? undefined : this.#held.checkpoints[0]?.position
    return { state: 'caught-up', events, ...(due && { nextDue: due }), ...(reached && { reached }) }
  }

  async #stop(failure: Failure, saver: Saver): Promise<RunResult> {
    const { name } = this.#processor
    const stopped = toStopped(failure, this.#core.runtime.now())
    this.#cause = { eventId: failure.at.id, error: failure.error }
    const checkpoint = this.#held.covering(failure.at) as LogCheckpoint
    // A process with other partitions may have stopped it too, and it may have been resumed since.
    const stop = async () => {
      const row = await readStopped(this.#core, name)
      return row.value === undefined ? [stoppedRows.write(row, stopped)] : []
    }
    checkpoint.alongside.add(stop)
    await saver.saveOne(checkpoint)
    return { state: 'stopped', events: 0, error: this.#stoppedError(stopped) }
  }
}
