import type { ReadSide } from './consumers/definitions.ts'
import { DefinitionError } from './errors.ts'
import { type AggregateDefinition, definitionOf } from './execution/aggregate-definition.ts'
import { StateCache } from './execution/cache.ts'
import { CommitQueue } from './execution/commit-queue.ts'
import type { Core, Query, WiredAggregate } from './execution/core.ts'
import { Gate } from './execution/gate.ts'
import { withResentReads } from './execution/resent-reads.ts'
import { UnderWay } from './execution/under-way.ts'
import type { Observation } from './observation.ts'
import { checkedRuntime, platformRuntime, type Runtime } from './runtime.ts'
import type { Capabilities, Store } from './store/store.ts'
import type { SubscriptionDefinition } from './subscriptions/definition.ts'
import { subscriptionDefinitionOf } from './subscriptions/definition.ts'
import { isObject } from './util/json.ts'
import { KeyedQueue } from './util/keyed-queue.ts'
import { checkFunction, checkOptions, checkWholeNumber } from './util/options.ts'
import { safely } from './util/report-errors.ts'
import type { SqlViewDefinition, ViewDefinition } from './views/view-definition.ts'
import { anyViewDefinitionOf } from './views/view-definition.ts'

const optionNames = [
  'store',
  'aggregates',
  'services',
  'views',
  'subscriptions',
  'queries',
  'onQueryError',
  'retries',
  'cache',
  'batching',
  'following',
  'runtime',
  'observe',
]
const defaultCache = 10_000
const defaultRetries = 3
const defaultFollowing = { leaseMs: 5_000, pollMs: 1_000 }
const defaultBatching = { maxCommits: 256, maxBytes: 4_000_000, maxQueued: 10_000 }
/**
 * Appends under way at once. With two, the database works on one while the commands of the other are decided. Where there is no order of all events commits share nothing, and waiting
 * for each other would only cost time.
 */
const lanesOf = ({ globalOrder }: Capabilities): number => (globalOrder ? 2 : 64)

/** The options of `createApp`, types erased. */
export interface Wiring {
  readonly store: Store
  readonly aggregates: Readonly<Record<string, unknown>>
  readonly services?: Readonly<Record<string, unknown>> | undefined
  readonly views?: Readonly<Record<string, unknown>> | undefined
  readonly subscriptions?: Readonly<Record<string, unknown>> | undefined
  readonly following?: { readonly leaseMs?: number; readonly pollMs?: number }
  readonly queries?: readonly Query[]
  readonly onQueryError?: Core['onQueryError']
  readonly retries?: number
  readonly cache?: false | { readonly maxAggregates?: number }
  readonly batching?: false | { readonly maxCommits?: number; readonly maxBytes?: number; readonly maxQueued?: number }
  readonly runtime?: Runtime
  readonly observe?: (what: Observation) => void
}

/** Checks the options of `createApp` and puts the parts together. @throws DefinitionError */
export function wire(options: Wiring): {
  core: Core
  aggregates: Map<string, WiredAggregate>
  views: Map<string, ViewDefinition | SqlViewDefinition>
  subscriptions: Map<string, SubscriptionDefinition>
  readSide: ReadSide | undefined
} {
  checkOptions('createApp', options, optionNames)
  const core = coreOf(options)
  const views = namedByKey('view', 'views', options.views ?? {}, anyViewDefinitionOf)
  const subscriptions = namedByKey('subscription', 'subscriptions', options.subscriptions ?? {}, subscriptionDefinitionOf)
  const definitions = definitionsByKey(options.aggregates)
  const following = followingOf(options.following ?? {})
  const consumers = [...views.values(), ...subscriptions.values()]
  const readSide = consumers[0]?.machinery.connect(core, {
    consumers,
    definitions: new Map([...definitions.values()].map((definition) => [definition.type, definition])),
    ...following,
  })
  return { core, aggregates: aggregatesByKey(definitions, options.services ?? {}, readSide), views, subscriptions, readSide }
}

function followingOf(following: NonNullable<Wiring['following']>) {
  checkOptions('createApp: following', following, Object.keys(defaultFollowing))
  const chosen = { ...defaultFollowing, ...following }
  for (const name of ['leaseMs', 'pollMs'] as const) checkWholeNumber(`createApp: following: ${name}`, chosen[name], 1)
  return chosen
}

function coreOf(options: Wiring): Core {
  const {
    store: given,
    queries = [],
    onQueryError = reportQueryError,
    retries = defaultRetries,
    cache = {},
    batching = {},
    runtime = platformRuntime,
    observe,
  } = options
  checkStore(given)
  if (!Array.isArray(queries)) throw new DefinitionError('createApp: queries must be a list of functions.')
  queries.forEach((query, i) => {
    checkFunction(`createApp: queries[${i}]`, query)
  })
  checkFunction('createApp: onQueryError', onQueryError)
  checkWholeNumber('createApp: retries', retries, 0)
  for (const method of ['now', 'randomUUID', 'random', 'sleep'] as const)
    checkFunction(`createApp: runtime.${method}`, runtime[method])
  if (observe !== undefined) checkFunction('createApp: observe', observe)
  const store = withResentReads(given, runtime)
  const { maxQueued, ...limits } = batchingOf(batching, store.capabilities)
  const observing = observe && safely(observe, reportObserver)
  const gate = new Gate(maxQueued)
  const checked = checkedRuntime(runtime)
  return {
    store,
    runtime: checked,
    retries,
    cache: new StateCache(cacheSize(cache)),
    aggregateQueue: new KeyedQueue(),
    commitQueue: new CommitQueue({ store, runtime: checked, observe: observing }, limits, gate),
    underWay: new UnderWay(),
    gate,
    queries,
    onQueryError,
    observe: observing,
    onStored: new Set(),
    neverAborts: new AbortController().signal,
  }
}

function checkStore(store: unknown): void {
  if (store === undefined) throw new DefinitionError('createApp needs a store, such as memoryStore() or sqliteStore(db).')
  const { append, readAggregate, capabilities } = (store ?? {}) as Partial<Store>
  if (typeof append !== 'function' || typeof readAggregate !== 'function' || capabilities === undefined)
    throw new DefinitionError(
      'createApp: store must be a store such as memoryStore() or sqliteStore(db), not the database client itself.',
    )
}

function batchingOf(batching: NonNullable<Wiring['batching']>, capabilities: Capabilities) {
  if (batching === false)
    return { lanes: Number.POSITIVE_INFINITY, maxCommits: 1, maxBytes: 0, maxQueued: Number.POSITIVE_INFINITY }
  checkOptions('createApp: batching', batching, Object.keys(defaultBatching))
  const chosen = { ...defaultBatching, ...batching }
  for (const name of ['maxCommits', 'maxBytes', 'maxQueued'] as const)
    checkWholeNumber(`createApp: batching: ${name}`, chosen[name], 1)
  return { lanes: lanesOf(capabilities), ...chosen }
}

function cacheSize(cache: false | { readonly maxAggregates?: number }): number {
  if (cache === false) return 0
  checkOptions('createApp: cache', cache, ['maxAggregates'])
  const { maxAggregates = defaultCache } = cache
  checkWholeNumber('createApp: cache: maxAggregates (cache: false for none)', maxAggregates, 1)
  return maxAggregates
}

function namedByKey<T extends { readonly name: string }>(
  kind: string,
  option: string,
  given: Readonly<Record<string, unknown>>,
  definitionOfOne: (what: string, value: unknown) => T,
): Map<string, T> {
  checkNamespace(option, given)
  const found = new Map(Object.entries(given).map(([key, one]) => [key, definitionOfOne(`createApp: ${option}.${key}`, one)]))
  refuseDoubles(kind, option, found, ({ name }) => name)
  return found
}

function definitionsByKey(aggregates: Readonly<Record<string, unknown>>): Map<string, AggregateDefinition> {
  checkNamespace('aggregates', aggregates)
  const definitions = new Map(
    Object.entries(aggregates).map(([key, aggregate]) => [key, definitionOf(`createApp: aggregates.${key}`, aggregate)]),
  )
  refuseDoubles('aggregate type', 'aggregates', definitions, ({ type }) => type)
  return definitions
}

function aggregatesByKey(
  definitions: ReadonlyMap<string, AggregateDefinition>,
  services: Readonly<Record<string, unknown>>,
  readSide: ReadSide | undefined,
): Map<string, WiredAggregate> {
  checkNamespace('services', services)
  for (const key of Object.keys(services))
    if (definitions.get(key)?.needsServices !== true)
      throw new DefinitionError(
        `createApp: services.${key} belongs to no aggregate that declares services. Aggregates: ${[...definitions.keys()].join(', ')}.`,
      )
  return new Map(
    [...definitions].map(([key, definition]) => {
      const sendWithViews = readSide?.sendWithViews(definition)
      return [key, { definition, services: servicesOf(key, definition, services), sendWithViews }]
    }),
  )
}

function servicesOf(
  key: string,
  { needsServices, type }: AggregateDefinition,
  services: Readonly<Record<string, unknown>>,
): unknown {
  const given = Object.hasOwn(services, key) ? services[key] : undefined
  if (needsServices && (given === undefined || given === null))
    throw new DefinitionError(`createApp: the aggregate '${type}' needs services; give them as services: { ${key}: … }.`)
  return given
}

function checkNamespace(what: string, value: unknown): void {
  if (!isObject(value) || Array.isArray(value))
    throw new DefinitionError(
      `createApp: ${what} must be an object by name: { ${what === 'views' ? 'balances' : what === 'subscriptions' ? 'mailer' : 'account'}: … }.`,
    )
}

function refuseDoubles<T>(what: string, option: string, given: ReadonlyMap<string, T>, nameOf: (one: T) => string): void {
  const keys = new Map<string, string>()
  for (const [key, one] of given) {
    const name = nameOf(one)
    const first = keys.get(name)
    if (first !== undefined)
      throw new DefinitionError(
        `createApp: the ${what} '${name}' is registered twice, as ${option}.${first} and ${option}.${key}.`,
      )
    keys.set(name, key)
  }
}

const reportQueryError: Core['onQueryError'] = (error, events) => {
  const [first] = events
  console.error(`A query failed on events of ${first?.aggregateType} '${first?.aggregateId}':`, error)
}

const reportObserver = (error: unknown, { kind }: Observation) => console.error(`observe threw on '${kind}':`, error)
