import type { AggregateDefinition } from '../aggregate-definition.ts'
import type { Position } from '../event-envelope.ts'
import { type Decoded, decodeApart } from '../evolution/decode.ts'
import { KeyedQueue } from '../execution/keyed-queue.ts'
import type { StoredEvent } from '../store/commit.ts'
import { comparePositions } from '../store/order.ts'
import type { ConsumerCore, Consumption, Processed, RunRequest, RunResult, Turn } from './consumption.ts'
import { type Gathered, gather, pagesFrom } from './feed.ts'
import { beginning, Lane, LeaseLost, placeOf } from './lane.ts'
import { slotNames } from './slots.ts'
import { readStopped, type Stopped, stoppedError, stoppedWrite, toStopped, type Versioned } from './troubles.ts'

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
  #stopped: Versioned<Stopped> | undefined
  #begunAt = 0
  #cause: { readonly eventId: string; readonly error: unknown } | undefined

  constructor(core: ConsumerCore, consumption: Consumption) {
    this.#core = core
    this.consumption = consumption
  }

  /** Takes the lease, goes on from the checkpoint, stores the next one, and releases. @throws StoreError */
  run(request: RunRequest = {}): Promise<RunResult> {
    return this.#runs.run('', () => this.#run(request))
  }

  /** Gives up what earlier runs have kept. */
  release(): Promise<void> {
    return this.#runs.run('', () => this.#release())
  }

  /** Makes the next run look for what has stopped it. */
  lookAgain(): void {
    this.#begunAt = 0
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

  #stoppedError(stopped: Stopped) {
    const cause = this.#cause?.eventId === stopped.eventId ? this.#cause.error : undefined
    return stoppedError(this.consumption.title, stopped, cause)
  }

  async #run(request: RunRequest): Promise<RunResult> {
    request.signal?.throwIfAborted()
    try {
      const now = this.#now()
      if (this.#lanes.length === 0 || now - this.#begunAt > lookAgainMs || now < this.#begunAt) {
        this.#stopped = await readStopped(this.#core, this.consumption.name)
        if (this.#stopped.value !== undefined) {
          await this.#release()
          return { state: 'stopped', events: 0, error: this.#stoppedError(this.#stopped.value) }
        }
        const remainingMs = await this.#takeLeases()
        if (this.#lanes.length === 0) return { state: 'elsewhere', events: 0, remainingMs }
        const goOn = await this.#withLeases(request, async (turnOf) => this.consumption.begin?.(this.#lanes.map(turnOf)))
        if (goOn === false) {
          await this.#release()
          return { state: 'caught-up', events: 0 }
        }
        this.#begunAt = now
      }
      const result = await this.#withLeases(request, (turnOf) => this.#consume(request, turnOf))
      const isPartial = this.#lanes.length < slotNames(this.consumption.name, this.consumption.slotted).length
      if (!request.keep || result.state === 'stopped' || this.consumption.slotted) await this.#release()
      return isPartial ? { ...result, isPartial } : result
    } catch (error) {
      if (!(error instanceof LeaseLost)) {
        await this.#release().catch(() => {})
        throw error
      }
      this.#lanes = []
      return { state: 'elsewhere', events: 0, remainingMs: this.#core.leaseMs }
    }
  }

  #now(): number {
    return this.#core.runtime.now().getTime()
  }

  async #release(): Promise<void> {
    const lanes = this.#lanes
    this.#lanes = []
    await Promise.all(
      lanes.map(async (lane) => {
        if (!lane.isSaved && lane.position !== beginning) await lane.save(lane.position).catch(ignoreLost)
        await lane.release()
      }),
    )
  }

  /** For how long others will have what could not be taken. */
  async #takeLeases(): Promise<number> {
    const { name, slotted } = this.consumption
    let remainingMs = 0
    if (this.#lanes.length > 0) return remainingMs
    const names = slotNames(name, slotted)
    const first = Math.floor(this.#core.runtime.random() * names.length)
    const others = new Set<string>()
    const taken: { slot: number; fence: number }[] = []
    const tried = names.map((_, i) => (first + i) % names.length)
    const answers = await Promise.all(tried.map((slot) => this.#acquire(names[slot] as string)))
    answers.forEach((answer, i) => {
      if (answer.acquired) taken.push({ slot: tried[i] as number, fence: answer.fence })
      else {
        others.add(answer.holder)
        remainingMs = Math.max(remainingMs, answer.remainingMs)
      }
    })
    if (slotted) await this.#knock(taken.length === 0, others)
    // Others have some or wait for some: they get their share.
    const share = Math.ceil(names.length / (others.size + 1))
    await Promise.all(
      taken.splice(share).map(({ slot, fence }) => this.#core.store.releaseLease({ name: names[slot] as string, fence })),
    )
    this.#lanes = await Promise.all(
      taken.map(({ slot, fence }) => this.#lane(names[slot] as string, slotted ? slot : undefined, fence)),
    )
    return remainingMs
  }

  /** Who got no slot says so by a lease of its own, and who has some looks for it. */
  async #knock(gotNone: boolean, others: Set<string>): Promise<void> {
    const { store, holder, leaseMs } = this.#core
    const name = `knock/${this.consumption.name}`
    const answer = await store.acquireLease({ name, holder, ttlMs: leaseMs })
    if (!answer.acquired) others.add(answer.holder)
    else if (!gotNone) await store.releaseLease({ name, fence: answer.fence })
  }

  #acquire(name: string) {
    const { store, holder, leaseMs } = this.#core
    return store.acquireLease({ name, holder, ttlMs: leaseMs })
  }

  async #lane(name: string, slot: number | undefined, fence: number): Promise<Lane> {
    const saved = (await this.#core.store.readCheckpoint(name))?.position ?? null
    const start = (saved as Position | null) ?? (await this.#start())
    const lane = new Lane(this.#core, this.#core.consumerQueue, { name, slot, fence, saved, start, ttlMs: this.#core.leaseMs })
    if (saved === null && this.consumption.from !== 'beginning') await lane.save(start)
    return lane
  }

  async #start(): Promise<Position> {
    const { from } = this.consumption
    if (from === 'beginning') return beginning
    // What is under way now may be stored later, and must not be passed over: so it begins where the feed can read to.
    return from === 'now' ? ((await this.#core.store.lastPosition()) ?? beginning) : from
  }

  /** Holds the leases as long as the work takes, and tells it when one is lost. */
  async #withLeases<T>(request: RunRequest, work: (turnOf: (lane: Lane) => Turn) => Promise<T>): Promise<T> {
    const { runtime, leaseMs } = this.#core
    const lost = new AbortController()
    const done = new AbortController()
    const over = request.budgetMs === undefined ? Number.POSITIVE_INFINITY : this.#now() + request.budgetMs
    const lanes = this.#lanes
    const beat = async () => {
      for (;;) {
        await runtime.sleep(leaseMs / 3, done.signal)
        await Promise.all(lanes.map((lane) => lane.prove({ freshly: true }))).catch((error: unknown) => {
          if (error instanceof LeaseLost) lost.abort(error)
        })
      }
    }
    const beating = beat().catch(() => {})
    const { signal } = lost
    const pass = () => lost.abort(request.signal?.reason)
    request.signal?.addEventListener('abort', pass, { once: true })
    const isOver = () => signal.aborted || this.#now() >= over
    try {
      return await work((lane) => ({ lane, signal, isOver }))
    } finally {
      request.signal?.removeEventListener('abort', pass)
      done.abort()
      await beating
    }
  }

  async #consume(request: RunRequest, turnOf: (lane: Lane) => Turn): Promise<RunResult> {
    const { until, maxEvents = Number.POSITIVE_INFINITY } = request
    const lanes = this.#lanes
    const isOver = turnOf(lanes[0] as Lane).isOver
    const reached = () => until !== undefined && comparePositions(lowest(lanes.map(({ position }) => position)), until) >= 0
    const pages = pagesFrom(
      this.#core.store,
      this.consumption.aggregateTypes,
      lowest(lanes.map(({ position }) => position)),
      Math.min(pageSize, maxEvents),
    )
    let events = 0
    for (let more = true; more && !reached(); ) {
      if (isOver() || events >= maxEvents) return this.#end(request, { state: 'more', events })
      const gathered = await gather(pages, Math.min(this.consumption.batchSize, maxEvents - events))
      more = gathered.more
      const results = await Promise.all(lanes.map((lane) => this.#advance(lane, turnOf(lane), gathered)))
      events += results.reduce((sum, { events }) => sum + events, 0)
      const failed = results.find(({ failure }) => failure !== undefined)?.failure
      if (failed?.next === 'stop') return { ...(await this.#stop(failed)), events }
      if (failed !== undefined) return this.#end(request, { state: 'waiting', events, error: failed.error })
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
    await Promise.all(this.#lanes.filter(save).map((lane) => lane.save(lane.position)))
    return result
  }

  async #stop({ error, at }: NonNullable<Processed['failure']>): Promise<RunResult> {
    const stopped = toStopped(error, at, this.#core.runtime.now())
    this.#cause = { eventId: at.id, error }
    const [lane] = this.#lanes
    const row = this.#stopped
    if (lane !== undefined && row !== undefined) await lane.save(lane.position, { views: [stoppedWrite(row, stopped)] })
    return { state: 'stopped', events: 0, error: this.#stoppedError(stopped) }
  }

  /** Takes one lane to the end of what was gathered. */
  async #advance(lane: Lane, turn: Turn, { events, position }: Gathered) {
    const own = events.filter((event) => isFor(lane, event))
    const ordered = await lane.sequences.inOrder(own)
    let left = await decodeApart((type) => this.#core.definitions.get(type) as AggregateDefinition, ordered)
    let count = 0
    while (left.length > 0) {
      // What was read comes to something, however long the reading took.
      if (turn.signal.aborted || (count > 0 && turn.isOver())) return { events: count, isWhole: false }
      const processed = await this.consumption.process(left, turn)
      const { done, failure } = processed
      const whole = done === left.length && failure === undefined
      const reached = whole ? (position as Position) : done === 0 ? undefined : placeOf((left[done - 1] as Decoded).stored)
      const saved = reached === undefined ? 'saved' : await lane.save(reached, processed)
      if (saved !== 'saved') {
        await processed.moved?.(saved)
        continue
      }
      if (reached !== undefined) processed.stored?.()
      lane.sequences.pass(left.slice(0, done).map(({ stored }) => stored))
      count += done
      left = left.slice(done)
      if (failure !== undefined) return { events: count, failure, isWhole: false }
      if (done === 0) return { events: count, isWhole: false }
    }
    if (position !== undefined && comparePositions(position, lane.position) > 0) lane.position = position
    return { events: count, isWhole: true }
  }
}

const isFor = (lane: Lane, event: StoredEvent): boolean =>
  lane.covers(event.aggregateType, event.aggregateId) && comparePositions(event.position as Position, lane.position) > 0

const lowest = (positions: readonly Position[]): Position =>
  positions.reduce((low, position) => (comparePositions(position, low) < 0 ? position : low))

function ignoreLost(error: unknown): void {
  if (!(error instanceof LeaseLost)) throw error
}
