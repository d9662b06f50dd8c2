import { isCqrsError } from '../../errors.ts'
import type { Position } from '../../event-envelope.ts'
import { KeyedQueue } from '../../util/keyed-queue.ts'
import { type CatchUpOutcome, type Change, placeIn } from '../change.ts'
import type { ConsumerCore, Consumption, RunRequest, RunResult } from '../consumption.ts'
import { beginning, Lane, LeaseLost } from '../lane.ts'
import { readStopped, readStoppedToRun, stoppedError } from '../troubles.ts'
import { Aggregates, type Word } from './aggregates.ts'
import { catchUp, type NewsConsumer } from './catch-up.ts'

/** Aggregates that are worked on at the same time. */
const atOnce = 8
const pageSize = 200
/** DynamoDB's indexes follow their table within this long, as far as anybody has seen. */
const settleMs = 2_000
/** So many aggregates that wait for another try do not keep it from the others; behind more, it waits too. */
const mostLeft = 100

/** A look at every aggregate. */
interface Scan {
  readonly type: string
  readonly after?: string | undefined
  /** What is there already is not delivered. */
  readonly marks: boolean
  /** Not before, in milliseconds since 1970. */
  readonly at: number
}

/** What the checkpoint says: where to go on in the changes, and in the scan of all aggregates that comes first. */
interface Cursor {
  readonly changes?: string
  readonly scan?: Scan | undefined
  /** All aggregates were looked at once. */
  readonly scanned?: true
  /** Aggregates behind it that wait for another try: types and ids. */
  readonly left?: readonly (readonly [string, string])[]
}

/**
 * The consumer of a store without a global order: it is told which aggregates have changed, as often and in whatever order, and brings each up to its end. How far it
 * has come in each is stored with the effects, so that each event has its effects once.
 */
export class ByAggregate {
  readonly consumption: Consumption
  readonly #core: ConsumerCore
  readonly #runs = new KeyedQueue()
  readonly #aggregates: Aggregates
  #lane: Lane | undefined
  /** Runs and calls that have ever begun, and those under way. */
  #begun = 0
  #underWay = 0

  constructor(core: ConsumerCore, consumption: Consumption) {
    this.#core = core
    this.consumption = consumption
    this.#aggregates = new Aggregates(core, consumption, () => this.#lane)
  }

  run(request: RunRequest = {}): Promise<RunResult> {
    const { signal } = request
    return this.#runs.run('', () => this.#counted(() => this.#run(request)), signal, { until: signal })
  }

  async release(): Promise<void> {}

  lookAgain(): void {}

  /** Who brings aggregates up to their ends needs no lease. */
  async isHeld(): Promise<boolean> {
    return false
  }

  async position(): Promise<Position> {
    return beginning
  }

  async trouble(): Promise<unknown> {
    const { value } = await readStopped(this.#core, this.consumption.name)
    return value && stoppedError(this.consumption.title, value)
  }

  /** Brings aggregates up to their ends, for whoever knows that they have changed. */
  catchUp(changes: readonly Change[], signal: AbortSignal = this.#core.neverAborts): Promise<readonly CatchUpOutcome[]> {
    return this.#counted((isAlone) => {
      const consumer: NewsConsumer = {
        core: this.#core,
        consumption: this.consumption,
        signal,
        isAlone,
        inTurn: (change, work) => this.#aggregates.inTurn(change, signal, work),
        laneOf: (change) => this.#aggregates.laneOf(change),
        advance: (lane, change) => this.#aggregates.advanceAlong(lane, change, 'told', signal, () => signal.aborted),
      }
      return catchUp(consumer, changes)
    })
  }

  /** `isAlone`: nothing else of this consumer was under way since the work began, so that what was read since then still holds in this process. */
  async #counted<T>(work: (isAlone: () => boolean) => Promise<T>): Promise<T> {
    const begun = ++this.#begun
    const isFirst = this.#underWay++ === 0
    try {
      return await work(() => isFirst && this.#begun === begun)
    } finally {
      this.#underWay--
    }
  }

  async #run(request: RunRequest): Promise<RunResult> {
    const { store, holder, leaseMs, runtime } = this.#core
    const { name } = this.consumption
    const { value: stopped } = await readStoppedToRun(this.#core, name)
    if (stopped !== undefined) return { state: 'stopped', events: 0, error: stoppedError(this.consumption.title, stopped) }
    const lease = await store.acquireLease({ name, holder, ttlMs: leaseMs })
    if (!lease.acquired) return { state: 'elsewhere', events: 0, remainingMs: lease.remainingMs }
    const saved = (await store.readCheckpoint(name))?.position ?? null
    const start = (saved ?? '{}') as Position
    const lane = new Lane(this.#core, this.#core.consumerQueue, {
      name,
      slot: undefined,
      fence: lease.fence,
      saved,
      start,
      ttlMs: leaseMs,
    })
    this.#lane = lane
    const over = request.budgetMs === undefined ? Number.POSITIVE_INFINITY : runtime.now().getTime() + request.budgetMs
    const isOver = () => request.signal?.aborted === true || runtime.now().getTime() >= over
    try {
      return await this.#consume(lane, request, isOver)
    } catch (error) {
      if (error instanceof LeaseLost) return { state: 'elsewhere', events: 0, remainingMs: leaseMs }
      throw error
    } finally {
      this.#lane = undefined
      await lane.release().catch(() => {})
    }
  }

  async #consume(lane: Lane, request: RunRequest, isOver: () => boolean): Promise<RunResult> {
    const { store } = this.#core
    const signal = request.signal ?? this.#core.neverAborts
    if ((await this.consumption.begin?.([])) === false) return { state: 'caught-up', events: 0 }
    let events = await this.#tryAgain(signal, isOver)
    let cursor = JSON.parse(lane.position) as Cursor
    const isNew = cursor.scan === undefined && cursor.scanned !== true
    const marks = isNew && this.consumption.from !== 'beginning'
    const scanAll = isNew || request.until !== undefined || request.reconcile === true || store.readChanges === undefined
    // What has to be whole must be looked at from now on.
    if (scanAll && (cursor.scan === undefined || request.finish !== undefined))
      cursor = await this.#beginScan(lane, cursor, marks || cursor.scan?.marks === true, request.finish !== undefined)
    const most = request.maxEvents ?? Number.POSITIVE_INFINITY
    let failed: RunResult | undefined
    /** What it came to with some more aggregates. */
    const take = async (changes: readonly Change[], word: Word) => {
      const { left, ...result } = await this.#advanceAll(changes, word, cursor.left ?? [], signal, isOver)
      events += result.events
      failed = isLeft(result) ? result : failed
      cursor = left.length === 0 ? withoutLeft(cursor) : { ...cursor, left }
      return result.state === 'caught-up' || (isLeft(result) && left.length <= mostLeft) ? undefined : { ...result, events }
    }
    const save = async () => {
      const reached = JSON.stringify(cursor) as Position
      if (reached !== lane.position) await lane.save(reached)
    }
    const ended = await take((cursor.left ?? []).map(toChange), 'all')
    if (ended !== undefined) return ended
    while (cursor.scan !== undefined) {
      if (isOver() || events >= most) return { state: 'more', events }
      await lane.prove()
      const { type, after, marks, at } = cursor.scan
      if (await this.#isTooSoon(at, lane, request)) return { state: 'more', events }
      const page = await store.readIds({ aggregateType: type, limit: pageSize, ...(after === undefined ? {} : { after }) })
      const ended = await take(
        page.items.map((id) => toChange([type, id])),
        marks ? 'marks' : 'all',
      )
      if (ended !== undefined) return ended
      const scan = this.#afterPage(cursor.scan, page.more ? page.items.at(-1) : undefined)
      const { scan: _, ...rest } = cursor
      cursor = scan === undefined ? { ...rest, scanned: true } : { ...rest, scan }
      await save()
    }
    const end = (): RunResult => ({ state: 'caught-up', ...(cursor.left && failed), events })
    if (cursor.left === undefined && request.finish !== undefined) await request.finish(lane)
    if (store.readChanges === undefined || request.until !== undefined) return end()
    for (;;) {
      if (isOver() || events >= most) return { state: 'more', events }
      await lane.prove()
      let page: Awaited<ReturnType<typeof store.readChanges>>
      try {
        page = await store.readChanges({ cursor: cursor.changes as string, limit: pageSize })
      } catch (error) {
        if (!isCqrsError(error, 'STORE_BEHIND')) throw error
        // What came after the cursor is forgotten: look at everything once.
        await this.#beginScan(lane, {}, false)
        return { state: 'more', events }
      }
      const wanted = page.changes.filter(({ aggregateType }) => this.consumption.aggregateTypes.includes(aggregateType))
      const ended = await take(wanted, 'all')
      if (ended !== undefined) return ended
      cursor = { ...cursor, changes: page.cursor }
      await save()
      if (!page.more) return end()
    }
  }

  /** How many events were taken of what was parked. */
  async #tryAgain(signal: AbortSignal, isOver: () => boolean): Promise<number> {
    let taken = 0
    for (const one of (await this.consumption.again?.()) ?? []) {
      if (isOver()) break
      const change = toChange([one.aggregateType, one.aggregateId])
      taken += await this.#aggregates.inTurn(change, signal, async () => {
        const lane = await this.#aggregates.laneOf(change)
        await lane.read()
        return one.deliver({ lane, signal, isOver })
      })
    }
    return taken
  }

  /** A look at all is not begun before what was stored shortly before can be seen. */
  async #beginScan(lane: Lane, { changes: known }: Cursor, marks: boolean, isWhole = false): Promise<Cursor> {
    const { store, runtime } = this.#core
    if (marks) await this.#aggregates.begunAt()
    const changes = known ?? (await store.readChanges?.({ limit: 1 }))?.cursor
    // The list of aggregates may be a moment behind: what was stored just before the cursor, or before what waits for this, must be in it.
    const settles = changes !== known || isWhole ? settleMs : 0
    const scan = { type: this.consumption.aggregateTypes[0] as string, marks, at: runtime.now().getTime() + settles }
    const cursor = changes === undefined ? { scan } : { changes, scan }
    await lane.save(JSON.stringify(cursor) as Position)
    return cursor
  }

  /** Waits until then, for as long as there is time, and keeps the lease. */
  async #isTooSoon(at: number, lane: Lane, { budgetMs = settleMs, signal }: RunRequest): Promise<boolean> {
    const { runtime, leaseMs } = this.#core
    const waitMs = at - runtime.now().getTime()
    const step = leaseMs / 3
    for (let leftMs = Math.min(waitMs, budgetMs); leftMs > 0; leftMs -= step) {
      await runtime.sleep(Math.min(step, leftMs), signal)
      await lane.prove({ freshly: true })
    }
    return waitMs > budgetMs
  }

  #afterPage({ type, marks, at }: Scan, last: string | undefined): Scan | undefined {
    if (last !== undefined) return { type, after: last, marks, at }
    const next = this.consumption.aggregateTypes[this.consumption.aggregateTypes.indexOf(type) + 1]
    return next === undefined ? undefined : { type: next, marks, at }
  }

  /** Some aggregates, of which one that waits does not keep it from the others. `left`: who waits now, of those and of `before`. */
  async #advanceAll(
    changes: readonly Change[],
    word: Word,
    before: readonly (readonly [string, string])[],
    signal: AbortSignal,
    isOver: () => boolean,
  ): Promise<RunResult & { readonly left: readonly (readonly [string, string])[] }> {
    const left = new Map(before.map((one) => [placeIn(toChange(one)), one]))
    let [events, waiting]: [number, RunResult | undefined] = [0, undefined]
    const end = (result: RunResult) => ({ ...result, events, left: [...left.values()] })
    for (let i = 0; i < changes.length; i += atOnce) {
      if (isOver()) return end({ state: 'more', events })
      const some = changes.slice(i, i + atOnce)
      const results = await Promise.all(some.map((change) => this.#aggregates.advance(change, word, signal, isOver)))
      for (const [nth, result] of results.entries()) {
        const { state, events: taken } = result
        const change = some[nth] as Change
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

/** To the end of an aggregate, wherever that is. */
const toChange = ([aggregateType, aggregateId]: readonly [string, string]): Change => ({
  aggregateType,
  aggregateId,
  sequence: Number.POSITIVE_INFINITY,
})

/** It is left behind, with what comes after it, and others go on. */
const isLeft = ({ state }: RunResult): boolean => state === 'waiting' || state === 'outdated'

const withoutLeft = ({ left: _, ...cursor }: Cursor): Cursor => cursor
