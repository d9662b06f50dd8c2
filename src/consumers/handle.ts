import { isCqrsError, ValidationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { comparePositions } from '../store/order.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkWholeNumber } from '../util/options.ts'
import { together } from '../util/together.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore, RunResult } from './core.ts'
import { refuseInHandler } from './handler-call.ts'
import { patiently } from './patience.ts'
import { beginning, endOf } from './positions.ts'
import { reach } from './shared-wait.ts'

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

const lookMs = 200

export function consumerHandle(core: ConsumerCore, consumer: Consumer, lifecycle: Lifecycle): ConsumerHandle {
  const { title } = consumer
  const at = (method: string) => `${method} of ${title.toLowerCase()}`
  const readEnd = together(() => endOf(core))
  return {
    caughtUp: (options = {}) =>
      lifecycle.run(at('caughtUp'), async () => {
        checkCallOptions('caughtUp', options, ['timeoutMs'])
        if (options.timeoutMs !== undefined) checkWholeNumber('timeoutMs', options.timeoutMs, 0, ValidationError)
        refuseInHandler(core, at('caughtUp'), title)
        const position = await readEnd()
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
    await core.runtime.sleep(lookMs)
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
