import type { ConsumerDefinition, ReadSide } from './consumers/definitions.ts'
import { DefinitionError } from './errors.ts'
import type { EventEnvelope } from './event-envelope.ts'
import { type AggregateDefinition, definitionOf } from './execution/aggregate-definition.ts'
import { AggregateSlots } from './execution/aggregate-slot.ts'
import { CommandLimit } from './execution/command-limit.ts'
import { CommitQueue } from './execution/commit-queue.ts'
import type { Core, Query, WiredAggregate } from './execution/core.ts'
import { deadlinesOf, rowsOf } from './execution/extension.ts'
import { withResentReads } from './execution/resent-reads.ts'
import { type InboxDefinition, inboxDefinitionOf } from './inboxes/inbox-definition.ts'
import type { Observation } from './observation.ts'
import { type ProcessDefinition, processDefinitionOf } from './processes/definition.ts'
import { type PublicationDefinition, publicationDefinitionOf } from './publications/publication-definition.ts'
import { checkedRuntime, platformRuntime, type Runtime } from './runtime.ts'
import type { Capabilities, Store } from './store/store.ts'
import type { SubscriptionDefinition } from './subscriptions/definition.ts'
import { subscriptionDefinitionOf } from './subscriptions/definition.ts'
import { isoTexts } from './util/iso-text.ts'
import { isObject } from './util/json.ts'
import { type OptionsOf, optional, readOptions, required, unchecked, wholeNumberFrom, withDefault } from './util/option-table.ts'
import { checkFunction, checkName } from './util/options.ts'
import { safely } from './util/report-errors.ts'
import type { SqlViewDefinition, ViewDefinition } from './views/view-definition.ts'
import { anyViewDefinitionOf } from './views/view-definition.ts'

const optionsOfCreateApp = {
  store: required<Store>(checkStore),
  aggregates: required<Named>(checkNamed),
  services: withDefault<Named>({}, checkNamed),
  views: withDefault<Named>({}, checkNamed),
  subscriptions: withDefault<Named>({}, checkNamed),
  processes: withDefault<Named>({}, checkNamed),
  publications: withDefault<Named>({}, checkNamed),
  inboxes: withDefault<Named>({}, checkNamed),
  queries: withDefault<readonly Query[]>([], checkQueries),
  onQueryError: withDefault<Core['onQueryError']>(reportQueryError, checkFunction),
  /** Attempts after a lost race. */
  maxAttempts: withDefault(4, wholeNumberFrom(1)),
  cache: withDefault<false | object>({}, unchecked),
  batching: withDefault<false | object>({}, unchecked),
  following: withDefault<object>({}, unchecked),
  runtime: withDefault<Runtime>(platformRuntime, checkRuntime),
  observe: optional<(what: Observation) => unknown>(checkFunction),
}
const optionsOfCache = {
  maxAggregates: withDefault(10_000, (what, ...of) => wholeNumberFrom(1)(`${what} (cache: false for none)`, ...of)),
}
const optionsOfBatching = {
  maxCommits: withDefault(256, wholeNumberFrom(1)),
  maxBytes: withDefault(4_000_000, wholeNumberFrom(1)),
  maxQueued: withDefault(10_000, wholeNumberFrom(1)),
}
const optionsOfFollowing = {
  leaseMs: withDefault(5_000, wholeNumberFrom(1)),
  pollMs: withDefault(1_000, wholeNumberFrom(1)),
  holder: optional<string>(checkName),
}

type Named = Readonly<Record<string, unknown>>
type Options = OptionsOf<typeof optionsOfCreateApp>

/**
 * Appends in flight at once. With two, commands are decided while the database works. Without a
 * global order commits share nothing, and waiting for each other would only cost time.
 */
const lanesOf = ({ globalOrder }: Capabilities): number => (globalOrder ? 2 : 64)

/** Checks the options of `createApp` and puts the parts together. @throws DefinitionError */
export function wire(given: object): {
  core: Core
  aggregates: Map<string, WiredAggregate>
  views: Map<string, ViewDefinition | SqlViewDefinition>
  subscriptions: Map<string, SubscriptionDefinition>
  processes: Map<string, ProcessDefinition>
  publications: Map<string, PublicationDefinition>
  inboxes: Map<string, InboxDefinition>
  deadlines: ReadonlyMap<string, ConsumerDefinition>
  readSide: ReadSide | undefined
} {
  const options = readOptions('createApp', given, optionsOfCreateApp)
  const core = coreOf(options)
  const views = namedByKey('view', 'views', options.views, anyViewDefinitionOf)
  const subscriptions = namedByKey('subscription', 'subscriptions', options.subscriptions, subscriptionDefinitionOf)
  const processes = namedByKey('process', 'processes', options.processes, processDefinitionOf)
  const publications = namedByKey('publication', 'publications', options.publications, publicationDefinitionOf)
  const definitions = definitionsByKey(options.aggregates)
  const types = new Set([...definitions.values()].map(({ type }) => type))
  const inboxes = namedByKey('inbox', 'inboxes', options.inboxes, (what, value) => inboxDefinitionOf(what, value, types))
  const following = readOptions('createApp: following', options.following, optionsOfFollowing)
  const deadlines = deadlinesOf([...definitions.values()])
  const consumers = [
    ...views.values(),
    ...subscriptions.values(),
    ...processes.values(),
    ...publications.values(),
    ...deadlines.values(),
  ]
  const readSide = consumers[0]?.machinery.connect(core, {
    consumers,
    definitions: new Map([...definitions.values()].map((definition) => [definition.type, definition])),
    ...following,
  })
  const wired = aggregatesByKey(core, definitions, options.services, readSide)
  return { core, aggregates: wired, views, subscriptions, processes, publications, inboxes, deadlines, readSide }
}

function coreOf({ store: given, runtime: chosen, observe: observer, ...options }: Options): Core {
  const { queries, onQueryError, maxAttempts } = options
  const store = withResentReads(given, chosen)
  const runtime = checkedRuntime(chosen)
  const observe = observer && safely(observer, reportObserver)
  const { maxQueued, ...batching } = batchingOf(options.batching, store.capabilities)
  const limit = new CommandLimit(maxQueued)
  return {
    store,
    runtime,
    isoText: isoTexts(),
    maxAttempts,
    slots: new AggregateSlots(cacheSize(options.cache)),
    commitQueue: new CommitQueue({ store, runtime, observe }, batching, limit),
    limit,
    queries,
    onQueryError,
    observe,
    onStored: new Set(),
    neverAborts: new AbortController().signal,
  }
}

function checkStore(_: string, store: unknown): void {
  if (store === undefined) throw new DefinitionError('createApp needs a store, such as memoryStore() or sqliteStore(db).')
  const { append, readAggregate, capabilities } = (store ?? {}) as Partial<Store>
  if (typeof append !== 'function' || typeof readAggregate !== 'function' || capabilities === undefined)
    throw new DefinitionError(
      'createApp: store must be a store such as memoryStore() or sqliteStore(db), not the database client itself.',
    )
}

function checkQueries(what: string, queries: unknown): void {
  if (!Array.isArray(queries)) throw new DefinitionError(`${what} must be a list of functions.`)
  queries.forEach((query, i) => {
    checkFunction(`${what}[${i}]`, query)
  })
}

function checkRuntime(what: string, runtime: unknown): void {
  for (const method of ['now', 'randomUUID', 'random', 'sleep'] as const)
    checkFunction(`${what}.${method}`, (runtime as Partial<Runtime> | null)?.[method])
}

function batchingOf(batching: Options['batching'], capabilities: Capabilities) {
  const none = Number.POSITIVE_INFINITY
  if (batching === false) return { lanes: none, maxCommits: 1, maxBytes: 0, maxQueued: none }
  return { lanes: lanesOf(capabilities), ...readOptions('createApp: batching', batching, optionsOfBatching) }
}

const cacheSize = (cache: Options['cache']): number =>
  cache === false ? 0 : readOptions('createApp: cache', cache, optionsOfCache).maxAggregates

function namedByKey<T extends { readonly name: string; readonly storedAs: string }>(
  kind: string,
  option: string,
  given: Readonly<Record<string, unknown>>,
  definitionOfOne: (what: string, value: unknown) => T,
): Map<string, T> {
  const found = new Map(Object.entries(given).map(([key, one]) => [key, definitionOfOne(`createApp: ${option}.${key}`, one)]))
  refuseDoubles(kind, option, found, ({ name }) => name)
  refuseDoubles(`${kind} stored as`, option, found, ({ storedAs }) => storedAs)
  return found
}

function definitionsByKey(aggregates: Readonly<Record<string, unknown>>): Map<string, AggregateDefinition> {
  const definitions = new Map(
    Object.entries(aggregates).map(([key, aggregate]) => [key, definitionOf(`createApp: aggregates.${key}`, aggregate)]),
  )
  refuseDoubles('aggregate type', 'aggregates', definitions, ({ type }) => type)
  return definitions
}

function aggregatesByKey(
  core: Core,
  definitions: ReadonlyMap<string, AggregateDefinition>,
  services: Readonly<Record<string, unknown>>,
  readSide: ReadSide | undefined,
): Map<string, WiredAggregate> {
  for (const key of Object.keys(services))
    if (definitions.get(key)?.needsServices !== true)
      throw new DefinitionError(
        `createApp: services.${key} belongs to no aggregate that declares services. Aggregates: ${[...definitions.keys()].join(', ')}.`,
      )
  return new Map(
    [...definitions].map(([key, definition]) => {
      const inlineViews = rowsOf(core, definition, readSide?.inlineViews(definition))
      return [key, { definition, services: servicesOf(key, definition, services), inlineViews }]
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
    throw new DefinitionError(`createApp: the aggregate '${type}' needs services. Pass them as services: { ${key}: … }.`)
  return given
}

const exampleKeys: Named = {
  views: 'balances',
  subscriptions: 'mailer',
  processes: 'shipping',
  publications: 'orders',
  inboxes: 'payments',
}

function checkNamed(what: string, value: unknown): void {
  const example = exampleKeys[what.split(': ')[1] as string] ?? 'account'
  if (!isObject(value) || Array.isArray(value)) throw new DefinitionError(`${what} must be an object by name: { ${example}: … }.`)
}

function refuseDoubles<T>(what: string, option: string, given: ReadonlyMap<string, T>, nameOf: (one: T) => string): void {
  const keys = new Map<string, string>()
  for (const [key, one] of given) {
    const name = nameOf(one)
    const first = keys.get(name)
    if (first !== undefined)
      throw new DefinitionError(
        `createApp: the ${what} '${name}' is registered twice, as ${option}.${first} and ${option}.${key}. Remove one, or give one a name of its own.`,
      )
    keys.set(name, key)
  }
}

function reportQueryError(error: unknown, [first]: readonly EventEnvelope[]): void {
  console.error(`A query failed on events of ${first?.aggregateType} '${first?.aggregateId}':`, error)
}

const reportObserver = (error: unknown, { kind }: Observation) => console.error(`observe threw on '${kind}':`, error)
