import { isCqrsError } from '../../errors.ts'
import type { Position } from '../../event-envelope.ts'
import { processorRows, type SkippedRow, type StoppedRow, stoppedRows } from '../../store/internal-rows.ts'
import { comparePositions } from '../../store/order.ts'
import type { FeedPage } from '../../store/store.ts'
import { KeyedQueue } from '../../util/keyed-queue.ts'
import { type Asked, askedOf } from '../asked.ts'
import type { AggregateChange, CatchUpOutcome } from '../change.ts'
import type { ResettableConsumer } from '../consumer.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../core.ts'
import { eachEnded } from '../each-ended.ts'
import { FailedAggregates } from '../failed-aggregates.ts'
import { nextDue, readProcessor, resume } from '../failures.ts'
import { isLongAgo, type Layout, layoutOf, noteRun, readOrBegin, undivided } from '../layout.ts'
import { LeaseLost, type Slice, underLeases } from '../lease.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import type { Watched } from '../look.ts'
import { isWaitedFor, takePartitions } from '../partitions.ts'
import { beginning } from '../positions.ts'
import { type Effects, type Failure, type Processor, setsAside } from '../processor.ts'
import { changeLayout } from '../relayout.ts'
import { finishReset, type ResetOptions, resetLog } from '../reset.ts'
import { Saver } from '../saver.ts'
import { readStopped, stoppedError, stoppedToRun, toStopped } from '../stopped.ts'
import { findPosition, findWanted } from '../wanted.ts'
import { Acting } from './act.ts'
import { Feed } from './feed.ts'
import { fold } from './fold.ts'
import { isPassed, type Left, outdated } from './left.ts'
import type { SliceResult } from './slice.ts'

const pageSize = 1_000
/** A checkpoint that only passes what is of no interest is stored this often. */
const mostUnsaved = 1_000
/** What has stopped, or was asked for, is looked for again. */
const lookAgainMs = 5_000
/** The number of partitions is changed at most this often. */
const betweenChangesMs = 60_000

/** Reads the log from the checkpoint on, under its leases, and has it processed. One run at a time. */
export class LogConsumer implements ResettableConsumer {
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly asked: Asked | undefined
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #runs = new KeyedQueue()
  readonly #beyond = new Set<string>()
  #held: readonly LogCheckpoint[] = []
  #failed: FailedAggregates | undefined
  /** A run has kept the leases for runs to come, and its caller will give them up. */
  #isKept = false
  /** Others may have the rest for up to this long. */
  #remainingMs = 0
  /** Partitions that had something to do when it last looked. */
  #wanted = 1
  #isShared = false
  #lookedAt = 0
  #touched = 0
  /** What is left to a newer program. */
  #left: Left | undefined
  /** What was read to find out which partitions have something to do. */
  #page: FeedPage | undefined
  /** Whether it may still change the number of partitions: once, unless a newer program comes in between. */
  #mayChange: boolean
  #epoch: number | undefined
  /** The event that has stopped it, and that someone wants passed over. */
  #skipped: SkippedRow | undefined
  #cause: { readonly eventId: string; readonly error: unknown } | undefined

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
    this.title = processor.title
    this.#mayChange = processor.mode === 'act'
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
    return this.#runs.run('', async () => void (await eachEnded(this.#held.map(({ lease }) => lease.prove({ freshly: true })))))
  }

  release(): Promise<void> {
    return this.#runs.run('', () => this.#release())
  }

  /** Asked for by taking it, so seldom. */
  isHeld(): Promise<boolean> {
    return this.#runs.run('', async () => {
      const { store, holder, leaseMs } = this.#core
      const name = this.#left?.lease ?? this.#processor.name
      const lease = await store.acquireLease({ name, holder, ttlMs: leaseMs })
      if (lease.acquired) await store.releaseLease({ name, fence: lease.fence })
      return !lease.acquired
    })
  }

  async position(): Promise<Position> {
    const { name, mode } = this.#processor
    const { value } = mode === 'fold' ? { value: undefined } : await processorRows.read(this.#core.store, name)
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
      await this.#release()
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

  /** Takes the lease and goes back to the beginning. False: another process has it. @throws what an event was left to a newer program for */
  rewind(transaction: NonNullable<Effects['transaction']>): Promise<boolean> {
    return this.#runs.run('', async () => {
      // What this program cannot read to its end it must not begin anew.
      if (this.#left !== undefined && !(await isPassed(this.#core, this.#left))) throw this.#left.failure.error
      if (this.#held.length === 0) await this.#take(undivided, [0])
      const [checkpoint] = this.#held
      if (checkpoint === undefined) return false
      this.#isKept = true
      try {
        return (await checkpoint.rewind(transaction)) === 'saved'
      } catch (error) {
        await this.#release([], { saves: false }).catch(() => {})
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
      // A log that went back has taken the place of an unsaved position away.
      await this.#release([], { saves: !isCqrsError(error, 'STORE_BEHIND') }).catch(() => {})
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
    if (this.#held.length === 0 || this.#isShared || now - this.#lookedAt > lookAgainMs || now < this.#lookedAt) {
      // Noted first: what is asked for meanwhile is looked at once more.
      this.#lookedAt = now
      const found = await this.#look(request)
      if (found !== undefined) return found
      if (await this.#processor.isFinished?.()) {
        await this.#release()
        return { state: 'caught-up', events: 0 }
      }
    }
    const leases = this.#held.map(({ lease }) => lease)
    const result = await underLeases(this.#core, leases, request, (slice) => this.#work(request, slice))
    const isPartial = this.#held.length < this.#wanted
    if (request.keep) this.#isKept = true
    // A run that does not keep leaves what another has kept: its caller gives it up.
    const isOver = !this.#isKept || result.state === 'stopped' || result.state === 'outdated' || this.#isShared
    const kept = result.state === 'waiting' && this.#isKept ? this.#held : isOver ? [] : this.#held
    await this.#release(kept)
    return isPartial ? { ...result, isPartial, remainingMs: this.#remainingMs } : result
  }

  /** Looks at what has stopped it and what was asked for, and takes what it needs. Answers why it does not run. */
  async #look(request: RunRequest): Promise<RunResult | undefined> {
    const core = this.#core
    const { name, mode, kind } = this.#processor
    for (;;) {
      const [stopped, said] = await core.store.readViews([stoppedRows.key(name), processorRows.key(name)])
      const { value } = await stoppedToRun(core, name, stoppedRows.parse(name, stopped))
      this.#skipped = value?.skipped
      if (value !== undefined && value.skipped === undefined) {
        await this.#release()
        return { state: 'stopped', events: 0, error: this.#stoppedError(value) }
      }
      const found = processorRows.parse(name, said).value
      const row = mode === 'fold' ? found : await readOrBegin(core, this.#processor, found)
      if (kind === 'sqlView' && isLongAgo(core, found?.ranAt)) await noteRun(core, name, kind)
      const layout = layoutOf(name, row)
      if (row?.reset?.isCleared === false) {
        await this.#release()
        if (await finishReset(core, name)) continue
        return { state: 'elsewhere', events: 0, remainingMs: core.leaseMs }
      }
      if (await this.#hasChanged(layout, request)) continue
      const { touched = 0, resumes = 0 } = row ?? {}
      const isFresh = this.#held.length === 0 || layout.partitions > 1
      if (isFresh) {
        const { partitions, page } = await findWanted(core, this.#processor, layout, resumes)
        if (partitions.length === 0) {
          this.#touched = touched
          return this.#idle()
        }
        if (!(await this.#take(layout, partitions))) {
          if (await this.#finishChange(layout, request)) continue
          return { state: 'elsewhere', events: 0, remainingMs: core.leaseMs }
        }
        if (this.#held.length === 0) return { state: 'elsewhere', events: 0, remainingMs: this.#remainingMs }
        this.#page = page
      }
      if (mode === 'act' && (isFresh || touched !== this.#touched)) {
        if (isFresh) this.#failed = new FailedAggregates(core, this.#processor, this.#beyond)
        await this.#failed?.load(resumes)
      }
      this.#touched = touched
      return undefined
    }
  }

  /** Looks at what was asked for since the run began. False: another process waits for some of the partitions. */
  async #mayGoOn(): Promise<boolean> {
    const { touched, resumes } = await readProcessor(this.#core, this.#processor.name)
    if (touched !== this.#touched) await this.#failed?.load(resumes)
    this.#touched = touched
    return !(this.#isShared && (await isWaitedFor(this.#core, this.#processor.name)))
  }

  /** No partition has anything to do. */
  async #idle(): Promise<RunResult> {
    await this.#release()
    const due = await this.nextDue()
    return { state: 'caught-up', events: 0, ...(due && { nextDue: due }) }
  }

  /** Divides it as its definition says, once: older programs that run already follow the newer one that starts. */
  async #hasChanged({ epoch, partitions, changedAt }: Layout, request: RunRequest): Promise<boolean> {
    this.#epoch ??= epoch
    if (epoch !== this.#epoch || partitions === this.#processor.partitions) this.#mayChange = false
    const now = this.#core.runtime.now().getTime()
    if (!this.#mayChange || Math.abs(now - changedAt) < betweenChangesMs) return false
    this.#mayChange = false
    return this.#change(this.#processor.partitions, request)
  }

  /** Another process has changed the layout, or has died while it did. False: it has to be waited for. */
  async #finishChange({ epoch, partitions }: Layout, request: RunRequest): Promise<boolean> {
    const { value } = await processorRows.read(this.#core.store, this.#processor.name)
    return value?.epoch !== epoch || this.#change(partitions, request)
  }

  async #change(partitions: number, { budgetMs, signal }: RunRequest): Promise<boolean> {
    await this.#release()
    const untilMs = budgetMs === undefined ? Number.POSITIVE_INFINITY : this.#core.runtime.now().getTime() + budgetMs
    return changeLayout(this.#core, this.#processor.name, partitions, { untilMs, signal })
  }

  /** Takes some partitions, in place of those that it has. False: the layout is not the one in use. */
  async #take(layout: Layout, wanted: readonly number[]): Promise<boolean> {
    const { checkpoints, remainingMs, isStale } = await takePartitions(this.#core, this.#processor.name, layout, wanted)
    const names = checkpoints.map(({ lease }) => lease.name)
    await eachEnded(this.#held.filter(({ lease }) => !names.includes(lease.name)).map(({ lease }) => lease.release()))
    this.#held = checkpoints
    this.#remainingMs = remainingMs
    this.#wanted = wanted.length
    this.#isShared = layout.partitions > 1
    return !isStale
  }

  /** Gives up all but these. */
  async #release(kept: readonly LogCheckpoint[] = [], { saves = true } = {}): Promise<void> {
    const released = this.#held.filter((checkpoint) => !kept.includes(checkpoint))
    // What has failed is stored with the checkpoint that passes over it.
    const saver = new Saver(this.#core, released, this.#failed)
    this.#held = kept
    if (kept.length === 0) {
      this.#isKept = false
      this.#failed = undefined
    }
    await eachEnded(
      released.map(async (checkpoint) => {
        try {
          if (saves && checkpoint.progress.at !== beginning) await saver.saveOne(checkpoint).catch(ignoreLost)
        } finally {
          await checkpoint.lease.release()
        }
      }),
    )
  }

  async #work(request: RunRequest, slice: Slice): Promise<RunResult> {
    const checkpoints = this.#held
    for (const checkpoint of checkpoints) checkpoint.begin()
    const first = checkpoints.reduce((low, one) => (comparePositions(one.position, low.position) < 0 ? one : low))
    const { store } = this.#core
    const size = Math.min(pageSize, request.maxEvents ?? pageSize)
    const feed = new Feed(store, this.#processor.aggregateTypes, first.position, size, first.seen, this.#page)
    this.#page = undefined
    const scene = { core: this.#core, processor: this.#processor, feed, request, slice }
    if (this.#processor.mode === 'fold') return this.#end(request, await fold({ ...scene, checkpoint: first }))
    this.#failed?.begin()
    let acting: Acting | undefined
    const saver = new Saver(this.#core, checkpoints, this.#failed, {
      fail: (error) => acting?.fail(error),
      resume: () => acting?.resume(),
    })
    const mayGoOn = () => this.#mayGoOn()
    acting = new Acting({ ...scene, checkpoints, failed: this.#failed, saver, mayGoOn, skipped: this.#skipped })
    return this.#end(request, await acting.run(), saver)
  }

  /** Stores the checkpoints that passed something, and says why nothing more is done. */
  async #end(
    request: RunRequest,
    { events, isWhole, failure }: SliceResult,
    saver = new Saver(this.#core, this.#held, undefined),
  ): Promise<RunResult> {
    const { onFailure } = this.#processor
    if (failure !== undefined && failure.kind !== 'outdated' && onFailure !== 'retry')
      return { ...(await this.#stop(failure, saver)), events }
    const isLeft = failure?.kind === 'outdated'
    if (isLeft) this.#left = { lease: this.#leaseOf(failure), failure }
    const { keep = false, until } = isLeft ? {} : request
    const isDue = (one: LogCheckpoint) => !one.isSaved() && (!keep || until !== undefined || one.unsaved >= mostUnsaved)
    await eachEnded(this.#held.filter(isDue).map((checkpoint) => saver.saveOne(checkpoint)))
    if (isLeft) return outdated(failure, events)
    if (failure !== undefined) return { state: 'waiting', events, error: failure.error }
    if (!isWhole) return { state: 'more', events }
    const due = this.#failed?.mayBeDue ? await nextDue(this.#core, this.#processor.name) : undefined
    // Of other partitions the feed has passed what is not done.
    const reached = this.#isShared ? undefined : this.#held[0]?.position
    return { state: 'caught-up', events, ...(due && { nextDue: due }), ...(reached && { reached }) }
  }

  #leaseOf({ at }: Failure): string {
    return this.#held.find((checkpoint) => checkpoint.covers(at))?.lease.name ?? this.#processor.name
  }

  async #stop(failure: Failure, saver: Saver): Promise<RunResult> {
    const { name } = this.#processor
    const stopped = toStopped(failure, this.#core.runtime.now())
    this.#cause = { eventId: failure.at.id, error: failure.error }
    const checkpoint = this.#held.find((one) => one.covers(failure.at)) as LogCheckpoint
    // Another process, with other partitions, may have stopped it too; perhaps it was resumed since.
    const stop = async () => {
      const row = await readStopped(this.#core, name)
      return row.value === undefined ? [stoppedRows.write(row, stopped)] : []
    }
    await saver.saveOne(checkpoint, stop)
    return { state: 'stopped', events: 0, error: this.#stoppedError(stopped) }
  }
}

function ignoreLost(error: unknown): void {
  if (!(error instanceof LeaseLost)) throw error
}
