import { DefinitionError } from './errors.ts'
import { abortable } from './util/abort.ts'
import { isObject } from './util/json.ts'
import { isThenable, refusing } from './util/refusing.ts'

/**
 * Time, randomness, timers and waits of the core. Pass your own to `createApp` for repeatable runs.
 */
export interface Runtime {
  /** The current time, for `recordedAt`, the handler's `now` and durations. */
  now(): Date
  /** Ids of commits and commands, which must be unique in the store over all processes. */
  randomUUID(): string
  /** A number of at least 0 and below 1, for the length of waits. */
  random(): number
  /** Resolves after `ms` milliseconds, or rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A timer that is set for longer fires at once. */
const longestTimer = 2 ** 31 - 1

/**
 * The platform's clock, Web Crypto and timers: the default, and the base of your own runtime.
 *
 * @example
 * ```ts
 * import { createApp, platformRuntime } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const runtime = { ...platformRuntime, now: () => new Date('2030-01-01T00:00:00Z') }
 * const app = createApp({ store: memoryStore(), aggregates: {}, runtime })
 * ```
 */
export const platformRuntime: Runtime = {
  now: () => new Date(),
  randomUUID: () => crypto.randomUUID(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    abortable(signal, (done) => {
      let timer: ReturnType<typeof setTimeout>
      const wait = (left: number): void => {
        timer = setTimeout(() => (left > longestTimer ? wait(left - longestTimer) : done()), Math.min(left, longestTimer))
      }
      wait(ms)
      return () => clearTimeout(timer)
    }),
}

/**
 * Wraps a runtime of the user and checks its results.
 *
 * @throws DefinitionError from each of its functions
 */
export function checkedRuntime(runtime: Runtime): Runtime {
  if (runtime === platformRuntime) return runtime
  const checked = <T>(method: string, wanted: string, value: T, fits: boolean): T => {
    if (fits) return value
    const returned = isThenable(value) ? 'a promise' : String(value)
    throw refusing(new DefinitionError(`createApp: runtime.${method}() must return ${wanted} at once, not ${returned}.`), value)
  }
  return {
    now: () => {
      const now: unknown = runtime.now()
      return checked('now', 'a valid Date', now as Date, isObject(now) && Number.isFinite((now as Partial<Date>).getTime?.()))
    },
    randomUUID: () => {
      const id: unknown = runtime.randomUUID()
      return checked('randomUUID', 'a text', id as string, typeof id === 'string' && id !== '')
    },
    random: () => {
      const number: unknown = runtime.random()
      return checked('random', 'a number from 0 to below 1', number as number, Number(number) >= 0 && Number(number) < 1)
    },
    sleep: (ms, signal) => runtime.sleep(ms, signal),
  }
}
