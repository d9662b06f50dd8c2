import { ValidationError } from '../errors.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkWholeNumber } from '../util/options.ts'
import { together } from '../util/together.ts'
import type { Consumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import { refuseInHandler } from './handler-call.ts'
import { looksOf } from './looks.ts'
import { patiently } from './patience.ts'
import { endOf } from './positions.ts'
import { reach } from './shared-wait.ts'
import type { ConsumerStatus } from './status.ts'

/** What runs behind the events, as users hold it. */
export interface ConsumerHandle {
  /**
   * Resolves when all that is stored by now is done. Runs what is to be done itself when no other process does.
   * @throws StoppedError when it has stopped, or waits for a newer program and none is at work for `leaseMs`, NotYetError after `timeoutMs` (default: never), ValidationError in a handler of its own, StoreError, ClosedError (also when the app closes meanwhile)
   */
  caughtUp(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /** How it is doing: now, and again when that has changed, looked at once a second for all that iterate. It ends when the app closes. */
  status(): AsyncIterable<ConsumerStatus>
  /** How it is doing now. Takes no lease. @throws StoreError, ClosedError */
  health(): Promise<ConsumerStatus>
  /** Lets it go on when it has stopped, and tries again what was parked; also what did so in another process, or before a restart. */
  resume(): Promise<void>
}

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
    status: () => ({ [Symbol.asyncIterator]: () => looksOf(core).statuses(consumer, lifecycle) }),
    health: () => lifecycle.run(at('health'), () => looksOf(core).status(consumer)),
    resume: () =>
      lifecycle.run(at('resume'), async () => {
        await consumer.resume()
        core.pulse.wake()
      }),
  }
}
