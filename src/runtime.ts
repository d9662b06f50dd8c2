/** All time, randomness, timers and waits of the core. Pass your own to `createApp` to freeze the clock or to make a run repeatable. */
export interface Runtime {
  now(): Date
  randomUUID(): string
  /** At least 0, below 1. */
  random(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The platform's clock, Web Crypto and timers. */
export const platformRuntime: Runtime = {
  now: () => new Date(),
  randomUUID: () => crypto.randomUUID(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    abortable(signal, (done) => {
      const timer = setTimeout(done, ms)
      return () => clearTimeout(timer)
    }),
}

/** Waits until `done` is called, or rejects with the signal's reason when it aborts first; `begin` returns how to take back what it began. */
export const abortable = (signal: AbortSignal | undefined, begin: (done: () => void) => () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const abort = () => {
      takeBack()
      reject(signal?.reason)
    }
    const takeBack = begin(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
