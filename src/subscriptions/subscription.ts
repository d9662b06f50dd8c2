import type { AnyAggregate, EnvelopeOf, TypesOf } from '../aggregate.ts'
import type { AggregateHandle } from '../aggregate-handle.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { buildSubscription, checkSubscriptionOptions } from './definition.ts'
import { subscriptionMachinery } from './machinery.ts'
import type { ReactionOptions } from './reaction.ts'

/** A subscription, ready for `createApp`. Created by `defineSubscription`. */
export interface Subscription<N extends string = string> {
  /** Name of the subscription. */
  readonly name: N
  /** Distinguishes it from a view. */
  readonly '~subscription': true
  /** @internal */
  readonly '~definition': SubscriptionDefinition
}

interface AnyContext {
  /** The app that runs the subscription, for sending commands. */
  readonly app: SubscriptionApp
  /** Aborts when the handler should end: timeout, app closing, or takeover by another process. */
  readonly signal: AbortSignal
  /**
   * Delivery attempt of this event, starting at 1. Counts failures that are stored and those seen
   * by this process.
   */
  readonly attempt: number
}

/** Context passed to a subscription handler. */
export interface SubscriptionContext extends AnyContext {
  /**
   * Returns options for commands that follow from the event.
   *
   * An idempotency key derived from the subscription and the event makes a redelivery harmless;
   * `causationId` and `correlationId` link the events. Pass a `name` for each command if you send
   * several to one aggregate.
   *
   * @throws DefinitionError for a name that is not a string. If two commands to one aggregate have
   * the same key, `execute` rejects with it, and the delivery fails.
   */
  readonly reaction: (name?: string) => ReactionOptions
  /**
   * Calls `act` once for this event, and stores its result before returning it.
   *
   * A redelivery of the event receives the stored result, also after a restart and in another
   * process. If the process dies after `act` and before the result is stored, `act` is called again
   * with the same `key`: pass it to the service as its idempotency key. The same `name` for one
   * event gives the same result. The result is stored as JSON until the event has passed, up to
   * 20,000 characters for all results of an event. After `reset` and with a new `storedAs`, all
   * results are forgotten.
   *
   * @throws ValidationError for a result that is not JSON or too long. DefinitionError for an empty
   * or too long name, and for a call after the handler has ended. Anything that `act` throws
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
   *   initialState: () => ({}),
   * }).implement({
   *   handle: { Assign: (_, data) => ({ type: 'Assigned', data }) },
   *   apply: { Assigned: (state) => state },
   * })
   * const mailer = defineSubscription({
   *   name: 'mailer',
   *   aggregates: [task],
   *   maxAttempts: 2,
   *   handle: async (event, { once, attempt }) => {
   *     const id = await once('mail', (key) => {
   *       console.log(`send ${key}`)
   *       return 'mail-1'
   *     })
   *     if (attempt === 1) throw new Error('The log is away.')
   *     console.log(`sent ${id}`)
   *   },
   * })
   *
   * const app = createApp({ store: memoryStore(), aggregates: { task }, subscriptions: { mailer } })
   * await app.aggregates.task.execute('t-1', { type: 'Assign', data: { to: 'ann' } })
   * await app.drain() // send mailer/task/t-1/1/mail, then sent mail-1
   * await app.close()
   * ```
   */
  readonly once: <R>(name: string, act: (key: string) => R | Promise<R>) => Promise<R>
}

/** Context passed to a batch handler. It has no `once`: use `handle` for calls to services. */
export interface BatchContext<E = EventEnvelope> extends AnyContext {
  /**
   * Returns options for commands that follow from one event of the batch.
   *
   * Keys are the same in any batch, and in a handler of single events.
   *
   * @throws DefinitionError for an event outside the batch, or a name that is not a string
   */
  readonly reaction: (event: E, name?: string) => ReactionOptions
}

/** The part of an app that handlers use. */
export interface SubscriptionApp {
  /**
   * Returns the handle of an aggregate, as in `app.aggregates`. @throws DefinitionError when the
   * app does not have it
   */
  aggregate<A extends AnyAggregate>(aggregate: A): AggregateHandle<TypesOf<A>>
}

/**
 * Schedule for retries of a failed event. Times are stored: restarts change nothing, no process
 * waits.
 */
export interface RetryPolicy {
  /**
   * Milliseconds before the first retry. Each wait is 50–100 % of its computed value. Default
   * 1,000.
   */
  readonly firstMs?: number
  /** Growth of the wait from one retry to the next. Default 2. */
  readonly factor?: number
  /** Longest wait in milliseconds. Default 60,000. */
  readonly maxMs?: number
  /** Milliseconds of retrying, counted from the first failure; after that, `then` applies. */
  readonly forMs: number
}

/** Failure policy of a subscription. */
export type OnFailure = 'stop' | 'park' | 'retry' | { readonly retry: RetryPolicy; readonly then: 'park' | 'stop' }

type Handled<A extends readonly AnyAggregate[], T> = Extract<EnvelopeOf<A[number]>, { readonly type: T }>

/** Options of `defineSubscription`, with either `handle` or `handleBatch`. */
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
   * Name in the store and in the keys of `reaction`, 1–200 characters. Default: `name`. Keep it
   * when you change `name`: the subscription continues.
   */
  readonly storedAs?: string
  /** Aggregates whose events the subscription receives. */
  readonly aggregates: A
  /** Event types to receive. Default: all. */
  readonly eventTypes?: readonly T[]
  /**
   * Start without a checkpoint: the first event, after the last, or after a position. Default
   * `'beginning'`.
   */
  readonly from?: 'beginning' | 'now' | Position
  /**
   * Failure policy. Default `'stop'`.
   *
   * With `'stop'`, the subscription waits for `resume()`. With `'retry'`, it retries forever, and
   * all later events wait. Its waits double from 0.1 s to 30 s, each times a random factor of
   * 0.5–1.5. With `'park'`, it parks the event; later events of its aggregate wait for `resume()`
   * or `retry()`. With `{ retry, then }`, it retries the event at stored times, and only its
   * aggregate waits.
   */
  readonly onFailure?: OnFailure
  /** Attempts, with short waits between, before the failure policy applies. Default 1. */
  readonly maxAttempts?: number
  /** Milliseconds after which a running handler counts as failed. Default 60,000. */
  readonly timeoutMs?: number
  /**
   * Handlers in parallel per process, 1–256. Default 1: all events in log order. Above 1, only the
   * events of each aggregate stay in order.
   */
  readonly concurrency?: number
  /**
   * Parts by aggregate that several processes can share, 1–64. Default 1: one process at a time
   * runs all. You may change it at any time: no event is lost or redelivered because of the change.
   */
  readonly partitions?: number
}

interface ByOne<E> {
  /**
   * Handles one event. Events may be redelivered after a crash: make it idempotent by `event.id`.
   * The return value is awaited and ignored.
   */
  readonly handle: (event: E, context: SubscriptionContext) => unknown
  readonly handleBatch?: undefined
  readonly batchSize?: undefined
}

interface ByBatch<E> {
  readonly handle?: undefined
  /**
   * Handles several events in order. After a failure it receives them one by one, to find the one
   * that fails.
   */
  readonly handleBatch: (events: readonly E[], context: BatchContext<E>) => unknown
  /**
   * Largest number of events in a batch. Events split by an upcaster stay together. Default 100.
   */
  readonly batchSize?: number
}

/**
 * Declares a subscription: a function that receives the events of some aggregates, each at least
 * once.
 *
 * Events arrive in the order they were stored, from a durable checkpoint on, in one process at a
 * time. Pass it to `createApp({ subscriptions })`. It runs from `app.start()` on, or during
 * `app.drain()`.
 *
 * @throws DefinitionError for a misspelt option, an event the aggregates lack, or neither or both
 * of `handle` and `handleBatch`
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
