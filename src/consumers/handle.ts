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

/** Methods of subscriptions and async views. */
export interface ConsumerHandle {
  /**
   * Waits until all events stored so far are processed. Processes them if no other process does.
   *
   * @throws StoppedError when it has stopped, or waits for a newer program and none runs it for
   * `leaseMs`. NotYetError after `timeoutMs` (default: never). ValidationError in its own handler.
   * StoreError. ClosedError, also when the app closes meanwhile.
   */
  caughtUp(options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /**
   * Iterates over statuses: the current one, then each change, until the app closes. All iterations
   * share one read per second.
   */
  status(): AsyncIterable<ConsumerStatus>
  /** Returns the current status. Takes no lease. @throws StoreError, ClosedError */
  health(): Promise<ConsumerStatus>
  /**
   * Continues after a stop and retries parked events, also those of other processes or before a
   * restart.
   */
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
