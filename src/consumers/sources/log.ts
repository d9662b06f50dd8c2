import { isCqrsError } from '../../errors.ts'
import type { Position } from '../../event-envelope.ts'
import { decodeApart } from '../../evolution/decode.ts'
import type { AggregateDefinition } from '../../execution/aggregate-definition.ts'
import type { StoredEvent } from '../../store/commit.ts'
import { type InternalRow, type StoppedRow, stoppedRows } from '../../store/internal-rows.ts'
import { comparePositions } from '../../store/order.ts'
import { KeyedQueue } from '../../util/keyed-queue.ts'
import type { ConsumerCore, Consumption, Failure, RunRequest, RunResult, Turn } from '../consumption.ts'
import { eachEnded } from '../each-ended.ts'
import { beginning, type Lane, LeaseLost, placeOf } from '../lane.ts'
import { slotNames } from '../slots.ts'
import { takeLanes } from '../take-lanes.ts'
import { readStopped, readStoppedToRun, stoppedError, toStopped } from '../troubles.ts'
import { type Hold, underLeases } from '../under-leases.ts'
import { Feed, type Gathered } from './feed.ts'

const pageSize = 1_000
/** A checkpoint that only passes what is of no interest is stored this often. */
const unsavedMost = 1_000
/** What is stopped or parked is looked for again. */
const lookAgainMs = 5_000

/** Reads the log from its checkpoint on, under its lease, and hands over what its aggregates have. One run at a time. */
export class Consumer {
  readonly consumption: Consumption
  readonly #core: ConsumerCore
  readonly #runs = new KeyedQueue()
  #lanes: Lane[] = []
  /** Somebody has kept the leases for runs to come, and will give them up. */
  #isKept = false
  /** Those of the last run in which an event shall be tried again. */
  #failed: readonly Lane[] = []
  /** For how long others may have the rest. */
  #remainingMs = 0
  #stopped: InternalRow<StoppedRow> | undefined
  #begunAt = 0
  /** What is left to a newer program. */
  #left: Left | undefined
  #cause: { readonly eventId: string; readonly error: unknown } | undefined

  constructor(core: ConsumerCore, consumption: Consumption) {
    this.#core = core
    this.consumption = consumption
  }

  /** Takes the lease, goes on from the checkpoint, stores the next one, and releases. @throws StoreError */
  run(request: RunRequest = {}): Promise<RunResult> {
    return this.#runs.run('', () => this.#run(request))
  }

  /** Renews what earlier runs have kept. */
  hold(): Promise<void> {
    return this.#runs.run('', async () => void (await eachEnded(this.#lanes.map((lane) => lane.prove({ freshly: true })))))
  }

  /** Gives up what earlier runs have kept. */
  release(): Promise<void> {
    return this.#runs.run('', () => this.#release())
  }

  /** Makes the next run look for what has stopped it. */
  lookAgain(): void {
    this.#begunAt = 0
  }

  /** Another process has the lease: asked for by taking it, so seldom. */
  isHeld(): Promise<boolean> {
    return this.#runs.run('', async () => {
      const { store, holder, leaseMs } = this.#core
      const name = this.#left?.lane ?? this.consumption.name
      const lease = await store.acquireLease({ name, holder, ttlMs: leaseMs })
      if (lease.acquired) await store.releaseLease({ name, fence: lease.fence })
      return !lease.acquired
    })
  }

  /** All up to here is done, by whichever process. */
  async position(): Promise<Position> {
    const names = slotNames(this.consumption.name, this.consumption.slotted)
    const stored = await Promise.all(names.map((name) => this.#core.store.readCheckpoint(name)))
    return lowest(stored.map((checkpoint) => (checkpoint?.position ?? beginning) as Position))
  }

  /** Why it stands still, `undefined` when it does not. */
  async trouble(): Promise<unknown> {
    const row = await readStopped(this.#core, this.consumption.name)
    return row.value && this.#stoppedError(row.value)
  }

  #stoppedError(stopped: StoppedRow) {
    const cause = this.#cause?.eventId === stopped.eventId ? this.#cause.error : undefined
    return stoppedError(this.consumption.title, stopped, cause)
  }

  async #run(request: RunRequest): Promise<RunResult> {
    request.signal?.throwIfAborted()
    try {
      return await this.#runOnce(request)
    } catch (error) {
      // A log that went back has taken the place of an unsaved position away.
      await this.#release([], { saves: !isCqrsError(error, 'STORE_BEHIND') }).catch(() => {})
      if (error instanceof LeaseLost) return { state: 'elsewhere', events: 0, remainingMs: this.#core.leaseMs }
      throw error
    }
  }

  async #runOnce(request: RunRequest): Promise<RunResult> {
    const { slotted, name } = this.consumption
    if (this.#left !== undefined) {
      // One read, and no lease, until a newer program has been here.
      if (!(await this.#isPassed(this.#left))) return this.#outdated(this.#left)
      this.#left = undefined
    }
    const now = this.#core.runtime.now().getTime()
    let events = 0
    if (this.#lanes.length === 0 || slotted || now - this.#begunAt > lookAgainMs || now < this.#begunAt) {
      // Noted first: who wants it looked at again while it is looked at has it looked at once more.
      this.#begunAt = now
      this.#stopped = await readStoppedToRun(this.#core, name)
      if (this.#stopped.value !== undefined) {
        await this.#release()
        return { state: 'stopped', events: 0, error: this.#stoppedError(this.#stopped.value) }
      }
      if (this.#lanes.length === 0 || slotted) await this.#take()
      if (this.#lanes.length === 0) return { state: 'elsewhere', events: 0, remainingMs: this.#remainingMs }
      const begin = async ({ turnOf }: Hold) => this.consumption.begin?.(this.#lanes.map(turnOf))
      const begun = await underLeases(this.#core, this.#lanes, request, begin)
      if (begun === false) {
        await this.#release()
        return { state: 'caught-up', events: 0 }
      }
      if (typeof begun === 'number') events = begun
    }
    const result = await underLeases(this.#core, this.#lanes, request, (hold) => this.#consume(request, hold))
    const isPartial = this.#lanes.length < slotNames(name, slotted).length
    if (request.keep) this.#isKept = true
    // Who does not keep leaves what the one who does has kept: he gives it up by himself.
    const kept =
      !this.#isKept || result.state === 'stopped' || result.state === 'outdated' ? [] : slotted ? this.#failed : this.#lanes
    await this.#release(kept)
    const all = { ...result, events: result.events + events }
    return isPartial ? { ...all, isPartial, remainingMs: this.#remainingMs } : all
  }

  async #isPassed({ lane, failure: { at } }: Left): Promise<boolean> {
    const checkpoint = await this.#core.store.readCheckpoint(lane)
    return checkpoint !== undefined && comparePositions(checkpoint.position as Position, placeOf(at)) >= 0
  }

  #outdated({ failure: { error, at } }: Left, events = 0): RunResult {
    return { state: 'outdated', events, error, leftAt: at }
  }

  async #take(): Promise<void> {
    const { lanes, remainingMs } = await takeLanes(this.#core, this.consumption)
    this.#lanes = lanes
    this.#remainingMs = remainingMs
  }

  /** Gives up all but these. */
  async #release(kept: readonly Lane[] = [], { saves = true } = {}): Promise<void> {
    const lanes = this.#lanes.filter((lane) => !kept.includes(lane))
    this.#lanes = [...kept]
    if (kept.length === 0) this.#isKept = false
    await eachEnded(
      lanes.map(async (lane) => {
        if (saves && !lane.isSaved && lane.position !== beginning) await lane.save(lane.position).catch(ignoreLost)
        await lane.release()
      }),
    )
  }

  async #consume(request: RunRequest, hold: Hold): Promise<RunResult> {
    const { until, maxEvents = Number.POSITIVE_INFINITY } = request
    const lanes = this.#lanes
    const reached = () => until !== undefined && comparePositions(lowest(lanes.map(({ position }) => position)), until) >= 0
    const first = lanes.reduce((low, lane) => (comparePositions(lane.position, low.position) < 0 ? lane : low))
    const size = Math.min(pageSize, maxEvents)
    const feed = new Feed(this.#core.store, this.consumption.aggregateTypes, first.position, size, first.seen)
    let events = 0
    this.#failed = []
    for (let more = true; more && !reached(); ) {
      if (hold.isOver() || events >= maxEvents) return this.#end(request, { state: 'more', events })
      const gathered = await feed.gather(Math.min(this.consumption.batchSize, maxEvents - events))
      more = gathered.more
      const results = await hold.each((lane, turn) => this.#advance(lane, turn, gathered))
      events += results.reduce((sum, { events }) => sum + events, 0)
      const failures = results.flatMap(({ failure }) => failure ?? [])
      const stop = failures.find(({ next }) => next === 'stop')
      if (stop !== undefined) return { ...(await this.#stop(stop)), events }
      const left = results.findIndex(({ failure }) => failure?.next === 'outdated')
      if (left >= 0) {
        this.#left = { lane: (lanes[left] as Lane).name, failure: results[left]?.failure as Failure }
        return this.#end({ ...request, keep: false }, this.#outdated(this.#left, events))
      }
      this.#failed = lanes.filter((_, i) => results[i]?.failure !== undefined)
      const [failure] = failures
      if (failure !== undefined) return this.#end(request, { state: 'waiting', events, error: failure.error })
      if (results.some(({ isWhole }) => !isWhole)) return this.#end(request, { state: 'more', events })
      // Where neither the store nor the handler ever waits, nothing else in the process would have its turn, and what is held weakly would stay in memory.
      if (more) await this.#core.runtime.sleep(0)
    }
    if (reached() && request.finish !== undefined) for (const lane of lanes) await request.finish(lane)
    return this.#end(request, { state: 'caught-up', events })
  }

  /** Stores the checkpoints that passed something. */
  async #end({ keep, until }: RunRequest, result: RunResult): Promise<RunResult> {
    const save = (lane: Lane) => !lane.isSaved && (!keep || until !== undefined || lane.unsaved >= unsavedMost)
    await eachEnded(this.#lanes.filter(save).map((lane) => lane.save(lane.position)))
    return result
  }

  async #stop(failure: Failure): Promise<RunResult> {
    const { error, at } = failure
    const stopped = toStopped(failure, this.#core.runtime.now())
    this.#cause = { eventId: at.id, error }
    const [lane] = this.#lanes
    for (let row = this.#stopped; lane !== undefined && row?.value === undefined; ) {
      if (row !== undefined && (await lane.save(lane.position, { views: [stoppedRows.write(row, stopped)] })) === 'saved') break
      // Another process, with other slots, has stopped it too; perhaps it was resumed since.
      row = await readStopped(this.#core, this.consumption.name)
    }
    return { state: 'stopped', events: 0, error: this.#stoppedError(stopped) }
  }

  /** Takes one lane to the end of what was gathered. */
  async #advance(lane: Lane, turn: Turn, { events, position, last }: Gathered) {
    const own = events.filter((event) => isFor(lane, event))
    const ordered = await lane.sequences.inOrder(own)
    let left = await decodeApart(this.#core, (type) => this.#core.definitions.get(type) as AggregateDefinition, ordered)
    let count = 0
    while (left.length > 0) {
      // What was read comes to something, however long the reading took.
      if (turn.signal.aborted || (count > 0 && turn.isOver())) return { events: count, isWhole: false }
      const processed = await this.consumption.process(left, turn)
      const { done, failure } = processed
      const whole = done === left.length && failure === undefined
      const stored = left[done - 1]?.stored
      const reached = whole ? (position as Position) : stored && placeOf(stored)
      const saved = reached === undefined ? 'saved' : await lane.save(reached, processed)
      if (saved !== 'saved') {
        await processed.moved?.(saved)
        continue
      }
      if (reached !== undefined) processed.stored?.()
      if (stored?.position !== undefined) lane.seen = { position: stored.position, commitId: stored.commitId }
      lane.sequences.pass(left.slice(0, done).map(({ stored }) => stored))
      count += done
      left = left.slice(done)
      if (failure !== undefined) return { events: count, failure, isWhole: false }
      if (done === 0) return { events: count, isWhole: false }
    }
    if (position !== undefined && comparePositions(position, lane.position) >= 0) {
      lane.position = position
      lane.seen = last ?? lane.seen
    }
    return { events: count, isWhole: true }
  }
}

/** An event that this program is too old for, and whose checkpoint shows that a newer one was there. */
interface Left {
  readonly lane: string
  readonly failure: Failure
}

const isFor = (lane: Lane, event: StoredEvent): boolean =>
  lane.covers(event.aggregateType, event.aggregateId) && comparePositions(event.position as Position, lane.position) > 0

const lowest = (positions: readonly Position[]): Position =>
  positions.reduce((low, position) => (comparePositions(position, low) < 0 ? position : low))

function ignoreLost(error: unknown): void {
  if (!(error instanceof LeaseLost)) throw error
}
