import { NotYetError, ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { checkCallOptions } from '../execution/call.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { checkWholeNumber } from '../options.ts'
import { comparePositions } from '../store/order.ts'
import type { ConsumerCore } from './consumption.ts'
import type { Follower } from './follower.ts'
import { beginning, endOf } from './lane.ts'

/** How a subscription, or a view behind the events, is doing. */
export interface SubscriptionStatus {
  /** `running`: in this process, or about to. `waiting`: for a while, after `error`. `stopped`: until `resume()`. `elsewhere`: another process has it. */
  readonly state: 'running' | 'waiting' | 'stopped' | 'elsewhere'
  /** All up to here is done; left out before the first event. */
  readonly position?: Position
  /** How many places of the log are behind that position: 0 when it has caught up. */
  readonly lag: number
  /** Aggregates that wait since an event of theirs was parked. */
  readonly parked: number
  /** What went wrong last, where something is wrong. */
  readonly error?: unknown
}

/** What runs behind the events, as users hold it. */
export interface FollowerHandle {
  /**
   * Resolves when all that is stored by now is done. Runs what is to be done itself when no other process does.
   * @throws StoppedError when it has stopped, NotYetError after `timeoutMs` (default: never), StoreError, ClosedError
   */
  caughtUp(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /** How it is doing: now, and again whenever that has changed, for as long as it is iterated over. */
  status(): AsyncIterable<SubscriptionStatus>
  /** Lets it go on when it has stopped, and tries again what was parked; also what did so in another process, or before a restart. */
  resume(): Promise<void>
}

const firstWaitMs = 5
const longestWaitMs = 200

export function followerHandle(core: ConsumerCore, follower: Follower, lifecycle: Lifecycle): FollowerHandle {
  const { title } = follower
  return {
    caughtUp: (options = {}) =>
      lifecycle.run(`caughtUp of ${title.toLowerCase()}`, async () => {
        checkCallOptions('caughtUp', options, ['timeoutMs'])
        await reach(core, follower, await endOf(core), options.timeoutMs)
      }),
    status: () => ({ [Symbol.asyncIterator]: () => statuses(core, follower) }),
    resume: () =>
      lifecycle.run(`resume of ${title.toLowerCase()}`, async () => {
        await follower.resume()
        core.pulse.wake()
      }),
  }
}

/** Waits until a follower has come to a position; runs it when nobody else does. @throws StoppedError, NotYetError */
export async function reach(core: ConsumerCore, follower: Follower, position: Position, timeoutMs?: number): Promise<void> {
  const { runtime } = core
  if (timeoutMs !== undefined) checkWholeNumber('timeoutMs', timeoutMs, 0, ValidationError)
  const began = runtime.now().getTime()
  for (let wait = firstWaitMs; ; wait = Math.min(longestWaitMs, wait * 2)) {
    const left = timeoutMs === undefined ? undefined : timeoutMs - (runtime.now().getTime() - began)
    const { state, error } = await follower.run({
      ...(core.store.capabilities.globalOrder ? { until: position } : { reconcile: true }),
      budgetMs: left,
    })
    const isThere = core.store.capabilities.globalOrder
      ? comparePositions(await follower.position(), position) >= 0
      : state === 'caught-up'
    if (isThere) return
    if (state === 'stopped') throw error
    if (left !== undefined && left <= wait)
      throw new NotYetError(
        `${follower.title} was not there within ${timeoutMs} ms: it is at position ${await follower.position()}, and ${position} was waited for. ${state === 'elsewhere' ? 'Another process runs it.' : ''}`,
        undefined,
        error,
      )
    await runtime.sleep(wait)
  }
}

async function* statuses(core: ConsumerCore, follower: Follower): AsyncGenerator<SubscriptionStatus, void, undefined> {
  for (let last = ''; ; ) {
    const status = await statusOf(core, follower)
    const shown = JSON.stringify({ ...status, error: status.error === undefined ? undefined : String(status.error) })
    if (shown !== last) yield status
    last = shown
    await core.runtime.sleep(longestWaitMs)
  }
}

async function statusOf(core: ConsumerCore, follower: Follower): Promise<SubscriptionStatus> {
  const [position, end, trouble, parked] = await Promise.all([
    follower.position(),
    endOf(core),
    follower.trouble(),
    follower.parked(),
  ])
  const last = core.pulse.results.get(follower.title)
  const error = trouble ?? (last?.state === 'waiting' ? last.error : undefined)
  return {
    state: trouble !== undefined ? 'stopped' : last?.state === 'elsewhere' || last?.state === 'waiting' ? last.state : 'running',
    ...(position === beginning ? {} : { position }),
    lag: Math.max(0, Number(end) - Number(position)),
    parked,
    ...(error === undefined ? {} : { error }),
  }
}
