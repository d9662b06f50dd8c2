import { isCqrsError, NotYetError, ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { comparePositions } from '../store/order.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkWholeNumber } from '../util/options.ts'
import { backOffMs } from './back-off.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore, RunRequest, RunResult } from './core.ts'
import { refuseInHandler } from './handler-call.ts'
import { standstillOf } from './outdated.ts'
import { type Patience, patiently } from './patience.ts'
import { beginning, endOf } from './positions.ts'

/** How a subscription, or a view behind the events, is doing. */
export interface ConsumerStatus {
  /** `running`: in this process, or about to. `waiting`: for a while, after `error`. `stopped`: until `resume()`. `elsewhere`: another process has it. `outdated`: `error` names the event, or the view, that is left to a newer program. */
  readonly state: 'running' | 'waiting' | 'stopped' | 'elsewhere' | 'outdated'
  /** All up to here is done; left out before the first event. */
  readonly position?: Position
  /** How many places of the log are behind that position: 0 when it has caught up. */
  readonly lag: number
  /** Aggregates that wait since an event of theirs failed, up to 1,000. */
  readonly parked: number
  /** What went wrong last, where something is wrong. */
  readonly error?: unknown
}

/** What runs behind the events, as users hold it. */
export interface ConsumerHandle {
  /**
   * Resolves when all that is stored by now is done. Runs what is to be done itself when no other process does.
   * @throws StoppedError when it has stopped, or waits for a newer program and none is at work for `leaseMs`, NotYetError after `timeoutMs` (default: never), ValidationError in a handler of its own, StoreError, ClosedError (also when the app closes meanwhile)
   */
  caughtUp(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /** How it is doing: now, and again whenever that has changed, for as long as it is iterated over. It ends when the app closes. */
  status(): AsyncIterable<ConsumerStatus>
  /** Lets it go on when it has stopped, and tries again what was parked; also what did so in another process, or before a restart. */
  resume(): Promise<void>
}

const firstWaitMs = 5
const longestWaitMs = 200
/** While something waits for its time. */
const longestRestMs = 5_000

export function consumerHandle(core: ConsumerCore, consumer: Consumer, lifecycle: Lifecycle): ConsumerHandle {
  const { title } = consumer
  const at = (method: string) => `${method} of ${title.toLowerCase()}`
  return {
    caughtUp: (options = {}) =>
      lifecycle.run(at('caughtUp'), async () => {
        checkCallOptions('caughtUp', options, ['timeoutMs'])
        if (options.timeoutMs !== undefined) checkWholeNumber('timeoutMs', options.timeoutMs, 0, ValidationError)
        refuseInHandler(core, at('caughtUp'), title)
        const position = await endOf(core)
        await patiently(core.runtime, lifecycle, at('caughtUp'), options, (patience) => reach(core, consumer, position, patience))
      }),
    status: () => ({ [Symbol.asyncIterator]: () => statuses(core, consumer, lifecycle) }),
    resume: () =>
      lifecycle.run(at('resume'), async () => {
        await consumer.resume()
        core.pulse.wake()
      }),
  }
}

/**
 * Waits until a consumer has come to a position; runs it when nobody else does.
 * @throws StoppedError, NotYetError, and what else ends the patience
 */
export async function reach(
  core: ConsumerCore,
  consumer: Consumer,
  position: Position,
  patience: Patience,
  request: Pick<RunRequest, 'rebuild'> = {},
): Promise<void> {
  const { globalOrder } = core.store.capabilities
  const { signal, ending, timeoutMs, leftMs, until } = patience
  let last: RunResult | undefined
  const isStanding = standstillOf(core, consumer)
  const run = async () => {
    let [failures, restMs] = [0, 0]
    for (let wait = firstWaitMs; ; wait = Math.min(longestWaitMs, wait * 2)) {
      const place = globalOrder ? { until: position } : { reconcile: true }
      // What has failed is left alone for a while; another process may be there meanwhile.
      if (restMs <= 0) {
        last = await consumer.run({ ...request, ...place, budgetMs: leftMs(), signal: ending })
        if (last.state === 'waiting') restMs = backOffMs(++failures)
        // Without an order of all events each look takes the lease.
        if (last.state === 'outdated' && !globalOrder) restMs = longestWaitMs * 5
        if (last.nextDue !== undefined) restMs = Math.min(longestRestMs, last.nextDue.getTime() - core.runtime.now().getTime())
      }
      restMs -= wait
      const isThere = globalOrder ? comparePositions(await consumer.position(), position) >= 0 : last?.state === 'caught-up'
      if (isThere && (await consumer.nextDue()) === undefined) return
      if (last?.state === 'stopped') throw last.error
      // Rows of another version do not come back; an event may still be processed by another process.
      if (last?.state === 'outdated' && (last.leftAt === undefined || (await isStanding(wait)))) throw last.error
      await core.runtime.sleep(wait, signal)
    }
  }
  try {
    await until(run)
  } catch (error) {
    if (error !== signal.reason || !isCqrsError(error, 'NOT_YET')) throw error
    const reached = await consumer.position()
    if (globalOrder && comparePositions(reached, position) >= 0 && (await consumer.nextDue()) === undefined) return
    const why = last?.state === 'elsewhere' ? ' Another process runs it.' : ''
    throw new NotYetError(
      `${consumer.title} was not there within ${timeoutMs} ms: it is at position ${reached}, and ${position} was waited for.${why}`,
      undefined,
      last?.error,
    )
  }
}

/** Ends when the app closes, which waits for a look that is under way. */
async function* statuses(
  core: ConsumerCore,
  consumer: Consumer,
  lifecycle: Lifecycle,
): AsyncGenerator<ConsumerStatus, void, undefined> {
  for (let last = ''; !lifecycle.isClosing; ) {
    const status = await lifecycle.run('status', () => statusOf(core, consumer))
    const shown = JSON.stringify({ ...status, error: status.error === undefined ? undefined : String(status.error) })
    if (shown !== last) yield status
    last = shown
    await core.runtime.sleep(longestWaitMs)
  }
}

/** What is in the store comes first, then what the last run in this process came to. */
function troubleOf(trouble: unknown, last: RunResult | undefined, position: Position): Pick<ConsumerStatus, 'state' | 'error'> {
  if (trouble !== undefined) return { state: isCqrsError(trouble, 'VIEW_OUTDATED') ? 'outdated' : 'stopped', error: trouble }
  if (last?.state === 'waiting') return { state: 'waiting', error: last.error }
  if (last?.state === 'elsewhere') return { state: 'elsewhere' }
  if (last?.state !== 'outdated') return { state: 'running' }
  // A newer program has been there since.
  const leftAt = last.leftAt?.position
  if (last.leftAt === undefined || (leftAt !== undefined && comparePositions(position, leftAt) >= 0))
    return { state: 'elsewhere' }
  return { state: 'outdated', error: last.error }
}

async function statusOf(core: ConsumerCore, consumer: Consumer): Promise<ConsumerStatus> {
  const [position, end, trouble, parked] = await Promise.all([
    consumer.position(),
    endOf(core),
    consumer.trouble(),
    consumer.failed(),
  ])
  const last = core.pulse.results.get(consumer.title)
  const now = troubleOf(trouble, last, position)
  const { error } = now
  return {
    state: now.state,
    ...(position === beginning ? {} : { position }),
    lag: Math.max(0, Number(end) - Number(position)),
    parked,
    ...(error === undefined ? {} : { error }),
  }
}
