import { type Duration, durationMs } from '../due/duration.ts'
import { DefinitionError } from '../errors.ts'
import { platformRuntime, type Runtime } from '../runtime.ts'
import { whenAborted } from '../util/abort.ts'

/** A clock that only a test moves. */
export interface TestClock extends Runtime {
  /** Moves the clock forward. @throws DefinitionError for a text that is no duration */
  advance(by: Duration): void
  /** Sets the clock, also back. @throws DefinitionError for a time that cannot be read */
  set(to: string | Date): void
}

/** A short wait takes up to this time, and moves no clock. */
const shortWaitMs = 5
/** A longer wait is a time limit, which must not end early: it ends when the clock is moved past it. */
const limitMs = 10_000

/**
 * Creates a clock that only the test moves: the `runtime` of an app.
 *
 * Waits of the library below 10 s take up to 5 ms of real time and do not move the clock. A longer
 * one is a time limit, such as that of a call. It ends when the clock passes it, or in real time.
 *
 * @throws DefinitionError for a time that cannot be read
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, noData } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 * import { testClock } from 'cqrs-es/testing'
 *
 * const door = defineAggregate({
 *   type: 'door',
 *   events: { Opened: noData },
 *   commands: { Open: noData },
 *   initialState: () => ({}),
 * }).implement({ handle: { Open: () => ({ type: 'Opened' }) }, apply: { Opened: (state) => state } })
 *
 * const clock = testClock('2030-01-01T00:00:00Z')
 * const app = createApp({ store: memoryStore(), aggregates: { door }, runtime: clock })
 * clock.advance('15m')
 * const result = await app.aggregates.door.execute('front', { type: 'Open' })
 * console.log(result.ok && result.events[0]?.recordedAt) // 2030-01-01T00:15:00.000Z
 * await app.close()
 * ```
 */
export function testClock(start: string | Date = '2000-01-01T00:00:00.000Z'): TestClock {
  let now = timeOf('testClock', start)
  const limits = new Set<() => void>()
  const move = (to: number) => {
    now = to
    for (const look of [...limits]) look()
  }
  const sleep: Runtime['sleep'] = async (ms, signal) => {
    if (ms < limitMs) return platformRuntime.sleep(Math.min(ms, shortWaitMs), signal)
    const end = now + ms
    const done = new AbortController()
    let look = () => {}
    const passed = new Promise<void>((resolve) => {
      look = () => {
        if (now >= end) resolve()
      }
      limits.add(look)
    })
    const forget = signal && whenAborted(signal, () => done.abort(signal.reason))
    try {
      signal?.throwIfAborted()
      await Promise.race([passed, platformRuntime.sleep(ms, done.signal)])
    } finally {
      limits.delete(look)
      forget?.()
      done.abort()
    }
  }
  return {
    ...platformRuntime,
    now: () => new Date(now),
    sleep,
    advance: (by) => {
      const ms = durationMs(by)
      if (ms === undefined)
        throw new DefinitionError(`testClock: advance takes a duration, such as '90s' or '15m', not '${String(by)}'.`)
      move(now + ms)
    },
    set: (to) => {
      move(timeOf('testClock: set', to))
    },
  }
}

function timeOf(at: string, time: string | Date): number {
  const ms = new Date(time).getTime()
  if (Number.isNaN(ms)) throw new DefinitionError(`${at}: '${String(time)}' is not a time.`)
  return ms
}
