import type { Position } from '../../event-envelope.ts'
import type { FailedRow } from '../../store/internal-rows.ts'
import { comparePositions } from '../../store/order.ts'
import { Countdown } from '../../util/countdown.ts'
import { processBacklog } from '../backlog.ts'
import type { Known } from '../failed-aggregates.ts'
import { afterFailure, toFailed } from '../failures.ts'
import { HandlerCall } from '../handler-call.ts'
import { LeaseLost } from '../lease.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import { LogResults } from '../log-results.ts'
import { lowest } from '../positions.ts'
import { decoded } from '../process-batch.ts'
import type { Failure, Turn } from '../processor.ts'
import { skipWrites } from '../skips.ts'
import { aggregateOf, type Item, Window } from '../window.ts'
import type { Gathered } from './feed.ts'
import type { Scene } from './scene.ts'
import { newOf, type SliceResult } from './slice.ts'

/** Limit of events in hand; half of them are read at once. */
const mostInHand = 1_000
/** Time for handlers in flight at the end of a slice, before the next slice begins. */
const graceMs = 250

/** Passes the events of some partitions to an acting processor, several in parallel if allowed. */
export class Acting {
  readonly #scene: Scene
  readonly #window: Window
  readonly #results: LogResults
  #countdown: Countdown
  /** The remaining time is too short for a handler. */
  #isOver = false
  #due: Known[] = []
  #active = 0
  #activeDue = 0
  #wasDue = false
  #begun = 0
  #events = 0
  #failure: Failure | undefined
  #error: { readonly error: unknown } | undefined
  #isNew = false
  readonly #waiting = new Set<() => void>()

  constructor(scene: Scene) {
    const { processor, request } = scene
    this.#scene = scene
    this.#results = new LogResults(scene.checkpoints, scene.failed, scene.saver)
    this.#window = new Window(processor.concurrency)
    this.#countdown = new Countdown(scene.core.runtime, request.budgetMs)
  }

  async run(): Promise<SliceResult> {
    const { core, slice, request, saver, processor } = this.#scene
    const forget = processor.concurrency === 1 ? () => {} : core.pulse.onWake(() => this.#noteNew())
    let isWhole = false
    const failed = (error: unknown) => {
      this.fail(error)
      return false
    }
    try {
      for (;;) {
        const ended = new AbortController()
        const { leftMs } = this.#countdown
        if (processor.concurrency > 1 && Number.isFinite(leftMs))
          core.runtime.sleep(leftMs, ended.signal).then(
            () => this.#notify(),
            () => {},
          )
        isWhole = await this.#stretch()
          .catch(failed)
          .finally(() => ended.abort())
        if (this.#active === 0) break
        await Promise.race([this.#idle(), core.runtime.sleep(graceMs, slice.signal).catch(() => {})])
        if (this.#active === 0) break
        const mayGoOn = request.keep && processor.concurrency > 1 && !this.#isHalted
        if (!(mayGoOn && (await this.#scene.mayGoOn().catch(failed)))) {
          await this.#idle()
          break
        }
        // Slow handlers must not hold up due retries.
        this.#giveBackDue()
        this.#scene.failed?.begin()
        this.#countdown = new Countdown(core.runtime, request.budgetMs)
        this.#isOver = false
      }
      await saver.end(this.#error !== undefined).catch(failed)
    } finally {
      forget()
      this.#giveBackDue()
      HandlerCall.rest()
    }
    if (this.#error !== undefined) throw this.#error.error
    if (slice.signal.reason instanceof LeaseLost) throw slice.signal.reason
    return { events: this.#events, isWhole, failure: this.#failure }
  }

  /** Ends work in flight; then the slice fails with the error. */
  fail(error: unknown): void {
    this.#error ??= { error }
    this.#scene.slice.abort(error)
    this.#notify()
  }

  /** Continues work that waited for a save. */
  resume(): void {
    this.#pump()
    this.#notify()
  }

  /** Works until nothing is left or time is up. Returns true if nothing is left. */
  async #stretch(): Promise<boolean> {
    const { core, feed, request } = this.#scene
    const { maxEvents = Number.POSITIVE_INFINITY } = request
    let more = true
    for (;;) {
      if (this.#isEnding) return false
      const reads = this.#isNew || (more && !this.#isReached())
      if (reads) {
        this.#isNew = false
        const gathered = await feed.gather(Math.min(mostInHand / 2, maxEvents))
        more = gathered.more
        for (const checkpoint of this.#scene.checkpoints) await this.#admit(checkpoint, gathered)
      }
      // New events come first, so that they get their turns.
      await this.#findDue()
      this.#pump()
      // Let other work of the process run, even if neither the store nor the handler waits.
      if (reads && more) await core.runtime.sleep(0)
      const isIdle = this.#active === 0 && this.#window.size === 0 && this.#due.length === 0
      if (!reads && isIdle && !this.#isEnding) return true
      if (!reads && !isIdle) await this.#change()
      while (this.#window.size > mostInHand / 2 && !this.#isEnding) await this.#change()
    }
  }

  async #admit(checkpoint: LogCheckpoint, { events, position, last }: Gathered): Promise<void> {
    const { core, failed } = this.#scene
    const all = await decoded(core, await newOf(checkpoint, events))
    await failed?.lookUp(all.map(({ stored }) => stored))
    // No await from here on: ending a wait and skipping a waiting event would race.
    const items = all.map((one): Item => ({ decoded: one, checkpoint, aggregate: aggregateOf(one.stored) }))
    const waiting = new Set(items.filter(({ aggregate }) => failed?.has(aggregate)))
    const own = items.filter((item) => !waiting.has(item))
    checkpoint.pass({ events: own.map(({ decoded }) => decoded.stored), position, last })
    for (const { decoded } of waiting) checkpoint.passOver(decoded.stored)
    const { skipped, saver } = this.#scene
    for (const item of own) {
      if (item.decoded.stored.id !== skipped?.eventId) this.#window.add(item)
      else {
        checkpoint.passOver(item.decoded.stored)
        checkpoint.alongside.add(() => skipWrites(core, skipped))
      }
    }
    if (checkpoint.alongside.size > 0) await saver.save()
  }

  async #findDue(): Promise<void> {
    const { failed, checkpoints } = this.#scene
    if (failed === undefined || this.#due.length > 0) return
    const covers = (row: FailedRow) => checkpoints.some((one) => one.covers(row))
    this.#due = [...(await failed.due(covers, () => this.#isEnding))]
  }

  #giveBackDue(): void {
    for (const known of this.#due.splice(0)) known.isBusy = false
  }

  #pump(): void {
    const { processor, saver } = this.#scene
    // With concurrency 1, each event is saved before the next begins.
    while (this.#active < processor.concurrency && !this.#isEnding && !(processor.concurrency === 1 && saver.isSaving)) {
      const job = this.#next()
      if (job === undefined) return
      this.#active++
      void job()
        .catch((error: unknown) => this.fail(error))
        .finally(() => {
          this.#active--
          this.#pump()
          this.#notify()
        })
    }
  }

  /** Returns the next job. At most half are retries, so that they do not hold up new events. */
  #next(): (() => Promise<void>) | undefined {
    const { concurrency } = this.#scene.processor
    const isTurn = concurrency === 1 ? !this.#wasDue : this.#activeDue < Math.floor(concurrency / 2)
    if (this.#due.length > 0 && (isTurn || !this.#window.isReady)) {
      const known = this.#due.shift() as Known
      this.#wasDue = true
      this.#begun++
      return () => this.#retry(known)
    }
    const { batchSize } = this.#scene.processor
    const items = this.#window.take(Math.min(batchSize, (this.#scene.request.maxEvents ?? batchSize + this.#begun) - this.#begun))
    if (items.length === 0) return undefined
    this.#wasDue = false
    this.#begun += items.length
    return () => this.#process(items)
  }

  async #process(items: readonly Item[]): Promise<void> {
    const { processor, saver } = this.#scene
    const checkpoints = new Set(items.map(({ checkpoint }) => checkpoint))
    const { done, failure } = await processor.take(
      items.map((item) => item.decoded),
      this.#turnOf(checkpoints),
    )
    for (const { checkpoint, decoded } of items.slice(0, done)) checkpoint.done(decoded.stored)
    this.#events += done
    let left = items.slice(done)
    const [first] = left
    if (failure !== undefined && first !== undefined && this.#setAside(failure)) {
      const behind = left.filter(({ aggregate }) => aggregate === first.aggregate)
      left = left.filter(({ aggregate }) => aggregate !== first.aggregate)
      for (const item of [...behind, ...this.#window.drop(first.aggregate)]) item.checkpoint.passOver(item.decoded.stored)
      this.#events++
    } else if (left.length > 0 && failure === undefined && done === 0) this.#isOver = true
    this.#window.end(items, left)
    saver.note(done)
    if (failure !== undefined) await this.#noteFailure(failure)
  }

  /** Processes waiting events of an aggregate, up to where its partition was read. */
  async #retry(known: Known): Promise<void> {
    const { core, processor, checkpoints, failed, saver } = this.#scene
    const checkpoint = checkpoints.find((one) => one.covers(known))
    this.#activeDue++
    try {
      for (let row = known.value; checkpoint !== undefined && failed !== undefined && row !== undefined; ) {
        const reach = checkpoint.reachIn(known)
        const hasPassed = ({ position }: { readonly position?: Position }) => comparePositions(position as Position, reach) <= 0
        const result = await processBacklog(core, processor, row, hasPassed, this.#turnOf([checkpoint]))
        const { events, sequence, isEmpty, failure } = result
        this.#events += events
        const isElsewhere = sequence !== row.sequence
        const next = {
          ...(known.value ?? row),
          sequence,
          attempts: isElsewhere ? 0 : row.attempts,
          nextTryAt: core.runtime.now().toISOString(),
        }
        if (failure?.kind === 'outdated') {
          // The aggregate waits already; the rest does not have to.
          if (isElsewhere) failed.set(known, toFailed(core, processor, failure, failed.resumes))
          else failed.leave(known)
        } else if (failure !== undefined) {
          if (!this.#setAside(failure, row) && isElsewhere) failed.set(known, next)
        } else if (!isEmpty) {
          if (isElsewhere) failed.set(known, next)
          if (events === 0) this.#isOver = true
        } else if (checkpoint.reachIn(known) === reach) failed.set(known, undefined)
        else {
          row = next
          continue
        }
        saver.note(Math.max(1, events))
        if (failure !== undefined) await this.#noteFailure(failure)
        return
      }
    } finally {
      known.isBusy = false
      this.#activeDue--
    }
  }

  /** Returns true if only the aggregate waits. */
  #setAside(failure: Failure, before?: Known['value']): boolean {
    const { core, processor, failed } = this.#scene
    const { row, halts } = afterFailure(core, processor, failure, failed?.resumes ?? 0, before)
    if (halts) this.#failure ??= failure
    if (row === undefined || failed === undefined) return false
    failed.set(failure.at, this.#results.added(row, failure.at))
    return true
  }

  async #noteFailure({ at, error }: Failure): Promise<void> {
    const { core, processor, saver, failed } = this.#scene
    const row = failed?.get(aggregateOf(at))?.value
    await saver.save()
    if (row !== undefined && row.nextTryAt === undefined)
      core.observe?.({ kind: 'parked', subscription: processor.label, eventId: at.id, error })
  }

  #turnOf(checkpoints: Iterable<LogCheckpoint>): Turn {
    const { signal } = this.#scene.slice
    const prove = async () => {
      for (const { lease } of checkpoints) await lease.prove()
    }
    return { signal, prove, results: this.#results, isOver: () => this.#isEnding }
  }

  get #isHalted(): boolean {
    return this.#scene.slice.signal.aborted || this.#failure !== undefined || this.#error !== undefined
  }

  /** Nothing more should begin, except the first event after a slow read. */
  get #isEnding(): boolean {
    const { maxEvents = Number.POSITIVE_INFINITY } = this.#scene.request
    const mayBegin = this.#begun === 0 && this.#window.size > 0
    return this.#isHalted || this.#begun >= maxEvents || (!mayBegin && (this.#isOver || this.#countdown.isOver))
  }

  #isReached(): boolean {
    const { until } = this.#scene.request
    if (until === undefined) return false
    return comparePositions(lowest(this.#scene.checkpoints.map(({ position }) => position)), until) >= 0
  }

  #noteNew(): void {
    this.#isNew = true
    this.#notify()
  }

  /** Waits until a handler ends, an event arrives or time is up. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #notify(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  async #idle(): Promise<void> {
    while (this.#active > 0) await this.#change()
  }
}
