import { messageOf } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { comparePositions } from '../store/order.ts'
import type { ConsumerCore, RunResult } from './core.ts'
import type { Holder, Look } from './look.ts'
import { beginning } from './positions.ts'

/** How a subscription, or a view that follows the events, is doing. */
export interface ConsumerStatus {
  /**
   * The first that holds. `stopped`: until `resume()`. `outdated`: the next event, or the view, is left to a newer program.
   * `waiting`: for another try. `running`: this app holds a lease, or is about to take it. `elsewhere`: another one holds it.
   * `idle`: it has caught up. `nobody`: events wait, and no process holds a lease.
   */
  readonly state: 'idle' | 'running' | 'elsewhere' | 'nobody' | 'waiting' | 'outdated' | 'stopped'
  /** One sentence for a person: why it is in this state, and what to do. */
  readonly because: string
  /** All up to here is done; left out before the first event, and without a global order. */
  readonly position?: Position
  /** How many places of the log are after that position: 0 when it has caught up. Left out without a global order. */
  readonly lag?: number
  /** The oldest event of its aggregates that waits, and for how long, by the clock of this process. */
  readonly oldest?: { readonly eventId: string; readonly recordedAt: string; readonly seconds: number }
  /** The apps that hold its leases; empty on a store without `readConsumers`. */
  readonly holders: readonly Holder[]
  /** Aggregates whose events wait for `resume()` or `retry()`. */
  readonly parked: number
  /** Aggregates whose failed event is tried again by itself. */
  readonly retrying: number
  /** There are more of both: up to 100 were counted. */
  readonly isMore: boolean
  /** When the next of them is tried again. */
  readonly nextTryAt?: string
  /** What went wrong last, where something is wrong. */
  readonly error?: unknown
}

/** How what follows the events of an app is doing. */
export interface AppHealth {
  readonly consumers: readonly ConsumerHealth[]
}

/** How one subscription or view of an app is doing. */
export interface ConsumerHealth extends ConsumerStatus {
  /** In `app.subscriptions` or `app.views`. */
  readonly key: string
  /** In the store. */
  readonly name: string
  readonly kind: 'subscription' | 'view' | 'sqlView'
}

type State = Pick<ConsumerStatus, 'state' | 'because' | 'error'>

/** What this process knows beside what is stored. */
interface Known {
  readonly last: RunResult | undefined
  /** The app was started. */
  readonly isFollowing: boolean
}

export function statusOf(core: ConsumerCore, look: Look, known: Known): ConsumerStatus {
  const { position, end, oldest, holders, parked, retrying, isMore, nextTryAt } = look
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
    ...(nextTryAt === undefined ? {} : { nextTryAt }),
    ...(error === undefined ? {} : { error }),
  }
}

/** What is in the store comes first, then what the last run in this process came to. */
function stateOf(core: ConsumerCore, look: Look, { last, isFollowing }: Known): State {
  const { stopped, outdated, holders, isLate, parked, retrying, nextTryAt } = look
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
  if (retrying > 0)
    return { state: 'waiting', because: `${aggregates(look, retrying)} for a retry, the next at ${nextTryAt}.` }
  if (parked > 0) return { state: 'idle', because: `It has caught up, but ${aggregates(look, parked)} for resume() or retry().` }
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

/** A newer program has been there since. */
const isPassed = ({ leftAt }: RunResult, { position }: Look): boolean =>
  leftAt?.position !== undefined && position !== undefined && comparePositions(position, leftAt.position) >= 0

const secondsSince = ({ runtime }: ConsumerCore, { recordedAt }: { readonly recordedAt: string }): number =>
  Math.max(0, (runtime.now().getTime() - Date.parse(recordedAt)) / 1_000)
