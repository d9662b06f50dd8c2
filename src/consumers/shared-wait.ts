import { isCqrsError, NotYetError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { comparePositions } from '../store/order.ts'
import { whenAborted } from '../util/abort.ts'
import { together } from '../util/together.ts'
import { backOffMs } from './back-off.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore, RunRequest, RunResult } from './core.ts'
import { standstillOf } from './outdated.ts'
import type { Patience } from './patience.ts'
import { laterOf } from './positions.ts'

const firstWaitMs = 5
const longestWaitMs = 200
/** Longest pause while a retry is scheduled. */
const longestRestMs = 5_000

interface Waiter {
  readonly position: Position
  readonly patience: Patience
  readonly settle: (outcome: { readonly error: unknown } | undefined) => void
}

/** Options for running the consumer during a wait. */
type Request = Pick<RunRequest, 'rebuild'>

const waits = new WeakMap<Consumer, Map<boolean, SharedWait>>()

/**
 * Waits until a consumer has reached a position. Runs it if no other process does.
 *
 * @throws StoppedError, NotYetError, and other reasons to end the wait
 */
export function reach(
  core: ConsumerCore,
  consumer: Consumer,
  position: Position,
  patience: Patience,
  { rebuild = true }: Request = {},
): Promise<void> {
  const known = waits.get(consumer) ?? new Map<boolean, SharedWait>()
  waits.set(consumer, known)
  const wait = known.get(rebuild) ?? new SharedWait(core, consumer, { rebuild })
  known.set(rebuild, wait)
  return wait.reach(position, patience)
}

/**
 * One wait for all callers that wait for a consumer: it is run and checked once for all of them.
 */
class SharedWait {
  readonly #core: ConsumerCore
  readonly #consumer: Consumer
  readonly #request: Request
  readonly #readPosition: () => Promise<Position>
  readonly #waiters = new Set<Waiter>()
  #isWatching = false
  /** Ends the pause before the next check. */
  #pause = new AbortController()
  /** Ends the run in flight. */
  #run = new AbortController()
  /** Result of the last run. */
  #last: RunResult | undefined

  constructor(core: ConsumerCore, consumer: Consumer, request: Request) {
    this.#core = core
    this.#consumer = consumer
    this.#request = request
    this.#readPosition = together(() => consumer.position())
  }

  async reach(position: Position, patience: Patience): Promise<void> {
    const { signal, timeoutMs, until } = patience
    try {
      await until(() => this.#wait(position, patience))
    } catch (error) {
      if (error !== signal.reason || !isCqrsError(error, 'NOT_YET')) throw error
      const last = this.#last
      const reached = await this.#readPosition()
      const isThere = this.#core.store.capabilities.globalOrder && comparePositions(reached, position) >= 0
      if (isThere && (await this.#consumer.nextDue()) === undefined) return
      const why = last?.state === 'elsewhere' ? ' Another process runs it.' : ''
      throw new NotYetError(
        `${this.#consumer.title} did not reach position ${position} within ${timeoutMs} ms; it is at ${reached}.${why}`,
        undefined,
        last?.error,
      )
    }
  }

  #wait(position: Position, patience: Patience): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle: Waiter['settle'] = (outcome) => {
        if (!this.#waiters.delete(waiter)) return
        forget()
        if (outcome === undefined) resolve()
        else reject(outcome.error)
      }
      const leave = () => {
        settle({ error: patience.signal.reason })
        if (this.#waiters.size > 0) return
        this.#pause.abort()
        // Work that has begun may end when only the time is up.
        if (patience.ending.aborted) this.#run.abort(patience.ending.reason)
      }
      const waiter: Waiter = { position, patience, settle }
      const forget = whenAborted(patience.signal, leave)
      this.#waiters.add(waiter)
      if (patience.signal.aborted) return leave()
      this.#pause.abort()
      if (this.#isWatching) return
      this.#isWatching = true
      patience
        .follow((closing) => this.#watch(closing))
        .catch((error: unknown) => {
          this.#isWatching = false
          for (const one of [...this.#waiters]) one.settle({ error })
        })
    })
  }

  async #watch(closing: AbortSignal): Promise<void> {
    const look = this.#lookOf(closing)
    for (let waitMs = firstWaitMs; this.#waiters.size > 0; ) {
      const present = [...this.#waiters]
      // Callers that arrive from here on are checked soon.
      this.#pause = new AbortController()
      await look(present, waitMs).catch((error: unknown) => {
        for (const waiter of present) waiter.settle({ error })
      })
      const isAnyLeft = present.some((waiter) => this.#waiters.has(waiter))
      if (isAnyLeft) await this.#core.runtime.sleep(waitMs, this.#pause.signal).catch(() => {})
      const isNudged = this.#pause.signal.aborted
      waitMs = isNudged ? firstWaitMs : Math.min(longestWaitMs, waitMs * 2)
      if (isNudged && isAnyLeft && this.#waiters.size > 0) await this.#core.runtime.sleep(firstWaitMs)
    }
    this.#isWatching = false
  }

  /** Runs the consumer, and settles the callers whose wait is over. */
  #lookOf(closing: AbortSignal): (present: readonly Waiter[], waitMs: number) => Promise<void> {
    const consumer = this.#consumer
    const { globalOrder } = this.#core.store.capabilities
    const isStanding = standstillOf(this.#core, consumer)
    let [failures, restMs] = [0, 0]
    this.#last = undefined
    let ran: readonly Waiter[] = []
    const run = async (present: readonly Waiter[]) => {
      this.#run = new AbortController()
      const { signal } = this.#run
      const forget = whenAborted(closing, () => this.#run.abort(closing.reason))
      const until = present.map(({ position }) => position).reduce(laterOf)
      const left = present.map(({ patience }) => patience.leftMs())
      const budgetMs = left.includes(undefined) ? undefined : Math.max(...(left as number[]))
      const place = globalOrder ? { until } : { reconcile: true }
      ran = present
      const last = await consumer.run({ ...this.#request, ...place, budgetMs, signal }).finally(forget)
      this.#last = last
      if (last.state === 'waiting') restMs = backOffMs(++failures)
      // Without a global order each check takes the lease.
      if (last.state === 'outdated' && !globalOrder) restMs = longestWaitMs * 5
      if (last.nextDue !== undefined)
        restMs = Math.min(longestRestMs, last.nextDue.getTime() - this.#core.runtime.now().getTime())
    }
    return async (present, waitMs) => {
      // Pause after a failure; another process may process the event meanwhile.
      if (restMs <= 0) await run(present)
      restMs -= waitMs
      const last = this.#last
      const reached = globalOrder ? await consumer.position() : undefined
      const isThere = (waiter: Waiter) =>
        reached === undefined
          ? last?.state === 'caught-up' && ran.includes(waiter)
          : comparePositions(reached, waiter.position) >= 0
      const arrived = present.filter(isThere)
      if (arrived.length > 0 && (await consumer.nextDue()) === undefined) for (const { settle } of arrived) settle(undefined)
      if (last?.state === 'stopped') throw last.error
      // Rows of another version stay outdated; an event may still be processed by another process.
      if (last?.state === 'outdated' && (last.leftAt === undefined || (await isStanding(waitMs)))) throw last.error
    }
  }
}
