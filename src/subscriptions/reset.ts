import type { ResettableConsumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import { busyError, checkReset, type ResetOptions, resetPatienceMs } from '../consumers/reset.ts'
import { whenAborted } from '../util/abort.ts'
import type { Lifecycle } from '../util/lifecycle.ts'

/** The checked `reset` of a subscription, which gives up when handlers are at work for too long. */
export function resetOf(core: ConsumerCore, consumer: ResettableConsumer, lifecycle: Lifecycle) {
  const { runtime, pulse } = core
  return (options: ResetOptions): Promise<void> =>
    lifecycle.follow(`reset of ${consumer.title.toLowerCase()}`, undefined, async (closing) => {
      checkReset(options, runtime.now())
      const over = new AbortController()
      const done = new AbortController()
      const forget = whenAborted(closing, () => over.abort(closing.reason))
      runtime.sleep(resetPatienceMs(core), done.signal).then(
        () => over.abort(busyError(consumer.title, core)),
        () => {},
      )
      try {
        await consumer.reset(options, over.signal)
        pulse.wake()
      } finally {
        done.abort()
        forget()
      }
    })
}
