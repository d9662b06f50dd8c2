import { createApp, defineSubscription, platformRuntime, type Store, type SubscriptionOptions } from 'cqrs-es'
import { counter } from './counter.ts'

export type LogOptions = SubscriptionOptions<'log', readonly [typeof counter], 'Counted'>
export type LogHandler = NonNullable<LogOptions['handle']>

/** An app with a subscription `log` to the counters. */
export function logging(
  store: Store,
  handle: LogHandler,
  options: Partial<LogOptions> = {},
  following = {},
  runtime = platformRuntime,
) {
  const log = defineSubscription({ name: 'log', aggregates: [counter], handle, ...options } as LogOptions)
  return createApp({ store, aggregates: { counter }, subscriptions: { log }, following, runtime, observe: () => {} })
}
