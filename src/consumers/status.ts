import { messageOf } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { comparePositions } from '../store/order.ts'
import type { ConsumerCore, RunResult } from './core.ts'
import type { Holder, Look } from './look.ts'
import { beginning } from './positions.ts'

/** Status of a subscription, an async view or a process. */
export interface ConsumerStatus {
  /**
   * State of the consumer, the first of these that applies.
   *
   * * `outdated`: the view is left to a newer program.
   * * `stopped`: it waits for `resume()`.
   * * `outdated`: the next event is left to a newer program.
   * * `waiting`: this process retries after an error.
   * * `running`: this app holds a lease.
   * * `elsewhere`: another app holds a lease.
   * * `running`: this app was started and is about to take a lease.
   * * `nobody`: events wait and no process holds a lease.
   * * `waiting`: a retry is scheduled.
   * * `idle`: it has caught up.
   */
  readonly state: 'idle' | 'running' | 'elsewhere' | 'nobody' | 'waiting' | 'outdated' | 'stopped'
  /** One sentence for an operator: the reason of the state, and what to do. */
  readonly because: string
  /** Everything up to here is done. Absent before the first event, and without a global order. */
  readonly position?: Position
  /** Log positions after `position`: 0 when it has caught up. Absent without a global order. */
  readonly lag?: number
  /** The oldest waiting event of its aggregates, and its age by the clock of this process. */
  readonly oldest?: { readonly eventId: string; readonly recordedAt: string; readonly seconds: number }
  /** Apps that hold its leases; empty on a store without `readConsumers`. */
  readonly holders: readonly Holder[]
  /** Aggregates whose events wait for `resume()` or `retry()`. */
  readonly parked: number
  /** Aggregates whose failed event is retried automatically. */
  readonly retrying: number
  /** Instances that wait for `resume()`. Only of a process. */
  readonly stuck?: number
  /** There are more parked or retrying aggregates, or stuck instances: up to 100 were counted. */
  readonly isMore: boolean
  /** Time of the next retry. */
  readonly nextTryAt?: string
  /** The last error, if something is wrong. */
  readonly error?: unknown
}

/** Status of all subscriptions, views and processes of an app. */
export interface AppHealth {
  readonly consumers: readonly ConsumerHealth[]
}

/** Status of one subscription, view or process of an app. */
export interface ConsumerHealth extends ConsumerStatus {
  /** Key in `app.subscriptions`, `app.views` or `app.processes`, or `deadlines`. */
  readonly key: string
  /** Its `name`, which may differ from `storedAs`. */
  readonly name: string
  readonly kind: 'subscription' | 'publication' | 'process' | 'view' | 'sqlView' | 'deadlines'
}

type State = Pick<ConsumerStatus, 'state' | 'because' | 'error'>

/** State in this process, in addition to the stored state. */
interface Known {
  readonly last: RunResult | undefined
  /** The app was started. */
  readonly isFollowing: boolean
}

export function statusOf(core: ConsumerCore, look: Look, known: Known): ConsumerStatus {
  const { position, end, oldest, holders, parked, retrying, isMore, nextTryAt, stuck } = look
  const { state, because, error } = stateOf(core, look, known)
  return {
    state,
    because,
    ...(position === undefined || position === beginning ? {} : { position }),
    ...(position === undefined ? {} : { lag: Math.max(0, Number(end) - Number(position)) }),
    ...(oldest && { oldest: { eventId: oldest.id, recordedAt: oldest.recordedAt, seconds: secondsSince(core, oldest) } }),
    holders,
    parked,
    retrying,
    isMore,
    ...(stuck === undefined ? {} : { stuck }),
    ...(nextTryAt === undefined ? {} : { nextTryAt }),
    ...(error === undefined ? {} : { error }),
  }
}

/** Derives the state from the store first, then from the last run in this process. */
function stateOf(core: ConsumerCore, look: Look, { last, isFollowing }: Known): State {
  const { stopped, outdated, holders, isLate, parked, retrying, nextTryAt, stuck = 0, isMore } = look
  if (outdated !== undefined) return { state: 'outdated', because: messageOf(outdated), error: outdated }
  if (stopped !== undefined && stopped.skipped === undefined) {
    const { error, stoppedAt } = stopped
    return { state: 'stopped', because: `Since ${stoppedAt}: ${error.message}`, error }
  }
  const others = holders.filter(({ isThisApp }) => !isThisApp)
  const isOthers = others.length > 0 || (core.store.readConsumers === undefined && last?.state === 'elsewhere' && isLate)
  const isOwn = holders.length > others.length
  if (last?.state === 'outdated' && !isOthers && !isPassed(last, look))
    return { state: 'outdated', because: messageOf(last.error), error: last.error }
  if (last?.state === 'waiting' && !isOthers && (isLate || look.position === undefined))
    return { state: 'waiting', because: `It retries after an error: ${messageOf(last.error)}`, error: last.error }
  const waits = waitOf(core, look)
  if (isOwn) return { state: 'running', because: `This app runs it${waits}.` }
  if (isOthers) {
    const names = others.map(({ holder }) => `'${holder}'`).join(', ')
    return { state: 'elsewhere', because: `Another app runs it${names && `, ${names}`}${waits}.` }
  }
  if (isLate && isFollowing) return { state: 'running', because: `This app was started and runs it next${waits}.` }
  if (isLate)
    return {
      state: 'nobody',
      because: `No process holds its lease${waits}. Call app.start() or app.drain() in a program that has it.`,
    }
  if (retrying > 0) return { state: 'waiting', because: `${aggregates(look, retrying)} for a retry, the next at ${nextTryAt}.` }
  if (parked > 0) return { state: 'idle', because: `It has caught up, but ${aggregates(look, parked)} for resume() or retry().` }
  if (stuck > 0) {
    const instances = isMore
      ? `${stuck} instances or more are stuck`
      : stuck === 1
        ? '1 instance is stuck'
        : `${stuck} instances are stuck`
    return {
      state: 'idle',
      because: `It has caught up, but ${instances}. Call list({ only: 'stuck' }), then resume() or abandon().`,
    }
  }
  return { state: 'idle', because: `It has caught up${waits}.` }
}

const aggregates = ({ isMore }: Look, count: number): string =>
  isMore ? `more than ${count} aggregates wait` : count === 1 ? '1 aggregate waits' : `${count} aggregates wait`

function waitOf(core: ConsumerCore, { oldest, isLate, held, rebuild, end }: Look): string {
  if (rebuild !== undefined && isLate) {
    const isBegun = rebuild.reached !== undefined
    const percent = Math.floor((100 * Number(rebuild.reached)) / Number(end))
    return `, and its rows have another version${isBegun ? `: the rebuild has reached ${percent} % of the log` : ''}`
  }
  if (held > 0) return `, and the last ${held} positions of the log become readable once older transactions end`
  if (oldest !== undefined) return `, and its event ${oldest.id} has waited for ${Math.round(secondsSince(core, oldest))} s`
  return isLate ? ', and the next part of the log has no event for it' : ''
}

/** Returns whether a newer program has passed the event since. */
const isPassed = ({ leftAt }: RunResult, { position }: Look): boolean =>
  leftAt?.position !== undefined && position !== undefined && comparePositions(position, leftAt.position) >= 0

const secondsSince = ({ runtime }: ConsumerCore, { recordedAt }: { readonly recordedAt: string }): number =>
  Math.max(0, (runtime.now().getTime() - Date.parse(recordedAt)) / 1_000)
