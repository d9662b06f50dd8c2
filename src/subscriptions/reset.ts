import type { ResettableConsumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { patiently } from '../consumers/patience.ts'
import { busyError, checkReset, type ResetOptions, resetPatienceMs } from '../consumers/reset.ts'
import type { Lifecycle } from '../util/lifecycle.ts'

/** The checked `reset` of a subscription, which gives up when handlers are at work for too long. */
export function resetOf(core: ConsumerCore, consumer: ResettableConsumer, lifecycle: Lifecycle) {
  const { title } = consumer
  const limits = { timeoutMs: resetPatienceMs(core), late: () => busyError(title, core) }
  return async (options: ResetOptions): Promise<void> => {
    checkReset(options, core.runtime.now())
    // It is waited for until it has ended, so that what it says about it is true.
    await patiently(core.runtime, lifecycle, `reset of ${title.toLowerCase()}`, limits, ({ signal, follow }) =>
      follow(() => consumer.reset(options, signal)),
    )
    core.pulse.wake()
  }
}
