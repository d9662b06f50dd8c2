import type { AnyAggregate, EnvelopeOf } from '../aggregate.ts'
import type { Position } from '../event-envelope.ts'
import type { SchemaInput, Shape } from '../message.ts'
import type { OnFailure } from '../subscriptions/subscription.ts'
import { buildPublication } from './build-publication.ts'
import { publicationMachinery } from './machinery.ts'
import type { PublicationDefinition } from './publication-definition.ts'
import type { Target } from './target.ts'

/** The public form of one event, apart from its stored form. */
export interface PublicEvent<E, D extends Shape> {
  /** CloudEvents type, with its version: `com.example.order.placed.v1`. */
  readonly type: string
  /** Public schema of the data: any Standard Schema, `typed<T>()` or `noData`. Checks the result of `map`. */
  readonly data: D
  /** Returns the public data, or `undefined` to keep this event private. */
  readonly map: (event: E) => SchemaInput<D> | undefined
  /** Returns the `subject`. Default: the id of the aggregate. */
  readonly subject?: (event: E) => string
}

type PublicEvents<E extends { readonly type: string }, M extends Readonly<Record<string, Shape>>> = {
  readonly [K in keyof M]: K extends E['type'] ? PublicEvent<Extract<E, { readonly type: K }>, M[K]> : never
}

/** Options of `definePublication`. */
export interface PublicationOptions<
  N extends string,
  A extends readonly AnyAggregate[],
  M extends Readonly<Record<string, Shape>>,
> {
  /** Name of the publication. Part of its name in the store. */
  readonly name: N
  /** Aggregates whose events are published. */
  readonly aggregates: A
  /** CloudEvents source, a URI reference: `/shop/orders`. Unique together with the event id. */
  readonly source: string
  /** Start without a checkpoint: at the first event, after the last, or after a position. */
  readonly from: 'beginning' | 'now' | Position
  /** Public events by the type of the stored event. All other events stay private. */
  readonly events: PublicEvents<EnvelopeOf<A[number]>, M>
  /**
   * Policy for an event that cannot be published, as of a subscription. Default
   * `{ retry: { forMs: 3_600_000 }, then: 'park' }`.
   *
   * A target that cannot be reached is waited for, whatever the policy. An event with
   * unfit data, or one that the target refuses for good, is not retried.
   */
  readonly onFailure?: OnFailure
  /** Milliseconds after which a call of the target counts as failed. Default 60,000. */
  readonly timeoutMs?: number
  /** Parts by aggregate that several processes can share, 1–64. Default 1. */
  readonly partitions?: number
}

/** A public contract. `to` adds the target. */
export interface Publication<N extends string = string> {
  /** Name of the publication. */
  readonly name: N
  /**
   * Returns the publication to one target, for `createApp`. Each target has its own checkpoint,
   * stored as `storedAs`. Default: `<publication>/<name of the target>`. Keep it when you rename
   * either: the publication continues.
   *
   * @throws DefinitionError for an invalid target
   */
  to(target: Target, options?: { readonly storedAs?: string }): BoundPublication<N>
}

/** A publication with its target. */
export interface BoundPublication<N extends string = string> {
  /** Name of the publication. */
  readonly name: N
  /** @internal */
  readonly '~definition': PublicationDefinition
}

/**
 * Declares a publication: the public form of some events, sent to a broker or a webhook.
 *
 * The log is the outbox. Each event is mapped to a CloudEvent and sent until its target has
 * acknowledged it, always under the same id, and in order per aggregate where the target can. The
 * checkpoint follows the acknowledgements. Pass it to `createApp({ publications })`.
 *
 * @throws DefinitionError for a misspelt option, and an event that the aggregates lack
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, typed } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 * import { definePublication } from 'cqrs-es/messaging'
 *
 * const order = defineAggregate({
 *   type: 'order',
 *   events: { OrderPlaced: typed<{ total: number; note: string }>() },
 *   commands: { PlaceOrder: typed<{ total: number; note: string }>() },
 *   initialState: () => ({}),
 * }).implement({
 *   handle: { PlaceOrder: (_, data) => ({ type: 'OrderPlaced', data }) },
 *   apply: { OrderPlaced: (state) => state },
 * })
 *
 * const orders = definePublication({
 *   name: 'orders',
 *   aggregates: [order],
 *   source: '/shop/orders',
 *   from: 'beginning',
 *   events: {
 *     OrderPlaced: {
 *       type: 'com.example.order.placed.v1',
 *       data: typed<{ total: number }>(),
 *       map: (event) => ({ total: event.data.total }),
 *     },
 *   },
 * }).to({
 *   name: 'console',
 *   keeps: 'order',
 *   most: { messages: 100, bytes: 1_000_000 },
 *   send: async (messages) => {
 *     for (const { id, data } of messages) console.log(id, data)
 *   },
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { order }, publications: { orders } })
 * await app.aggregates.order.execute('o-1', { type: 'PlaceOrder', data: { total: 9, note: 'VIP' } })
 * await app.drain() // order/o-1/1 { total: 9 }
 * await app.close()
 * ```
 */
export function definePublication<
  const N extends string,
  const A extends readonly AnyAggregate[],
  const M extends Readonly<Record<string, Shape>>,
>(options: PublicationOptions<N, A, M>): Publication<N> {
  const build = buildPublication(options, publicationMachinery)
  return {
    name: options.name,
    to: (target, chosen) => ({ name: options.name, '~definition': build(target, chosen) }),
  }
}
