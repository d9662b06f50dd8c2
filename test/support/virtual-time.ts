import { platformRuntime, type Runtime } from 'cqrs-es'
import { settled } from './async.ts'

/**
 * A clock that moves only when no other work is left: hours of waiting take moments, and the
 * shortest wait ends first. `isBusy`: work is running that takes real time.
 */
export function virtualTime(random: () => number, isBusy: () => boolean) {
  let now = Date.UTC(2030, 0, 1)
  let order = 0
  let waiting: { readonly at: number; readonly order: number; readonly wake: () => void }[] = []

  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const timer = { at: now + Math.max(0, ms), order: order++, wake: () => end(resolve) }
      const end = (how: () => void) => {
        waiting = waiting.filter((one) => one !== timer)
        signal?.removeEventListener('abort', abort)
        how()
      }
      const abort = () => end(() => reject(signal?.reason))
      signal?.addEventListener('abort', abort)
      waiting.push(timer)
    })

  const runtime: Runtime = { ...platformRuntime, now: () => new Date(now), random, sleep }

  /**
   * Lets time pass until a promise settles. Fails if it takes longer than `mostMs`, or if nothing
   * waits any more.
   */
  async function until<T>(what: Promise<T>, mostMs: number): Promise<T> {
    const began = now
    let isDone = false
    const done = () => {
      isDone = true
    }
    what.then(done, done)
    for (;;) {
      await settled()
      while (isBusy()) await settled()
      if (isDone) break
      const next = waiting.reduce<(typeof waiting)[number] | undefined>(
        (first, one) =>
          first === undefined || one.at < first.at || (one.at === first.at && one.order < first.order) ? one : first,
        undefined,
      )
      if (next === undefined) throw new Error('Nobody waits for anything, and it is not done.')
      if (next.at - began > mostMs) throw new Error(`It is not done after ${mostMs} ms.`)
      now = Math.max(now, next.at)
      next.wake()
    }
    return what
  }

  return { now: () => now, sleep, runtime, until }
}
