import type { AggregateDefinition } from '../aggregate-definition.ts'
import { sha256 } from '../digest.ts'
import { isCqrsError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { decodeApart } from '../evolution/decode.ts'
import { KeyedQueue } from '../execution/keyed-queue.ts'
import { aggregatePage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import { AggregateLane } from './aggregate-lane.ts'
import { catchUp, type NewsConsumer, placeIn } from './catch-up.ts'
import type { CatchUpOutcome, Change } from './change.ts'
import type { ConsumerCore, Consumption, Processed, RunRequest, RunResult, Turn } from './consumption.ts'
import { beginning, Lane, LeaseLost, placeOf, saveRows } from './lane.ts'
import { readStopped, stoppedError, stoppedWrite, toStopped } from './troubles.ts'

/** Aggregates that are worked on at the same time. */
const atOnce = 8
const pageSize = 200
/** DynamoDB's indexes follow their table within this long, as far as anybody has seen. */
const settleMs = 2_000

/** A look at every aggregate. */
interface Scan {
  readonly type: string
  readonly after?: string | undefined
  /** What is there already is not delivered. */
  readonly marks: boolean
}

/** What the checkpoint says: where to go on in the changes, and in the scan of all aggregates that comes first. */
interface Cursor {
  readonly changes?: string
  readonly scan?: Scan | undefined
  /** All aggregates were looked at once. */
  readonly scanned?: true
}

/**
 * The consumer of a store without a global order: it is told which aggregates have changed, as often and in whatever order, and brings each up to its end. How far it
 * has come in each is stored with the effects, so that each event has its effects once.
 */
export class ByAggregate {
  readonly consumption: Consumption
  readonly #core: ConsumerCore
  readonly #runs = new KeyedQueue()
  readonly #aggregates = new KeyedQueue()
  #lane: Lane | undefined
  /** Runs and calls that have ever begun, and those under way. */
  #begun = 0
  #underWay = 0

  constructor(core: ConsumerCore, consumption: Consumption) {
    this.#core = core
    this.consumption = consumption
  }

  run(request: RunRequest = {}): Promise<RunResult> {
    return this.#runs.run('', () => this.#counted(() => this.#run(request)))
  }

  async release(): Promise<void> {}

  lookAgain(): void {}

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
        inTurn: (change, work) => this.#aggregates.run(placeIn(change), work),
        laneOf: (change) => this.#laneOf(change),
        advance: (lane, change) => this.#advanceAlong(lane, change, signal, () => signal.aborted),
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
    const trouble = await this.trouble()
    if (trouble !== undefined) return { state: 'stopped', events: 0, error: trouble }
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
    const turn: Turn = { lane, signal, isOver }
    if ((await this.consumption.begin?.([turn])) === false) return { state: 'caught-up', events: 0 }
    let cursor = JSON.parse(lane.position) as Cursor
    let events = 0
    const isNew = cursor.scan === undefined && cursor.scanned !== true
    const marks = isNew && this.consumption.from !== 'beginning'
    const scanAll = isNew || request.until !== undefined || request.reconcile === true || store.readChanges === undefined
    // What has to be whole must be looked at from now on.
    if (scanAll && (cursor.scan === undefined || request.finish !== undefined))
      cursor = await this.#beginScan(lane, cursor, marks || cursor.scan?.marks === true, request.finish !== undefined)
    const most = request.maxEvents ?? Number.POSITIVE_INFINITY
    while (cursor.scan !== undefined) {
      if (isOver() || events >= most) return { state: 'more', events }
      await lane.prove()
      const { type, after, marks } = cursor.scan
      const page = await store.readIds({ aggregateType: type, limit: pageSize, ...(after === undefined ? {} : { after }) })
      const changes = page.items.map((aggregateId) => ({ aggregateType: type, aggregateId, sequence: Number.POSITIVE_INFINITY }))
      const result = marks ? await this.#markAll(changes) : await this.#advanceAll(changes, signal, isOver)
      events += result.events
      if (result.state !== 'caught-up') return { ...result, events }
      cursor = { ...cursor, scan: this.#afterPage(cursor.scan, page.more ? page.items.at(-1) : undefined) }
      if (cursor.scan === undefined)
        cursor = { ...(cursor.changes === undefined ? {} : { changes: cursor.changes }), scanned: true }
      await lane.save(JSON.stringify(cursor) as Position)
    }
    if (request.finish !== undefined) await request.finish(lane)
    if (store.readChanges === undefined || request.until !== undefined) return { state: 'caught-up', events }
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
      const result = await this.#advanceAll(wanted, signal, isOver)
      events += result.events
      if (result.state !== 'caught-up') return { ...result, events }
      cursor = { changes: page.cursor, scanned: true }
      const reached = JSON.stringify(cursor) as Position
      if (reached !== lane.position) await lane.save(reached)
      if (!page.more) return { state: 'caught-up', events }
    }
  }

  async #beginScan(lane: Lane, { changes: known }: Cursor, marks: boolean, isWhole = false): Promise<Cursor> {
    const { store, runtime } = this.#core
    const changes = known ?? (await store.readChanges?.({ limit: 1 }))?.cursor
    // The list of aggregates may be a moment behind: what was stored just before the cursor, or before what waits for this, must be in it.
    if (changes !== known || isWhole) await runtime.sleep(settleMs)
    const scan = { type: this.consumption.aggregateTypes[0] as string, marks }
    const cursor = changes === undefined ? { scan } : { changes, scan }
    await lane.save(JSON.stringify(cursor) as Position)
    return cursor
  }

  #afterPage({ type, marks }: Scan, last: string | undefined): Scan | undefined {
    if (last !== undefined) return { type, after: last, marks }
    const next = this.consumption.aggregateTypes[this.consumption.aggregateTypes.indexOf(type) + 1]
    return next === undefined ? undefined : { type: next, marks }
  }

  async #advanceAll(changes: readonly Change[], signal: AbortSignal, isOver: () => boolean): Promise<RunResult> {
    let events = 0
    for (let i = 0; i < changes.length; i += atOnce) {
      if (isOver()) return { state: 'more', events }
      const results = await Promise.all(changes.slice(i, i + atOnce).map((change) => this.#advance(change, signal, isOver)))
      events += results.reduce((sum, result) => sum + result.events, 0)
      const stuck = results.find(({ state }) => state !== 'caught-up')
      if (stuck !== undefined) return { ...stuck, events }
    }
    return { state: 'caught-up', events }
  }

  /** From where it has come in the aggregate to the end of it. */
  #advance(change: Change, signal: AbortSignal, isOver: () => boolean): Promise<RunResult> {
    return this.#aggregates.run(placeIn(change), async () => {
      const lane = await this.#laneOf(change)
      await lane.read()
      return this.#advanceAlong(lane, change, signal, isOver)
    })
  }

  async #advanceAlong(lane: AggregateLane, change: Change, signal: AbortSignal, isOver: () => boolean): Promise<RunResult> {
    const { aggregateType, aggregateId } = change
    const turn: Turn = { lane, signal, isOver }
    let events = 0
    // Who begins now, and is told of an aggregate before it has looked at all of them, begins there.
    if (lane.isNew && this.consumption.from !== 'beginning' && this.#lane === undefined)
      lane.beginAt((change.first ?? change.sequence) - 1)
    if (lane.sequence >= change.sequence) return { state: 'caught-up', events }
    for (;;) {
      const limit = this.consumption.batchSize
      const page = await aggregatePage(this.#core, { aggregateType, aggregateId, after: lane.sequence }, limit)
      const result = await this.#process(page.events, lane, turn)
      events += result.events
      if (result.state !== 'caught-up' || !page.more) return { ...result, events }
    }
  }

  async #process(page: readonly StoredEvent[], lane: AggregateLane, turn: Turn): Promise<RunResult> {
    let left = await decodeApart((type) => this.#core.definitions.get(type) as AggregateDefinition, page)
    let events = 0
    while (left.length > 0) {
      if (turn.isOver()) return { state: 'more', events }
      const processed: Processed = await this.consumption.process(left, turn)
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

  async #fail({ error, at, next }: NonNullable<Processed['failure']>): Promise<RunResult> {
    if (next === 'wait') return { state: 'waiting', events: 0, error }
    const stopped = toStopped(error, at, this.#core.runtime.now())
    const row = await readStopped(this.#core, this.consumption.name)
    await saveRows(this.#core, [stoppedWrite(row, stopped)])
    return { state: 'stopped', events: 0, error: stoppedError(this.consumption.title, stopped, error) }
  }

  /** All that is there already counts as seen. */
  async #markAll(changes: readonly Change[]): Promise<RunResult> {
    for (const change of changes) {
      const lane = await this.#laneOf(change)
      await lane.read()
      const { aggregateType, aggregateId } = change
      for (let after = lane.sequence; ; ) {
        const page = await aggregatePage(this.#core, { aggregateType, aggregateId, after })
        after = page.events.at(-1)?.sequence ?? after
        if (page.more) continue
        await lane.save(String(after) as Position)
        break
      }
    }
    return { state: 'caught-up', events: 0 }
  }

  /** Not read yet. */
  async #laneOf({ aggregateType, aggregateId }: Change): Promise<AggregateLane> {
    const id = await sha256(`${this.consumption.name}\n${aggregateType}/${aggregateId}`)
    return new AggregateLane(this.#core, id, aggregateType, aggregateId, () => this.#lane)
  }
}
