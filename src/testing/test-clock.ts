import { type Duration, durationMs } from '../due/duration.ts'
import { DefinitionError } from '../errors.ts'
import { platformRuntime, type Runtime } from '../runtime.ts'

/** A clock that only a test moves. */
export interface TestClock extends Runtime {
  /** Moves the clock forward. @throws DefinitionError for a text that is no duration */
  advance(by: Duration): void
  /** Sets the clock, also back. @throws DefinitionError for a time that cannot be read */
  set(to: string | Date): void
}

/** A wait of the library takes up to this time, and moves no clock. */
const longestWaitMs = 5

/**
 * Creates a clock that stands still until the test moves it: the `runtime` of an app.
 *
 * Waits of the library take up to 5 ms of real time and do not move the clock.
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
  return {
    ...platformRuntime,
    now: () => new Date(now),
    sleep: (ms, signal) => platformRuntime.sleep(Math.min(ms, longestWaitMs), signal),
    advance: (by) => {
      const ms = durationMs(by)
      if (ms === undefined)
        throw new DefinitionError(`testClock: advance takes a duration, such as '90s' or '15m', not '${String(by)}'.`)
      now += ms
    },
    set: (to) => {
      now = timeOf('testClock: set', to)
    },
  }
}

function timeOf(at: string, time: string | Date): number {
  const ms = new Date(time).getTime()
  if (Number.isNaN(ms)) throw new DefinitionError(`${at}: '${String(time)}' is not a time.`)
  return ms
}
