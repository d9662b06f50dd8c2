import type { AnyAggregate, EnvelopeOf, TypesOf } from '../aggregate.ts'
import type { AggregateHandle } from '../aggregate-handle.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { buildSubscription, checkSubscriptionOptions } from './definition.ts'
import { subscriptionMachinery } from './machinery.ts'
import type { ReactionOptions } from './reaction.ts'

/** A subscription, ready for `createApp`. Made by `defineSubscription`. */
export interface Subscription<N extends string = string> {
  /** As it was given. */
  readonly name: N
  /** Tells it from a view. */
  readonly '~subscription': true
  /** @internal */
  readonly '~definition': SubscriptionDefinition
}

interface AnyContext {
  /** The app that runs the subscription, to send commands to. */
  readonly app: SubscriptionApp
  /** Aborts when the handler shall end: its time is up, the app closes, or another process has taken over. */
  readonly signal: AbortSignal
  /** 1 for the first delivery of this event in this process, 2 when it is tried again … */
  readonly attempt: number
}

/** What the handler of a subscription knows besides the event. */
export interface SubscriptionContext extends AnyContext {
  /**
   * Options for the commands that follow from the event: an idempotency key made of the subscription and the event, so that a second delivery changes nothing, and
   * `causationId` and `correlationId`. A handler that sends several commands to one aggregate names each.
   * @throws DefinitionError for a name that is no text. Two commands to one aggregate with one key: `execute` rejects with it, and the delivery fails.
   */
  readonly reaction: (name?: string) => ReactionOptions
}

/** What the handler of batches knows besides the events. */
export interface BatchContext<E = EventEnvelope> extends AnyContext {
  /**
   * Options for the commands that follow from one event of the batch, as `reaction` of a handler of single events makes them: the same event has the same key in any batch.
   * @throws DefinitionError without an event of the batch, or for a name that is no text
   */
  readonly reaction: (event: E, name?: string) => ReactionOptions
}

/** What a subscription may use of its app. */
export interface SubscriptionApp {
  /** The handle of an aggregate of the app, as `app.aggregates` has it. @throws DefinitionError when the app does not have it */
  aggregate<A extends AnyAggregate>(aggregate: A): AggregateHandle<TypesOf<A>>
}

/** How an event that failed is tried again. The times are stored: no process has to wait, and a restart changes nothing. */
export interface RetryPolicy {
  /** Milliseconds before the second try. Each wait is between half and all of what is computed. Default 1,000. */
  readonly firstMs?: number
  /** Each wait is this many times the one before. Default 2. */
  readonly factor?: number
  /** The longest wait. Default 60,000. */
  readonly maxMs?: number
  /** How long it is tried, counted from its first failure; then `then` applies. */
  readonly forMs: number
}

/** What happens when a handler fails. */
export type OnFailure = 'stop' | 'park' | 'retry' | { readonly retry: RetryPolicy; readonly then: 'park' | 'stop' }

type Handled<A extends readonly AnyAggregate[], T> = Extract<EnvelopeOf<A[number]>, { readonly type: T }>

/** What `defineSubscription` takes: with `handle`, or with `handleBatch`. */
export type SubscriptionOptions<N extends string, A extends readonly AnyAggregate[], T extends string> = AnySubscriptionOptions<
  N,
  A,
  T
> &
  (ByOne<Handled<A, T>> | ByBatch<Handled<A, T>>)

interface AnySubscriptionOptions<N extends string, A extends readonly AnyAggregate[], T extends string> {
  /** Name of the subscription, 1–200 characters. */
  readonly name: N
  /**
   * Name in the store and in the keys of `reaction`, 1–200 characters: a subscription that gets another `name` continues with it. Default: `name`.
   */
  readonly storedAs?: string
  /** The aggregates whose events it gets. */
  readonly aggregates: A
  /** Only these types of events. Default: all. */
  readonly eventTypes?: readonly T[]
  /** Where it begins when it has no checkpoint yet: at the first event, behind the last, or behind a position. Default `'beginning'`. */
  readonly from?: 'beginning' | 'now' | Position
  /**
   * What happens when the handler fails. `'stop'`: nothing more until `resume()`. `'retry'`: again and again, after waits of up to
   * 30 s, and everything waits. `'park'`: the event is set aside, and what its aggregate does after it waits for `resume()` or
   * `retry()`. `{ retry, then }`: it is tried again at times that are kept in the store, and only its aggregate waits. Default
   * `'stop'`.
   */
  readonly onFailure?: OnFailure
  /** How often an event is tried before it stops the subscription or is parked, with short waits between. Default 1. */
  readonly maxAttempts?: number
  /** Milliseconds after which a handler that has not ended counts as failed. Default 60,000. */
  readonly timeoutMs?: number
  /**
   * Handlers at the same time in one process, each for another aggregate, whose events stay in order; 1–256. Default 1: all
   * events in the order of the log.
   */
  readonly concurrency?: number
  /**
   * Parts by aggregate that several processes can share; 1–64. May be changed at any time: nothing is lost or delivered twice by
   * it. Default 1: one process at a time does it all.
   */
  readonly partitions?: number
}

interface ByOne<E> {
  /** Gets one event after another, and may return anything. What it does may happen again after a crash: make it safe to repeat, by `event.id`. */
  readonly handle: (event: E, context: SubscriptionContext) => unknown
  readonly handleBatch?: undefined
  readonly batchSize?: undefined
}

interface ByBatch<E> {
  readonly handle?: undefined
  /** Gets several at once, in order, in place of `handle`. When it fails, the events are given one by one, to find which of them it is. */
  readonly handleBatch: (events: readonly E[], context: BatchContext<E>) => unknown
  /** Events in a batch at the most; the parts of one that is split are never divided. Default 100. */
  readonly batchSize?: number
}

/**
 * Declares a subscription: a function that gets the events of some aggregates in the order they were stored, each at least once, from a durable checkpoint on, in one process at a
 * time. Give it to `createApp({ subscriptions })`; it runs from `app.start()` on, or during `app.drain()`.
 *
 * @throws DefinitionError for a misspelt option, an event the aggregates do not have, or neither or both of `handle` and `handleBatch`
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, defineSubscription, typed } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const task = defineAggregate({
 *   type: 'task',
 *   events: { Assigned: typed<{ to: string }>() },
 *   commands: { Assign: typed<{ to: string }>() },
 *   initialState: () => ({ to: '' }),
 * }).implement({
 *   handle: { Assign: (_, { to }) => ({ type: 'Assigned', data: { to } }) },
 *   apply: { Assigned: (_, { to }) => ({ to }) },
 * })
 *
 * const mailer = defineSubscription({
 *   name: 'mailer',
 *   aggregates: [task],
 *   eventTypes: ['Assigned'],
 *   handle: (event) => console.log(`Dear ${event.data.to}: ${event.aggregateId} is yours.`),
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { task }, subscriptions: { mailer } })
 * await app.aggregates.task.execute('t-1', { type: 'Assign', data: { to: 'ann' } })
 * await app.drain() // Dear ann: t-1 is yours.
 * await app.close()
 * ```
 */
export function defineSubscription<
  const N extends string,
  const A extends readonly AnyAggregate[],
  const T extends EnvelopeOf<A[number]>['type'] = EnvelopeOf<A[number]>['type'],
>(options: SubscriptionOptions<N, A, T>): Subscription<N> {
  checkSubscriptionOptions(options)
  if (!Array.isArray(options.aggregates)) throw new DefinitionError(`Subscription '${options.name}': aggregates must be a list.`)
  const aggregates = options.aggregates.map((aggregate: unknown, i) => {
    const { type, events } = definitionOf(`Subscription '${options.name}': aggregates[${i}]`, aggregate)
    return { type, eventTypes: new Set(events.keys()) }
  })
  return {
    name: options.name,
    '~subscription': true,
    '~definition': buildSubscription({ ...options, aggregates, machinery: subscriptionMachinery }),
  }
}
