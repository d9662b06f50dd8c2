import type { AnyAggregate, EventOf } from '../aggregate.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Metadata, Position } from '../event-envelope.ts'
import { type AggregateDefinition, definitionOf } from '../execution/aggregate-definition.ts'
import type { Loaded } from '../execution/loaded.ts'
import { envelopesOf, newEvents } from '../execution/new-events.ts'
import type { ReadonlyData } from '../message.ts'
import { subscriptionDefinitionOf } from '../subscriptions/definition.ts'
import type { Subscription } from '../subscriptions/subscription.ts'
import { deepFreeze, toJson } from '../util/json.ts'
import { aggregateKey } from '../util/names.ts'
import { checkName, checkOptions } from '../util/options.ts'
import type { View } from '../views/view.ts'
import { viewDefinitionOf } from '../views/view-definition.ts'
import { assertEqual } from './assert.ts'
import { type DeliveredTo, deliveredTo } from './delivered.ts'
import type { DeliveryOptions } from './fake-app.ts'
import type { ViewOf } from './given.ts'
import { assertFollows, viewAfter } from './scene.ts'

/** Options of `givenLog`. */
export interface LogOptions {
  /** Metadata of the events. Default `{}`. */
  readonly metadata?: Metadata
  /** Time at which the events were recorded. Default `2000-01-01T00:00:00.000Z`. */
  readonly now?: Date
}

/** Events of several aggregates, in order. Reusable: nothing changes it. */
export interface GivenLog {
  /**
   * Returns the same log with more events of one aggregate, whose sequences continue.
   *
   * These options override those of `givenLog`.
   *
   * @throws InvalidEventError when an event does not fit its schema. DefinitionError for a misspelt
   * option or an invalid id
   */
  of<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    events: readonly ReadonlyData<EventOf<A>>[],
    options?: LogOptions,
  ): GivenLog
  /** Expects the row `id` of the view after the events. `undefined`: no row. */
  thenView<V extends View>(view: V, id: string, expected: ReadonlyData<ViewOf<V>> | undefined): Promise<void>
  /** Prepares the delivery to a subscription, which runs when one of the `then…` is called. */
  deliveredTo(subscription: Subscription, options?: DeliveryOptions): DeliveredTo
}

/**
 * Tests views and subscriptions on the events of several aggregates, without a store.
 *
 * Checks the rows of a view, or the commands that a subscription sends. Works in any test runner.
 *
 * @throws DefinitionError for a misspelt option
 *
 * @example
 * ```ts
 * import { defineAggregate, defineSubscription, defineView, typed } from 'cqrs-es'
 * import { givenLog } from 'cqrs-es/testing'
 *
 * const order = defineAggregate({
 *   type: 'order',
 *   events: { Placed: typed<{ by: string; item: string }>() },
 *   commands: {},
 *   initialState: () => ({}),
 * }).implement({ handle: {}, apply: { Placed: (state) => state } })
 *
 * const stock = defineAggregate({
 *   type: 'stock',
 *   events: {},
 *   commands: { Reserve: typed<{ for: string }>() },
 *   initialState: () => ({}),
 * }).implement({ handle: { Reserve: () => {} }, apply: {} })
 *
 * const buyers = defineView({
 *   name: 'buyers',
 *   aggregates: [order],
 *   initialView: () => ({ orders: 0 }),
 *   id: (event) => event.data.by,
 *   update: { Placed: ({ orders }) => ({ orders: orders + 1 }) },
 * })
 * const reserving = defineSubscription({
 *   name: 'reserving',
 *   aggregates: [order],
 *   handle: async ({ aggregateId, data }, { app, reaction }) => {
 *     await app.aggregate(stock).execute(data.item, { type: 'Reserve', data: { for: aggregateId } }, reaction())
 *   },
 * })
 *
 * const log = givenLog().of(order, 'o-1', [{ type: 'Placed', data: { by: 'ann', item: 'tea' } }])
 * await log.thenView(buyers, 'ann', { orders: 1 })
 * await log
 *   .deliveredTo(reserving)
 *   .thenCommands([{ aggregate: stock, id: 'tea', command: { type: 'Reserve', data: { for: 'o-1' } } }])
 * ```
 */
export function givenLog(options: LogOptions = {}): GivenLog {
  checkOptions('givenLog', options, optionNames)
  return logScene({ options, aggregates: new Map(), tips: new Map(), events: [] })
}

const optionNames = ['metadata', 'now']

interface Log {
  readonly options: LogOptions
  readonly aggregates: ReadonlyMap<string, AggregateDefinition>
  /** Aggregate key → its state after the events so far. */
  readonly tips: ReadonlyMap<string, Loaded>
  readonly events: readonly EventEnvelope[]
}

function logScene(log: Log): GivenLog {
  const types = [...log.aggregates.keys()]
  return Object.freeze({
    of: (aggregate: unknown, id: unknown, events: readonly unknown[], options: LogOptions = {}) => {
      const definition = definitionOf('of: the first argument', aggregate)
      checkName(`of ${definition.type}: the id`, id)
      checkOptions(`of ${definition.type} '${id}'`, options, optionNames)
      return logScene(extended(log, definition, id, events, { ...log.options, ...options }))
    },
    thenView: async (view: unknown, id: string, expected: unknown) => {
      const definition = viewDefinitionOf('thenView: the first argument', view)
      checkName('thenView: the id', id)
      assertFollows(`The view '${definition.name}'`, definition.aggregateTypes, types)
      assertEqual(`The view '${definition.name}' of '${id}'`, viewAfter(definition, log.events, id), expected)
    },
    deliveredTo: (subscription: unknown, options?: DeliveryOptions) => {
      const definition = subscriptionDefinitionOf('deliveredTo: the first argument', subscription)
      return deliveredTo(definition, { events: log.events, aggregateTypes: types }, options)
    },
  })
}

function extended(
  log: Log,
  definition: AggregateDefinition,
  aggregateId: string,
  events: readonly unknown[],
  options: LogOptions,
): Log {
  const { type } = definition
  if ((log.aggregates.get(type) ?? definition) !== definition)
    throw new DefinitionError(`givenLog: there are two aggregates of the type '${type}'.`)
  const { now = new Date(Date.UTC(2000, 0, 1)) } = options
  const metadata = deepFreeze(toJson(options.metadata ?? {})) as Metadata
  const place = aggregateKey(type, aggregateId)
  const context = { aggregateId, metadata, commitId: `given-${log.events.length + 1}`, recordedAt: now.toISOString() }
  const base = log.tips.get(place) ?? { state: definition.initialState(), sequence: 0 }
  const added = newEvents(definition, context, () => `of(…) of ${type} '${aggregateId}' has`, base, events)
  const positions = events.map((_, i) => String(log.events.length + i + 1) as Position)
  return {
    options: log.options,
    aggregates: new Map(log.aggregates).set(type, definition),
    tips: new Map(log.tips).set(place, { state: added.state, sequence: added.sequence }),
    events: [...log.events, ...envelopesOf(added, positions)],
  }
}
