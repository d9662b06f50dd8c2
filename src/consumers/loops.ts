import { DefinitionError, isCqrsError, messageOf } from '../errors.ts'
import type { Core } from '../execution/core.ts'
import { backOffMs } from './back-off.ts'
import type { Consumer } from './consumer.ts'
import type { Pulse, RunResult } from './core.ts'
import type { DrainRequest, DrainResult } from './definitions.ts'
import { eachEnded } from './each-ended.ts'

/** A lease is given up when nothing has come for so long, and a run ends to let others in. */
const lingerMs = 500
const sliceMs = 2_000
const breatherMs = 20
/** The checkpoint is read after waits that double, while an event is left to a newer program. */
const firstLookMs = 1_000
const longestLookMs = 30_000
/** Events without one that is left, after which the waits are short again. */
const eventsWithoutLeft = 1_000
/** What another process has resumed is looked for this often. */
const lookAgainMs = 5_000
/** What is due and was not done is looked for again. */
const lookDueMs = 1_000
/** With push the log is still looked at from time to time: a wake-up may be lost. */
const pollsWithPush = 10

interface Scene extends Pick<Core, 'store' | 'runtime' | 'observe'> {
  readonly pollMs: number
  readonly leaseMs: number
}

/** Runs consumers: over and over in a server, or once until all have caught up. */
export class Loops implements Pulse {
  readonly results = new Map<string, RunResult>()
  readonly #scene: Scene
  readonly #waiting = new Set<() => void>()
  #wakes = 0
  /** One for each of what runs, since a signal warns of many listeners. */
  #endings: readonly AbortController[] = []
  #isEnding = false
  #running: Promise<unknown>[] = []
  #unwatch: (() => void) | undefined

  constructor(scene: Scene) {
    this.#scene = scene
  }

  get isFollowing(): boolean {
    return this.#running.length > 0
  }

  /** Something may be new. */
  wake(): void {
    this.#wakes++
    for (const wake of [...this.#waiting]) wake()
  }

  onWake(listener: () => void): () => void {
    this.#waiting.add(listener)
    return () => this.#waiting.delete(listener)
  }

  start(consumers: readonly Consumer[]): void {
    if (this.isFollowing || consumers.length === 0) return
    const { store } = this.#scene
    if (!store.capabilities.globalOrder && store.readChanges === undefined)
      throw new DefinitionError(
        'app.start: this store has no order of all events, and nothing tells it of changes: give dynamoDbStore streams: true and a streamsClient, or call app.catchUp or app.drain.',
      )
    this.#unwatch = store.capabilities.push ? store.watch?.(() => this.wake()) : undefined
    this.#endings = [undefined, ...consumers].map(() => new AbortController())
    // Looked at before any of them reads: what comes after is new to all.
    const first = this.#end()
    this.#running = this.#endings.map(async ({ signal }, i) => {
      const end = await first
      return i === 0 ? this.#poll(end, signal) : this.#follow(consumers[i - 1] as Consumer, signal)
    })
  }

  /** Lets what is under way come to its end. */
  async stop(): Promise<void> {
    this.#isEnding = true
    for (const ending of this.#endings) ending.abort()
    this.#unwatch?.()
    await Promise.all(this.#running)
    this.#running = []
  }

  /** One look at the end of the log for all of them. */
  async #poll(first: string | undefined, signal: AbortSignal): Promise<void> {
    const { store, runtime, pollMs } = this.#scene
    const every = this.#unwatch === undefined ? pollMs : pollMs * pollsWithPush
    for (let last = first; ; ) {
      try {
        await runtime.sleep(every * (0.75 + runtime.random() / 2), signal)
      } catch {
        return
      }
      // A log that cannot be looked at now is looked at again; those who read it say so.
      const end = await this.#end()
      if (!store.capabilities.globalOrder || (end !== undefined && end !== last)) this.wake()
      last = end ?? last
    }
  }

  async #end(): Promise<string | undefined> {
    const { store } = this.#scene
    return store.capabilities.globalOrder ? store.lastPosition().catch(() => undefined) : undefined
  }

  async #follow(consumer: Consumer, signal: AbortSignal): Promise<void> {
    const { runtime } = this.#scene
    let [looks, eventsSince] = [0, 0]
    for (let failures = 0; !signal.aborted; ) {
      const seen = this.#wakes
      const result = await this.#runOnce(consumer, { budgetMs: sliceMs, keep: true, signal })
      if (signal.aborted) break
      // That another process has it for a while says nothing about what has failed here.
      if (result.state === 'waiting') failures++
      else if (result.state !== 'elsewhere') failures = 0
      eventsSince += result.events
      if (eventsSince >= eventsWithoutLeft) looks = 0
      if (result.state === 'outdated' && result.leftAt !== undefined) {
        eventsSince = 0
        await runtime.sleep(Math.min(longestLookMs, firstLookMs * 2 ** looks++), signal).catch(() => {})
        continue
      }
      await this.#pause(consumer, result, failures, seen, signal)
    }
    await consumer.release().catch((error: unknown) => this.#report(consumer, error))
  }

  async #pause(
    consumer: Consumer,
    { state, isPartial, remainingMs = 0, nextDue }: RunResult,
    failures: number,
    seen: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { pollMs, runtime } = this.#scene
    const sleep = (ms: number) => runtime.sleep(ms, signal).catch(() => {})
    const theirsMs = Math.max(20, Math.min(remainingMs, pollMs)) * (0.5 + runtime.random())
    if (state === 'more') {
      // Others may have waited for it.
      await consumer.release().catch(() => {})
      return sleep(breatherMs * (0.5 + runtime.random()))
    }
    if (state === 'waiting') {
      const ms = backOffMs(failures) * (0.5 + runtime.random())
      return this.#backOff(consumer, ms, signal)
    }
    if (state === 'elsewhere') return sleep(theirsMs)
    if (state === 'stopped' || state === 'outdated') return void (await this.#woken(pollMs, seen, signal))
    // What is due elsewhere, or has become so since, is not asked for at once.
    const dueMs = nextDue && nextDue.getTime() - runtime.now().getTime()
    const untilDueMs = dueMs === undefined || dueMs > 0 ? dueMs : lookDueMs
    if (untilDueMs !== undefined && untilDueMs <= lingerMs) return void (await this.#woken(untilDueMs, seen, signal))
    if (await this.#woken(lingerMs, seen, signal)) return
    await consumer.release().catch((error: unknown) => this.#report(consumer, error))
    // Who has the rest may have died, and left something behind that is not new.
    if (isPartial) return void (await this.#woken(theirsMs, seen, signal))
    const { isAsked } = consumer
    if (isAsked === undefined) return void (await this.#woken(undefined, seen, signal))
    for (let leftMs = (untilDueMs ?? Number.POSITIVE_INFINITY) - lingerMs; leftMs > 0 && !signal.aborted; leftMs -= lookAgainMs) {
      if (await this.#woken(Math.min(lookAgainMs, leftMs), seen, signal)) return
      if (!signal.aborted && (await isAsked().catch(() => false))) return
    }
  }

  /** Waits with the lease: in other processes the waits would begin anew, with short ones. */
  async #backOff(consumer: Consumer, ms: number, signal: AbortSignal): Promise<void> {
    const { runtime, leaseMs } = this.#scene
    const step = leaseMs / 3
    for (let left = ms; left > 0 && !signal.aborted; left -= step) {
      await consumer.hold().catch(() => {})
      await runtime.sleep(Math.min(step, left), signal).catch(() => {})
    }
  }

  /** Whether something was said to be new since `seen`; waits for it, for so long at the most. */
  async #woken(ms: number | undefined, seen: number, signal: AbortSignal): Promise<boolean> {
    if (this.#wakes !== seen) return true
    const done = new AbortController()
    const { runtime } = this.#scene
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        done.abort()
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
      if (signal.aborted) wake()
      if (ms !== undefined) runtime.sleep(ms, done.signal).then(wake, () => {})
    })
    return this.#wakes !== seen
  }

  /** All of them until nothing is left or time is up, again when what they did has led to more. */
  async drain(consumers: readonly Consumer[], request: DrainRequest): Promise<DrainResult> {
    const { signal } = request
    const endings = consumers.map(() => new AbortController())
    const abort = () => {
      for (const ending of endings) ending.abort(signal?.reason)
    }
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await this.#drain(consumers, endings, request)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async #drain(
    consumers: readonly Consumer[],
    endings: readonly AbortController[],
    { budgetMs, maxEvents, signal, reconcile }: DrainRequest,
  ): Promise<DrainResult> {
    const { runtime } = this.#scene
    const began = runtime.now().getTime()
    if (signal?.aborted) return { caughtUp: false, events: 0 }
    const leftOf = () => (budgetMs === undefined ? undefined : Math.max(0, budgetMs - (runtime.now().getTime() - began)))
    let events = 0
    let hasWaited = false
    let busy = consumers.length
    for (;;) {
      // Each gets its share of what may be taken: none waits for the others.
      const share = maxEvents === undefined ? undefined : Math.ceil((maxEvents - events) / Math.max(1, busy))
      const first = events === 0 && reconcile
      const run = async (consumer: Consumer, own: AbortSignal | undefined): Promise<RunResult> => {
        try {
          return await consumer.run({ budgetMs: leftOf(), maxEvents: share, signal: own, reconcile: first })
        } catch (error) {
          if (own?.aborted && error === own.reason) return { state: 'more', events: 0 }
          throw error
        }
      }
      const runs = await eachEnded(consumers.map((consumer, i) => run(consumer, endings[i]?.signal)))
      const results = runs.map((result, i) => this.#note(consumers[i] as Consumer, result))
      busy = results.filter(({ state }) => state === 'more').length
      const done = results.reduce((sum, result) => sum + result.events, 0)
      events += done
      const due = results.flatMap(({ nextDue }) => nextDue ?? []).map((date) => date.getTime())
      const nextDue = due.length === 0 ? {} : { nextDue: new Date(Math.min(...due)) }
      const isDone = ({ state, isPartial }: RunResult) => state === 'caught-up' && isPartial !== true
      const caughtUp = due.length === 0 && results.every(isDone)
      const isOver = leftOf() === 0 || (maxEvents !== undefined && events >= maxEvents) || signal?.aborted
      const isStuck = done === 0 && !results.some(({ state }) => state === 'more')
      if (isStuck && !isOver && !hasWaited && (await this.#waited(results, leftOf(), signal))) {
        hasWaited = true
        continue
      }
      if ((caughtUp && done === 0) || isOver || isStuck) return { caughtUp: caughtUp && done === 0, events, ...nextDue }
    }
  }

  /** Waits once, where there is time, until the leases of others would be over: they may have died, and on some stores that shows only to who has watched them for so long. */
  async #waited(results: readonly RunResult[], leftMs: number | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    const ms = Math.max(0, ...results.map(({ remainingMs = 0 }) => remainingMs))
    if (ms === 0 || leftMs === undefined || leftMs <= ms) return false
    await this.#scene.runtime.sleep(ms + 1, signal).catch(() => {})
    return true
  }

  async #runOnce(consumer: Consumer, request: Parameters<Consumer['run']>[0]): Promise<RunResult> {
    try {
      return this.#note(consumer, await consumer.run(request))
    } catch (error) {
      if (this.#isEnding) return { state: 'more', events: 0 }
      return this.#note(consumer, { state: 'waiting', events: 0, error })
    }
  }

  #note(consumer: Consumer, result: RunResult): RunResult {
    const before = this.results.get(consumer.title)
    this.results.set(consumer.title, result)
    const isTold = before?.state === result.state && before.leftAt?.id === result.leftAt?.id
    if (result.error !== undefined && !isTold) this.#report(consumer, result.error, result)
    return result
  }

  #report({ title }: Consumer, error: unknown, result?: RunResult): void {
    const { observe } = this.#scene
    if (observe !== undefined && result?.state === 'outdated')
      observe({ kind: 'outdated', name: title, ...(result.leftAt && { eventId: result.leftAt.id }), error })
    else if (observe !== undefined) observe({ kind: 'following', name: title, error })
    else if (result?.state !== 'outdated' && !isCqrsError(error, 'STOPPED')) console.error(`${title} will try again:`, error)
    else console.error(messageOf(error), ...causeOf(error))
  }
}

const causeOf = (error: unknown): readonly unknown[] => (error instanceof Error && error.cause !== undefined ? [error.cause] : [])
