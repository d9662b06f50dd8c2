import type { ResettableConsumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { patiently } from '../consumers/patience.ts'
import { busyError, checkReset, type ResetOptions, resetPatienceMs } from '../consumers/reset.ts'
import type { Lifecycle } from '../util/lifecycle.ts'

/** Returns the checked `reset` of a subscription. It gives up when handlers run for too long. */
export function resetOf(core: ConsumerCore, consumer: ResettableConsumer, lifecycle: Lifecycle) {
  const { title } = consumer
  const limits = { timeoutMs: resetPatienceMs(core), late: () => busyError(title, core) }
  return async (options: ResetOptions): Promise<void> => {
    checkReset(options, core.runtime.now())
    // Wait for its end even after the timeout, so that the error tells the truth about what
    // changed.
    await patiently(core.runtime, lifecycle, `reset of ${title.toLowerCase()}`, limits, ({ signal, follow }) =>
      follow(() => consumer.reset(options, signal)),
    )
    core.pulse.wake()
  }
}
