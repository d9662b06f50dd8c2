import { type ConsumerDefinition, checkConsumerName, checkStoredAs, type Machinery } from '../consumers/definitions.ts'
import type { Processor, RetryLater } from '../consumers/processor.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { isObject } from '../util/json.ts'
import { isPosition } from '../util/names.ts'
import { checkFunction, checkName, checkOptions, checkWholeNumber } from '../util/options.ts'

/** A checked subscription with erased types. */
export interface SubscriptionDefinition extends ConsumerDefinition {
  readonly kind: 'subscription'
  /** `undefined`: all. */
  readonly eventTypes: ReadonlySet<string> | undefined
  readonly from: 'beginning' | 'now' | Position
  readonly onFailure: Processor['onFailure']
  readonly maxAttempts: number
  readonly timeoutMs: number
  readonly concurrency: number
  readonly partitions: number
  readonly batchSize: number
  /** `handle` receives batches; otherwise one event. */
  readonly isBatched: boolean
  readonly handle: (events: readonly EventEnvelope[], context: object) => unknown
  readonly machinery: Machinery<SubscriptionDefinition>
}

interface Options {
  readonly name: string
  readonly storedAs?: unknown
  readonly aggregates: readonly { readonly type: string; readonly eventTypes: ReadonlySet<string> }[]
  readonly eventTypes?: readonly string[] | undefined
  readonly from?: unknown
  readonly onFailure?: unknown
  readonly maxAttempts?: unknown
  readonly timeoutMs?: unknown
  readonly concurrency?: unknown
  readonly partitions?: unknown
  readonly slots?: unknown
  readonly batchSize?: unknown
  readonly handle?: unknown
  readonly handleBatch?: unknown
  readonly machinery: Machinery<SubscriptionDefinition>
}

const optionNames = [
  'name',
  'storedAs',
  'aggregates',
  'eventTypes',
  'from',
  'onFailure',
  'maxAttempts',
  'timeoutMs',
  'concurrency',
  'partitions',
  'slots',
  'batchSize',
  'handle',
  'handleBatch',
]

/** @throws DefinitionError */
export const checkSubscriptionOptions = (options: unknown): void => checkOptions('defineSubscription', options, optionNames)

/** @throws DefinitionError */
export function buildSubscription(options: Options): SubscriptionDefinition {
  const {
    name,
    storedAs = name,
    aggregates,
    eventTypes,
    from = 'beginning',
    onFailure = 'stop',
    maxAttempts = 1,
    timeoutMs = 60_000,
  } = options
  const { concurrency = 1, partitions = 1, batchSize = 100, handle, handleBatch, machinery } = options
  checkName('The name of a subscription', name)
  const at = `Subscription '${name}'`
  checkConsumerName(at, name)
  checkStoredAs(`${at}: storedAs`, storedAs)
  const aggregateTypes = aggregates.map(({ type }) => type)
  checkAggregateTypes(at, aggregateTypes)
  checkEventTypes(at, eventTypes, aggregates)
  checkFrom(at, from)
  const policy = policyOf(at, onFailure)
  checkWholeNumber(`${at}: maxAttempts`, maxAttempts, 1)
  if (typeof policy === 'object' && maxAttempts !== 1)
    throw new DefinitionError(`${at}: maxAttempts must be 1 with onFailure: { retry }, which decides when an event is retried.`)
  checkWholeNumber(`${at}: timeoutMs`, timeoutMs, 1)
  checkWholeNumber(`${at}: batchSize`, batchSize, 1)
  if (options.slots !== undefined)
    throw new DefinitionError(
      `${at}: slots is not an option. Use concurrency for parallel handlers, and partitions for several processes.`,
    )
  checkUpTo(`${at}: concurrency`, concurrency, 256)
  checkPartitions(at, partitions)
  if ((handle === undefined) === (handleBatch === undefined))
    throw new DefinitionError(`${at} needs either handle or handleBatch.`)
  checkFunction(`${at}: ${handle === undefined ? 'handleBatch' : 'handle'}`, handle ?? handleBatch)
  if (handle !== undefined && options.batchSize !== undefined) throw new DefinitionError(`${at}: batchSize is for handleBatch.`)
  const one = handle as (event: EventEnvelope, context: object) => unknown
  return {
    kind: 'subscription',
    name,
    storedAs,
    aggregateTypes,
    eventTypes: eventTypes && new Set(eventTypes),
    from,
    onFailure: policy,
    maxAttempts: maxAttempts as number,
    timeoutMs: timeoutMs as number,
    concurrency: concurrency as number,
    partitions: partitions as number,
    batchSize: handle === undefined ? (batchSize as number) : 1,
    isBatched: handle === undefined,
    handle:
      handle === undefined
        ? (handleBatch as SubscriptionDefinition['handle'])
        : ([event], context) => one(event as EventEnvelope, context),
    machinery,
  }
}

/** @throws DefinitionError */
export function checkAggregateTypes(at: string, types: readonly string[]): void {
  if (types.length === 0) throw new DefinitionError(`${at} needs at least one aggregate.`)
  if (new Set(types).size < types.length) throw new DefinitionError(`${at} names an aggregate twice.`)
}

/** @throws DefinitionError */
export function checkFrom(at: string, from: unknown): asserts from is 'beginning' | 'now' | Position {
  if (from !== 'beginning' && from !== 'now' && !isPosition(from))
    throw new DefinitionError(`${at}: from must be 'beginning', 'now' or the position of an event.`)
}

/** @throws DefinitionError */
export const checkPartitions = (at: string, partitions: unknown): void => checkUpTo(`${at}: partitions`, partitions, 64)

const retryDefaults = { firstMs: 1_000, factor: 2, maxMs: 60_000 }

/** @throws DefinitionError */
export function policyOf(at: string, onFailure: unknown): Processor['onFailure'] {
  if (onFailure === 'stop' || onFailure === 'retry' || onFailure === 'park') return onFailure
  if (!isObject(onFailure)) throw new DefinitionError(`${at}: onFailure must be 'stop', 'retry', 'park' or { retry, then }.`)
  checkOptions(`${at}: onFailure`, onFailure, ['retry', 'then'])
  const { retry, then } = onFailure as { readonly retry?: unknown; readonly then?: unknown }
  if (then !== 'park' && then !== 'stop') throw new DefinitionError(`${at}: onFailure: then must be 'park' or 'stop'.`)
  checkOptions(`${at}: onFailure: retry`, retry, ['firstMs', 'factor', 'maxMs', 'forMs'])
  const chosen = { ...retryDefaults, ...(retry as object) } as RetryLater['retry']
  for (const name of ['firstMs', 'maxMs', 'forMs'] as const) checkWholeNumber(`${at}: onFailure: retry: ${name}`, chosen[name], 1)
  if (!(Number.isFinite(chosen.factor) && chosen.factor >= 1))
    throw new DefinitionError(`${at}: onFailure: retry: factor must be a number of at least 1, not ${String(chosen.factor)}.`)
  return { retry: chosen, then }
}

function checkUpTo(what: string, value: unknown, most: number): void {
  checkWholeNumber(what, value, 1)
  if ((value as number) > most) throw new DefinitionError(`${what} is ${value}; the limit is ${most}.`)
}

function checkEventTypes(at: string, eventTypes: unknown, aggregates: Options['aggregates']): void {
  if (eventTypes === undefined) return
  if (!Array.isArray(eventTypes)) throw new DefinitionError(`${at}: eventTypes must be a list.`)
  for (const type of eventTypes)
    if (!aggregates.some((aggregate) => aggregate.eventTypes.has(type)))
      throw new DefinitionError(
        `${at}: eventTypes has '${String(type)}', but no aggregate of the subscription has such an event. Its events: ${aggregates.flatMap((aggregate) => [...aggregate.eventTypes]).join(', ')}.`,
      )
}

/**
 * Returns the definition of a subscription. @throws DefinitionError when `value` is not a
 * subscription
 */
export function subscriptionDefinitionOf(what: string, value: unknown): SubscriptionDefinition {
  const definition = (value as { '~definition'?: SubscriptionDefinition } | null | undefined)?.['~definition']
  if (definition?.onFailure === undefined)
    throw new DefinitionError(`${what} must be a subscription made by defineSubscription(…).`)
  return definition
}
