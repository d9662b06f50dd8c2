import type { AggregateExtension } from '../aggregate.ts'
import type { ConsumerDefinition, Machinery } from '../consumers/definitions.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import { messageOf } from '../errors.ts'
import type { ExtensionParts } from '../execution/extension.ts'
import { adopt } from '../rules/adopt.ts'
import { combine } from '../rules/combine.ts'
import { DeadlineConsumer, deadlinesName } from './consumer.ts'
import { deadlineRowsIn } from './deadline-row.ts'
import { deadlinesHandle } from './handle.ts'
import { deadlineWritesOf, missingDeadlines } from './rows.ts'
import type { DeadlineCore } from './send-deadline.ts'

/** The parts of an app that deadlines need. */
interface Parts {
  readonly '~parts': Pick<DeadlineCore, 'execute' | 'isForeign'>
}

const machinery: Machinery<ConsumerDefinition> = {
  connect: connectReadSide,
  run: (core) => ({
    open: ({ aggregateTypes }, lifecycle, app) => {
      const { execute, isForeign } = (app as Parts)['~parts']
      const onStuck = (error: unknown) => {
        if (core.observe === undefined) console.error('A deadline is stuck. Call app.deadlines.resume():', messageOf(error))
        else core.observe({ kind: 'following', name: 'The deadlines', error })
      }
      const work = { core, rows: deadlineRowsIn(core.store), execute, isForeign, onStuck }
      const consumer = new DeadlineConsumer(work, aggregateTypes)
      return { consumer, handle: deadlinesHandle(work, consumer, lifecycle) }
    },
  }),
}

const parts: ExtensionParts & { readonly option: 'deadlines' } = {
  option: 'deadlines',
  rows: deadlineWritesOf,
  combine,
  adopt,
  missing: missingDeadlines,
  consumer: (aggregateTypes) => ({
    kind: 'deadlines',
    name: 'deadlines',
    storedAs: deadlinesName,
    aggregateTypes,
    machinery: machinery as Machinery<never>,
  }),
}

/**
 * Code of the option `deadlines` of `defineAggregate`. Pass it in `with`; programs without it do not
 * load the code. `app.drain` and `app.start` send what is due.
 *
 * @example
 * ```ts
 * import { createApp, deadlines, defineAggregate, noData, typed } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 * import { testClock } from 'cqrs-es/testing'
 *
 * const seat = defineAggregate({
 *   type: 'seat',
 *   events: { Held: typed<{ until: string }>(), Freed: noData },
 *   commands: { Hold: typed<{ until: string }>(), ExpireHold: noData },
 *   initialState: () => ({ until: undefined as string | undefined }),
 *   deadlines: { ExpireHold: (state) => state.until },
 *   with: [deadlines],
 * }).implement({
 *   handle: { Hold: (_, data) => ({ type: 'Held', data }), ExpireHold: () => ({ type: 'Freed' }) },
 *   apply: { Held: (_, { until }) => ({ until }), Freed: () => ({ until: undefined }) },
 * })
 *
 * const clock = testClock('2030-01-01T00:00:00Z')
 * const app = createApp({ store: memoryStore(), aggregates: { seat }, runtime: clock })
 * await app.aggregates.seat.execute('12a', { type: 'Hold', data: { until: '2030-01-01T00:15:00Z' } })
 * clock.advance('15m')
 * await app.drain()
 * console.log((await app.aggregates.seat.load('12a')).sequence) // 2
 * await app.close()
 * ```
 */
export const deadlines: AggregateExtension<'deadlines'> = { '~extension': parts }
