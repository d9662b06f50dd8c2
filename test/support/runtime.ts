import type { Runtime } from 'cqrs-es'

let runtimes = 0

/**
 * A runtime with a stopped clock, counted ids (unique over runtimes), and waits that take no time
 * but are recorded.
 */
export function standingStill(at = '2020-02-02T02:02:02.020Z') {
  const slept: number[] = []
  const own = ++runtimes
  let ids = 0
  const runtime: Runtime = {
    now: () => new Date(at),
    randomUUID: () => `runtime-${own}-id-${++ids}`,
    random: () => 0.5,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      slept.push(ms)
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
  return { runtime, slept }
}
