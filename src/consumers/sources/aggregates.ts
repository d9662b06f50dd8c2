import { isCqrsError } from '../../errors.ts'
import type { Position } from '../../event-envelope.ts'
import { type FailedRow, type ProcessorRow, processorRows } from '../../store/internal-rows.ts'
import { Countdown } from '../../util/countdown.ts'
import { KeyedQueue } from '../../util/keyed-queue.ts'
import { type Asked, askedOf } from '../asked.ts'
import { withoutBesides } from '../besides.ts'
import { type AggregateChange, type CatchUpOutcome, placeIn } from '../change.ts'
import type { ResettableConsumer } from '../consumer.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../core.ts'
import { eachEnded } from '../each-ended.ts'
import { failedEventId, resume } from '../failures.ts'
import { dueRows, nextDue, unreadableRows } from '../find-failed.ts'
import { HandlerCall } from '../handler-call.ts'
import { readOrBegin } from '../layout.ts'
import { askForLease, type Lease, LeaseLost, leaseOf } from '../lease.ts'
import type { Watched } from '../look.ts'
import { canRead } from '../outdated.ts'
import { beginning } from '../positions.ts'
import { keepsStart, type Processor, setsAside } from '../processor.ts'
import { type ResetOptions, resetAggregates } from '../reset.ts'
import { readStopped, stoppedError, stoppedToRun } from '../stopped.ts'
import { Aggregates, type Limits, type Word } from './advance.ts'
import { workAfterEvents } from './after-events.ts'
import { catchUp, type NewsConsumer } from './catch-up.ts'
import { afterPage, isLeft, readCursor, type ScanCursor, toChange, withoutLeft } from './scan.ts'

/** Aggregates processed in parallel. */
const atOnce = 8
const pageSize = 200
/** DynamoDB's indexes follow their table within this time, as far as observed. */
const settleMs = 2_000
/**
 * Up to this many waiting aggregates are skipped and retried later; with more, the consumer waits.
 */
const mostLeft = 100

/**
 * The consumer of a store without a global order.
 *
 * It receives changed aggregates in any order, with duplicates, and processes each to its end.
 * Progress in each aggregate is stored with the effects, so that each event has its effects once.
 */
export class AggregatesConsumer implements ResettableConsumer {
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly asked: Asked | undefined
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #runs = new KeyedQueue()
  readonly #aggregates: Aggregates
  #lease: Lease | undefined
  #touched = 0
  /** Failed rows that this program cannot read either, with their versions. */
  readonly #beyond = new Set<string>()
  /** Runs and calls begun so far, and those in flight. */
  #begun = 0
  #underWay = 0

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
    this.title = processor.title
    this.#aggregates = new Aggregates(core, processor, () => this.#lease)
    this.aggregateTypes = processor.aggregateTypes
    this.asked = askedOf(core, processor, () => this.#touched)
  }

  run(request: RunRequest = {}): Promise<RunResult> {
    const { signal } = request
    return this.#runs.run('', () => this.#counted(() => this.#run(request)), signal, { until: signal })
  }

  /** Does nothing: every run checks. */
  lookAgain(): void {}

  /** Does nothing: no lease is kept between runs. */
  async hold(): Promise<void> {}
  async release(): Promise<void> {}

  /** Returns false: processing aggregates needs no lease. */
  async isHeld(): Promise<boolean> {
    return false
  }

  async position(): Promise<Position> {
    return beginning
  }

  async watched(): Promise<Watched> {
    return { processor: this.#processor, rows: 'own', toError: (stopped) => stoppedError(this.title, stopped) }
  }

  resume(): Promise<void> {
    return resume(this.#core, this.#processor)
  }

  reset(options: ResetOptions): Promise<void> {
    return resetAggregates(this.#core, this.#processor, options)
  }

  async nextDue(): Promise<Date | undefined> {
    return setsAside(this.#processor) ? nextDue(this.#core, this.#processor.name) : undefined
  }

  /** Processes aggregates that a caller reports as changed. */
  catchUp(changes: readonly AggregateChange[], signal: AbortSignal = this.#core.neverAborts): Promise<readonly CatchUpOutcome[]> {
    const limits: Limits = { signal, isOver: () => signal.aborted }
    return this.#counted((isAlone) => {
      const consumer: NewsConsumer = {
        core: this.#core,
        processor: this.#processor,
        signal,
        isAlone,
        passOver: (skipped) => {
          this.#aggregates.skipped = skipped
        },
        enter: (era) => {
          this.#aggregates.era = era
        },
        inTurn: (change, work) => this.#aggregates.inTurn(change, signal, work),
        markOf: (change) => this.#aggregates.markOf(change),
        advance: (mark, change) => this.#aggregates.advanceFrom(mark, change, 'told', limits),
        advanceAfter: async (first, change) =>
          (await this.#aggregates.advanceFirst(change, first, limits)) ?? this.#aggregates.advance(change, 'told', limits),
      }
      return catchUp(consumer, changes)
    })
  }

  /**
   * Counts work in flight. While `isAlone()` is true, no other run or call overlapped, so earlier
   * reads are still valid in this process.
   */
  async #counted<T>(work: (isAlone: () => boolean) => Promise<T>): Promise<T> {
    const begun = ++this.#begun
    const isFirst = this.#underWay++ === 0
    try {
      return await work(() => isFirst && this.#begun === begun)
    } finally {
      this.#underWay--
      HandlerCall.rest()
    }
  }

  async #run(request: RunRequest): Promise<RunResult> {
    const { leaseMs, runtime } = this.#core
    const { name } = this.#processor
    const { value: stopped } = await stoppedToRun(this.#core, name, await readStopped(this.#core, name))
    this.#aggregates.skipped = stopped?.skipped
    if (stopped !== undefined && stopped.skipped === undefined)
      return { state: 'stopped', events: 0, error: stoppedError(this.title, stopped) }
    const answer = await askForLease(this.#core, name)
    if (!answer.acquired) return { state: 'elsewhere', events: 0, remainingMs: answer.remainingMs }
    const lease = await leaseOf(this.#core, name, answer)
    this.#lease = lease
    const whole = new Countdown(runtime, request.budgetMs)
    const ofEvents = withoutBesides(this.#processor.besides, request)
    const countdown = new Countdown(runtime, ofEvents.budgetMs)
    const isOver = () => request.signal?.aborted === true || countdown.isOver
    try {
      const result = await this.#consume(lease, ofEvents, { signal: request.signal ?? this.#core.neverAborts, isOver })
      return await workAfterEvents(this.#core, this.#processor, lease, result, request, whole)
    } catch (error) {
      if (error instanceof LeaseLost) return { state: 'elsewhere', events: 0, remainingMs: leaseMs }
      throw error
    } finally {
      this.#lease = undefined
      await lease.release().catch(() => {})
    }
  }

  async #consume(lease: Lease, request: RunRequest, limits: Limits): Promise<RunResult> {
    const { store } = this.#core
    const { isOver } = limits
    if (await this.#processor.isFinished?.()) return { state: 'caught-up', events: 0 }
    let events = await this.#tryAgain(limits)
    let cursor = readCursor(lease.text)
    const { epoch } = this.#aggregates.era
    if ((cursor.epoch ?? 1) < epoch) cursor = { epoch, ...(cursor.changes !== undefined && { changes: cursor.changes }) }
    const isNew = cursor.scan === undefined && cursor.scanned !== true
    const marks = isNew && this.#processor.from !== 'beginning'
    const scanAll = isNew || request.until !== undefined || request.reconcile === true || store.readChanges === undefined
    // A complete result needs a scan that begins now.
    if (scanAll && (cursor.scan === undefined || request.finish !== undefined))
      cursor = await this.#beginScan(lease, cursor, marks || cursor.scan?.marks === true, request.finish !== undefined)
    const most = request.maxEvents ?? Number.POSITIVE_INFINITY
    let failed: RunResult | undefined
    /** Processes some more aggregates. */
    const take = async (changes: readonly AggregateChange[], word: Word) => {
      const { left, ...result } = await this.#advanceAll(changes, word, cursor.left ?? [], limits)
      events += result.events
      failed = isLeft(result) ? result : failed
      cursor = left.length === 0 ? withoutLeft(cursor) : { ...cursor, left }
      return result.state === 'caught-up' || (isLeft(result) && left.length <= mostLeft) ? undefined : { ...result, events }
    }
    const save = async () => {
      const text = JSON.stringify(cursor)
      if (text !== lease.text) await lease.write(text)
    }
    const ended = await take((cursor.left ?? []).map(toChange), 'all')
    if (ended !== undefined) return ended
    while (cursor.scan !== undefined) {
      if (isOver() || events >= most) return { state: 'more', events }
      await lease.prove()
      const { type, after, marks, at } = cursor.scan
      if (await this.#isTooSoon(at, lease, request)) return { state: 'more', events }
      const page = await store.readIds({ aggregateType: type, limit: pageSize, ...(after === undefined ? {} : { after }) })
      const ended = await take(
        page.items.map((id) => toChange([type, id])),
        marks ? 'marks' : 'all',
      )
      if (ended !== undefined) return ended
      const scan = afterPage(this.#processor, cursor.scan, page.more ? page.items.at(-1) : undefined)
      const { scan: _, ...rest } = cursor
      cursor = scan === undefined ? { ...rest, scanned: true } : { ...rest, scan }
      await save()
    }
    const end = async (): Promise<RunResult> => {
      const due = await this.nextDue()
      return { state: 'caught-up', ...(cursor.left && failed), ...(due && { nextDue: due }), events }
    }
    if (cursor.left === undefined && request.finish !== undefined)
      await lease.write(JSON.stringify(cursor), { rows: request.finish })
    if (store.readChanges === undefined || request.until !== undefined) return end()
    for (;;) {
      if (isOver() || events >= most) return { state: 'more', events }
      await lease.prove()
      let page: Awaited<ReturnType<typeof store.readChanges>>
      try {
        page = await store.readChanges({ cursor: cursor.changes as string, limit: pageSize })
      } catch (error) {
        if (!isCqrsError(error, 'STORE_BEHIND')) throw error
        // The store has lost the changes after the cursor: scan all aggregates once.
        await this.#beginScan(lease, {}, false)
        return { state: 'more', events }
      }
      const wanted = page.changes.filter(({ aggregateType }) => this.#processor.aggregateTypes.includes(aggregateType))
      const ended = await take(wanted, 'all')
      if (ended !== undefined) return ended
      cursor = { ...cursor, changes: page.cursor }
      await save()
      if (!page.more) return end()
    }
  }

  /** Retries failed events and the later ones that wait. Returns the number of processed events. */
  async #tryAgain(limits: Limits): Promise<number> {
    const { name, mode } = this.#processor
    if (!keepsStart(this.#processor)) return 0
    const { value } = await processorRows.read(this.#core.store, name)
    const { resumes, touched, epoch, reset } = (await readOrBegin(this.#core, this.#processor, value)) as ProcessorRow
    this.#touched = touched
    this.#aggregates.era = { epoch, since: reset?.to }
    if (mode === 'fold') return 0
    let taken = 0
    for await (const { value: row } of dueRows(this.#core, name, resumes)) {
      if (limits.isOver()) return taken
      taken += await this.#retry(row, resumes, limits)
    }
    for await (const { id, version, value: row } of unreadableRows(this.#core, name)) {
      const place = `${id}/${version}`
      if (limits.isOver()) return taken
      if (this.#beyond.has(place)) continue
      if (await canRead(this.#core, failedEventId(row))) taken += await this.#retry(row, resumes, limits)
      else this.#beyond.add(place)
    }
    return taken
  }

  #retry(row: FailedRow, resumes: number, limits: Limits): Promise<number> {
    const change = toChange([row.aggregateType, row.aggregateId])
    return this.#aggregates.inTurn(change, limits.signal, async () => {
      const mark = await this.#aggregates.markOf(change)
      await mark.read()
      await this.#aggregates.enter(mark, change)
      return this.#aggregates.retry(mark, row, resumes, limits)
    })
  }

  /** Starts a scan of all aggregates, late enough to see what was stored shortly before. */
  async #beginScan(lease: Lease, { changes: known }: ScanCursor, marks: boolean, isWhole = false): Promise<ScanCursor> {
    const { store, runtime } = this.#core
    if (marks) await this.#aggregates.begunAt()
    const changes = known ?? (await store.readChanges?.({ limit: 1 }))?.cursor
    // The list of aggregates may lag, but must include everything stored before the cursor or
    // before `finish`.
    const settles = changes !== known || isWhole ? settleMs : 0
    const scan = { type: this.#processor.aggregateTypes[0] as string, marks, at: runtime.now().getTime() + settles }
    const { epoch } = this.#aggregates.era
    const cursor = { ...(epoch > 1 && { epoch }), ...(changes !== undefined && { changes }), scan }
    await lease.write(JSON.stringify(cursor))
    return cursor
  }

  /** Waits until the scan may start, as far as time allows, and keeps the lease. */
  async #isTooSoon(at: number, lease: Lease, { budgetMs = settleMs, signal }: RunRequest): Promise<boolean> {
    const { runtime, leaseMs } = this.#core
    // Limited, because a clock that was set back yields more.
    const waitMs = Math.min(settleMs, at - runtime.now().getTime())
    const step = leaseMs / 3
    for (let leftMs = Math.min(waitMs, budgetMs); leftMs > 0; leftMs -= step) {
      await runtime.sleep(Math.min(step, leftMs), signal)
      await lease.prove({ freshly: true })
    }
    return waitMs > budgetMs
  }

  /**
   * Processes some aggregates; a waiting one does not hold up the others. Returns as `left` all
   * that wait now, including those of `before`.
   */
  async #advanceAll(
    changes: readonly AggregateChange[],
    word: Word,
    before: readonly (readonly [string, string])[],
    limits: Limits,
  ): Promise<RunResult & { readonly left: readonly (readonly [string, string])[] }> {
    const left = new Map(before.map((one) => [placeIn(toChange(one)), one]))
    let [events, waiting]: [number, RunResult | undefined] = [0, undefined]
    const end = (result: RunResult) => ({ ...result, events, left: [...left.values()] })
    for (let i = 0; i < changes.length; i += atOnce) {
      if (limits.isOver()) return end({ state: 'more', events })
      const some = changes.slice(i, i + atOnce)
      const results = await eachEnded(some.map((change) => this.#aggregates.advance(change, word, limits)))
      for (const [nth, result] of results.entries()) {
        const { state, events: taken } = result
        const change = some[nth] as AggregateChange
        events += taken
        if (isLeft(result)) left.set(placeIn(change), [change.aggregateType, change.aggregateId])
        if (state === 'caught-up') left.delete(placeIn(change))
      }
      waiting = results.find(isLeft) ?? waiting
      const stuck = results.find(({ state }) => state === 'more' || state === 'stopped')
      if (stuck !== undefined) return end(stuck)
      if (waiting !== undefined && left.size > mostLeft) return end(waiting)
    }
    return end(waiting ?? { state: 'caught-up', events })
  }
}
