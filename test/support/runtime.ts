import { platformRuntime, type Runtime } from 'cqrs-es'

let runtimes = 0

/** A runtime whose clock stands, whose ids count (no two runtimes make the same), and whose waits take no time but are noted. */
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

/** The time within which a stream of changes may not show everything yet. With a `leaseMs` of 30,000 it is waited for in one piece. */
export const isStreamWait = (ms: number): boolean => ms > 1_900 && ms <= 2_000

/** The time before a read or a commit is sent again to a store that failed. */
export const isResend = (ms: number): boolean => ms < 1_900

/** The platform's runtime, except that waits that `passes` picks take no time: they move the clock on. */
export function leaping(passes: (ms: number) => boolean, clock?: { now: number }): Runtime {
  let leapt = 0
  const sleep = (ms: number, signal?: AbortSignal) => {
    if (!passes(ms)) return platformRuntime.sleep(ms, signal)
    if (clock === undefined) leapt += ms
    else clock.now += ms
    return platformRuntime.sleep(0, signal)
  }
  return { ...platformRuntime, now: () => new Date(clock?.now ?? Date.now() + leapt), sleep }
}

/** What an app needs so that the waits for a stream pass at once. One for all processes, so that their clocks are the same. */
export const withoutStreamWaits = { runtime: leaping(isStreamWait), following: { leaseMs: 30_000 } }
