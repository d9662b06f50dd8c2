import type { AnyAggregate, EnvelopeOf, TypesOf } from './aggregate.ts'
import type { AggregateHandle } from './aggregate-handle.ts'
import type { AggregateChange } from './consumers/change.ts'
import type { ConsumerDefinition, DrainRequest, DrainResult, Leftover } from './consumers/definitions.ts'
import type { ConsumerHandle } from './consumers/handle.ts'
import type { AppHealth } from './consumers/status.ts'
import { waitingFor } from './consumers/waiting.ts'
import type { DeadlinesHandle } from './deadlines/handle.ts'
import { DefinitionError, ValidationError } from './errors.ts'
import type { EventEnvelope, Position } from './event-envelope.ts'
import { type AggregateDefinition, definitionOf } from './execution/aggregate-definition.ts'
import type { Call } from './execution/call.ts'
import type { Query, WiredAggregate } from './execution/core.ts'
import { execute } from './execution/execute.ts'
import { type Adopted, partsOf } from './execution/extension.ts'
import { handleOf } from './execution/handle.ts'
import { readLog } from './execution/log.ts'
import { checkReplay, replay } from './execution/replay.ts'
import type { Accepted, Rejected } from './execution/result.ts'
import { notingErrors } from './execution/user-code-errors.ts'
import type { InboxHandle } from './inboxes/handle.ts'
import type { Inbox } from './inboxes/inbox.ts'
import type { InboxDefinition } from './inboxes/inbox-definition.ts'
import type { Observation } from './observation.ts'
import type { ProcessHandle } from './processes/handle.ts'
import type { Process } from './processes/types.ts'
import type { PublicationHandle } from './publications/handle.ts'
import type { BoundPublication } from './publications/publication.ts'
import type { PublicationDefinition } from './publications/publication-definition.ts'
import type { Runtime } from './runtime.ts'
import type { Store } from './store/store.ts'
import type { SubscriptionHandle } from './subscriptions/handle.ts'
import type { Subscription, SubscriptionApp } from './subscriptions/subscription.ts'
import { isObject } from './util/json.ts'
import { Lifecycle } from './util/lifecycle.ts'
import { optional, readCallOptions, signalOption, wholeNumberFrom } from './util/option-table.ts'
import { checkBoolean, checkName, checkWholeNumber } from './util/options.ts'
import type { RebuildOptions } from './views/rebuild-handle.ts'
import type { SqlView } from './views/sql-view.ts'
import type { View } from './views/view.ts'
import type { SqlViewDefinition, ViewDefinition } from './views/view-definition.ts'
import type { ViewTypes } from './views/view-types.ts'
import type { ViewHandle } from './views/views.ts'
import { wire } from './wiring.ts'

/** Options of `createApp`, except `services`. */
export interface AppOptions<
  A extends Record<string, AnyAggregate>,
  W extends Record<string, View | SqlView>,
  U extends Record<string, Subscription> = Record<never, never>,
  P extends Record<string, Process> = Record<never, never>,
  B extends Record<string, BoundPublication> = Record<never, never>,
  I extends Record<string, Inbox> = Record<never, never>,
> {
  /**
   * The store, such as `memoryStore()` or `sqliteStore(db)`. Its schema must exist: call
   * `store.createSchema()` once, or run the output of `store.printSchema()`.
   */
  readonly store: Store
  /** Aggregates, under their names in `app.aggregates`. */
  readonly aggregates: A
  /** Views, under their names in `app.views`. */
  readonly views?: W
  /**
   * Subscriptions, under their names in `app.subscriptions`. They run after `start()` and in
   * `drain()`.
   */
  readonly subscriptions?: U
  /**
   * Processes, under their names in `app.processes`. They run after `start()`, in `drain()` and in
   * `catchUp()`.
   */
  readonly processes?: P
  /**
   * Publications with their targets, under their names in `app.publications`. They run after
   * `start()` and in `drain()`.
   */
  readonly publications?: B
  /** Inboxes, under their names in `app.inboxes`. */
  readonly inboxes?: I
  /**
   * Timing of subscriptions, async views, processes and publications. Another program takes over
   * from one that died after `leaseMs` (default 5,000). A store without notifications is polled
   * every `pollMs` (default 1,000). Operators see this program under the name `holder`, such as its
   * host, with random text added. Default: random text.
   */
  readonly following?: { readonly leaseMs?: number; readonly pollMs?: number; readonly holder?: string }
  /**
   * Functions called with the events of each command after its commit, at most once. They run in
   * list order, and `execute` waits for them. They are not called for a repeat. Use a subscription
   * for work that must not be missed.
   */
  readonly queries?: readonly ((events: readonly EnvelopeOf<A[keyof A]>[]) => unknown)[]
  /** Called and awaited with each error of a query. Default: `console.error`. */
  readonly onQueryError?: (error: unknown, events: readonly EventEnvelope[]) => unknown
  /** Decisions of one command that loses races before it fails with `ConflictError`. Default 4. */
  readonly maxAttempts?: number
  /**
   * Number of cached states; evicts the least recently used. Default `{ maxAggregates: 10_000 }`.
   */
  readonly cache?: false | { readonly maxAggregates?: number }
  /**
   * Group commit: commits of concurrent commands share one append. One append has up to
   * `maxCommits` (default 256) and about `maxBytes` characters of data (default 4,000,000). A lone
   * command is sent at once. Above `maxQueued` commands in progress (default 10,000), `execute`
   * throws `OverloadedError`. With `false`, each commit is its own append, and there is no limit.
   */
  readonly batching?: false | { readonly maxCommits?: number; readonly maxBytes?: number; readonly maxQueued?: number }
  /** Clock, random source and timers. Default: the platform's clock, Web Crypto and timers. */
  readonly runtime?: Runtime
  /** Called with each command, load, append, retry and query, for tracing, metrics and logs. */
  readonly observe?: (what: Observation) => void
}

type ServicesOf<A extends Record<string, AnyAggregate>> = {
  readonly [K in keyof A as TypesOf<A[K]>['services'] extends undefined ? never : K]: TypesOf<A[K]>['services']
}
/** Requires services exactly when an aggregate declares some. */
export type ServicesOption<A extends Record<string, AnyAggregate>> = keyof ServicesOf<A> extends never
  ? { readonly services?: undefined }
  : { readonly services: ServicesOf<A> }

/**
 * An app, made by `createApp`. Nothing runs before a call. Aggregates, views and subscriptions have
 * namespaces of their own, so no name is reserved.
 */
export interface App<
  A extends Record<string, AnyAggregate>,
  W extends Record<string, View | SqlView>,
  U extends Record<string, Subscription> = Record<never, never>,
  P extends Record<string, Process> = Record<never, never>,
  B extends Record<string, BoundPublication> = Record<never, never>,
  I extends Record<string, Inbox> = Record<never, never>,
> extends SubscriptionApp {
  /** @internal */
  readonly '~parts': AppParts
  /** Aggregates under the names passed to `createApp`. */
  readonly aggregates: { readonly [K in keyof A]: AggregateHandle<TypesOf<A[K]>> }
  /** Views under the names passed to `createApp`. */
  readonly views: { readonly [K in keyof W]: W[K] extends SqlView ? SqlViewHandle : ViewHandle<ViewTypesOf<W[K]>> }
  /** Subscriptions under the names passed to `createApp`. */
  readonly subscriptions: { readonly [K in keyof U]: SubscriptionHandle }
  /** Processes under the names passed to `createApp`. */
  readonly processes: { readonly [K in keyof P]: ProcessHandle<StateOfProcess<P[K]>> }
  /** Publications under the names passed to `createApp`. */
  readonly publications: { readonly [K in keyof B]: PublicationHandle }
  /** Inboxes under the names passed to `createApp`. */
  readonly inboxes: { readonly [K in keyof I]: InboxHandle }
  /**
   * Waits until a view has processed the log up to a position; runs it if no other process does.
   * Resolves at once for an inline view. Does not rebuild a view with a new `viewVersion`.
   * @throws NotYetError after `timeoutMs` (default: no limit). StoppedError when the view has
   * stopped. ClosedError, also when the app closes meanwhile. ValidationError, StoreError
   */
  waitFor(view: keyof W & string, position: Position, options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /**
   * Runs subscriptions and views in this process until `close`. Retries after a failure, and
   * reports it to `observe`, or else to the console.
   * @throws ClosedError
   */
  start(): Promise<void>
  /**
   * Runs subscriptions and views until they have caught up or a limit is reached. Includes the
   * events that they cause. For functions, cron jobs and tests. The limits are `budgetMs` and
   * `maxEvents`, an approximate number of events for all consumers together. Default: none. When
   * `signal` aborts, `drain` returns the result up to then.
   *
   * In the result, `caughtUp` is false when events are left, or a consumer has stopped, waits after
   * a failure or runs in another process. If `budgetMs` allows, `drain` waits once for the lease of
   * that process, which may have died. The next retry of a failed event is at `nextDue`, and
   * `drain` does not wait for it.
   * @throws StoreError, ValidationError (also inside a handler, for which `drain` would wait),
   * ClosedError
   */
  drain(options?: {
    readonly budgetMs?: number | undefined
    readonly maxEvents?: number | undefined
    /**
     * On a store without a global order, also check every aggregate: its stream may have lost
     * changes. Default `false`.
     */
    readonly reconcile?: boolean | undefined
    readonly signal?: AbortSignal | undefined
  }): Promise<DrainResult>
  /**
   * Lists subscriptions and views that have state in the store but no definition in this app. For
   * programs that have dropped or renamed a consumer. A consumer is known from its first run by
   * `start` or `drain`. You can remove it once no program has run it for an hour. A definition with
   * its name then begins at the start of its option `from`.
   * @throws DefinitionError in an app without views and subscriptions. StoreError, ClosedError
   *
   * @example
   * ```ts
   * import { createApp, defineAggregate, defineSubscription, noData } from 'cqrs-es'
   * import { memoryStore } from 'cqrs-es/memory'
   *
   * const door = defineAggregate({
   *   type: 'door',
   *   events: { Opened: noData },
   *   commands: { Open: noData },
   *   initialState: () => ({}),
   * }).implement({ handle: { Open: () => ({ type: 'Opened' }) }, apply: { Opened: (state) => state } })
   * const shared = { store: memoryStore(), aggregates: { door } }
   * const bell = defineSubscription({ name: 'bell', aggregates: [door], handle: () => {} })
   * const alarm = defineSubscription({ name: 'alarm', aggregates: [door], handle: () => {} })
   *
   * const before = createApp({ ...shared, subscriptions: { bell, alarm } })
   * await before.drain()
   * const after = createApp({ ...shared, subscriptions: { alarm } })
   * for (const { kind, name } of await after.leftovers()) console.log(kind, name) // subscription bell
   * await Promise.all([before.close(), after.close()])
   * ```
   */
  leftovers(): Promise<readonly Leftover[]>
  /**
   * Reports the status of each subscription and view. Needs a few reads of the store for all of
   * them, takes no lease and moves nothing.
   * @throws StoreError, ClosedError
   */
  health(): Promise<AppHealth>
  /**
   * The deadlines of all aggregates.
   * @throws DefinitionError in an app without deadlines
   */
  readonly deadlines: DeadlinesHandle
  /**
   * Stores the unique values and deadlines of aggregates that are older than these rules. Until it
   * has run, such values are not protected, and such deadlines are not sent. Returns the number of
   * rows it has stored, and the values that several aggregates have. The first of `ids` owns the
   * value; the others keep it until a command changes it. Commands continue meanwhile. You may
   * abort and repeat it.
   * @throws DefinitionError for an aggregate without `unique` and `deadlines`. ApplyError,
   * DeserializationError, StoreError, ClosedError, and the signal's reason
   */
  adopt(aggregate: A[keyof A], options?: { readonly signal?: AbortSignal | undefined }): Promise<Adopted>
  /**
   * Calls a query with stored events again, one commit at a time. Returns the number of events.
   * Replays the events of the app in commit order (without a global order, aggregate by aggregate),
   * of one aggregate type, or of one aggregate. Stops at the first error. With `onError` it
   * continues: it omits events that cannot be read, and reports errors of the query.
   * @throws DeserializationError, ValidationError, StoreError, ClosedError, errors of the query,
   * and the signal's reason
   */
  replay<B extends A[keyof A] = A[keyof A]>(
    query: (events: readonly EnvelopeOf<B>[]) => unknown,
    options?: {
      readonly aggregate?: B | undefined
      readonly id?: string | undefined
      readonly onError?: ((error: unknown, eventId: string) => unknown) | undefined
      readonly signal?: AbortSignal | undefined
    },
  ): Promise<{ readonly events: number }>
  /**
   * Processes changed aggregates in all subscriptions and views. For stores without a global order,
   * and changes from an external stream, in any order and with duplicates. Returns one outcome per
   * change, in order: `undefined`, the error, or the signal's reason if it aborted first.
   * @throws ValidationError, ClosedError
   */
  catchUp(
    changes: readonly AggregateChange[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly ({ readonly error: unknown } | undefined)[]>
  /**
   * Reads the events of this app's aggregate types after a position, in commit order. Reads pages
   * on demand, up to the current end of the log. Needs a store with a global order.
   * @throws ValidationError for an invalid position. DefinitionError without a global order.
   * StoreError, `STORE_BEHIND` for a position past the end of the log. DeserializationError,
   * ClosedError
   */
  events(options?: {
    readonly after?: Position | undefined
    readonly signal?: AbortSignal | undefined
  }): AsyncIterable<EnvelopeOf<A[keyof A]>>
  /**
   * Closes the app: refuses new calls and waits for the calls in progress, with their queries.
   * Running work ends first. Waiting calls (`caughtUp`, `waitFor`) fail with `ClosedError`. `close`
   * does not wait for an iteration over events, and leaves the store's client open.
   */
  close(): Promise<void>
}

/** The parts of an app, types erased, by their names in the app. */
export interface AppParts {
  readonly aggregates: ReadonlyMap<string, AggregateDefinition>
  readonly views: ReadonlyMap<string, ViewDefinition | SqlViewDefinition>
  readonly publications: ReadonlyMap<string, PublicationDefinition>
  readonly inboxes: ReadonlyMap<string, InboxDefinition>
  /** Whether a handler or a schema of a command threw the error. */
  readonly isForeign: (error: unknown) => boolean
  /** Executes a command of a process. @throws DefinitionError for a type that the app does not have */
  readonly execute: (aggregateType: string, call: Call) => Promise<Accepted | Rejected>
  readonly sleep: Runtime['sleep']
}

/** A view that an app keeps in SQL tables of your own. */
export interface SqlViewHandle extends ConsumerHandle {
  /**
   * Empties the tables and fills them again. Readers see the progress meanwhile.
   * @throws StoppedError at an event that `update` refuses, StoreError, ClosedError, and the
   * signal's reason
   */
  rebuild(options?: Omit<RebuildOptions, 'id'>): Promise<void>
}

type StateOfProcess<P> = P extends Process<string, infer S> ? S : never
type ViewTypesOf<V> = V extends View<infer T> ? T : ViewTypes

/**
 * Makes an app of aggregates, views, subscriptions and queries on a store.
 * @throws DefinitionError for anything misspelt, missing, contradictory or registered twice
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, noData } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const door = defineAggregate({
 *   type: 'door',
 *   events: { Opened: noData },
 *   commands: { Open: noData },
 *   initialState: () => ({ open: false }),
 * }).implement({
 *   handle: { Open: (state) => (state.open ? undefined : { type: 'Opened' }) },
 *   apply: { Opened: () => ({ open: true }) },
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { door } })
 * const { sequence } = await app.aggregates.door.execute('front', { type: 'Open' })
 * await app.close()
 * ```
 */
export function createApp<
  const A extends Record<string, AnyAggregate>,
  const W extends Record<string, View | SqlView> = Record<never, never>,
  const U extends Record<string, Subscription> = Record<never, never>,
  const P extends Record<string, Process> = Record<never, never>,
  const B extends Record<string, BoundPublication> = Record<never, never>,
  const I extends Record<string, Inbox> = Record<never, never>,
>(options: AppOptions<A, W, U, P, B, I> & ServicesOption<A>): App<A, W, U, P, B, I> {
  const { core, aggregates, views, subscriptions, processes, publications, inboxes, deadlines, readSide } = wire(options)
  const lifecycle = new Lifecycle()
  const definitions = new Map([...aggregates.values()].map(({ definition }) => [definition.type, definition]))
  const waiting = waitingFor(readSide, views, lifecycle)
  const foreign = new WeakSet<object>()
  const noting = new Map(
    [...aggregates].map(([key, one]) => [key, { ...one, definition: notingErrors(one.definition, foreign) }]),
  )
  const byType = new Map([...noting.values()].map((one) => [one.definition.type, one]))
  const handles = new Map([...noting].map(([key, one]) => [key, handleOf(core, one, lifecycle, waiting.prepare)]))
  const app: Record<string, unknown> = {
    '~parts': {
      aggregates: new Map([...aggregates].map(([key, { definition }]) => [key, definition])),
      views,
      publications,
      inboxes,
      isForeign: (error: unknown) => isObject(error) && foreign.has(error),
      execute: (aggregateType: string, call: Call) => execute(core, aggregateOf(byType, aggregateType), call),
      sleep: core.runtime.sleep,
    } satisfies AppParts,
    aggregates: Object.fromEntries(handles),
    aggregate: (aggregate: unknown) => {
      const { type } = definitionOf('app.aggregate: the argument', aggregate)
      const found = [...aggregates].find(([, { definition }]) => definition.type === type)
      if (found === undefined) throw new DefinitionError(`app.aggregate: this app has no aggregate of the type '${type}'.`)
      return handles.get(found[0])
    },
    waitFor: waiting.waitFor,
    start: () => lifecycle.run('app.start', async () => readSide?.start()),
    drain: async (request: DrainRequest = {}) => {
      readCallOptions('app.drain', request, optionsOfDrain)
      return lifecycle.follow('app.drain', request.signal, async (signal) =>
        readSide === undefined ? { caughtUp: true, events: 0 } : readSide.drain({ ...request, signal }),
      )
    },
    leftovers: () =>
      lifecycle.run('app.leftovers', async () => {
        if (readSide !== undefined) return readSide.leftovers(lifecycle)
        throw new DefinitionError('app.leftovers: this app has no view and no subscription. Call it on an app that has one.')
      }),
    adopt: async (aggregate: unknown, request: { signal?: AbortSignal } = {}) => {
      readCallOptions('app.adopt', request, { signal: signalOption })
      const { type } = definitionOf('app.adopt: the argument', aggregate)
      const definition = definitions.get(type)
      const [rules] = definition?.rules ?? []
      if (definition === undefined || rules === undefined)
        throw new DefinitionError(`app.adopt: this app has no aggregate '${type}' with unique or deadlines.`)
      return lifecycle.follow('app.adopt', request.signal, (signal) => partsOf(rules).adopt(core, definition, signal))
    },
    health: () =>
      lifecycle.run('app.health', async (): Promise<AppHealth> => {
        const statuses = (await readSide?.health()) ?? []
        const all = [...views, ...subscriptions, ...processes, ...publications, ...deadlines]
        return { consumers: statuses.map((status, i) => ({ ...namesOf(all[i] as (typeof all)[number]), ...status })) }
      }),
    replay: (query: Query, request: object = {}) =>
      lifecycle.run('app.replay', async () => {
        const typeOf = (aggregate: unknown) => definitionOf('app.replay: aggregate', aggregate).type
        return { events: await replay(core, definitions, query, checkReplay(definitions, typeOf, query, request)) }
      }),
    catchUp: async (changes: readonly AggregateChange[], request: { signal?: AbortSignal } = {}) => {
      readCallOptions('app.catchUp', request, { signal: signalOption })
      for (const change of Array.isArray(changes) ? changes : [undefined])
        if (!isPassedOver(definitions, change)) checkChange(change)
      return lifecycle.follow('app.catchUp', request.signal, async (signal) =>
        readSide === undefined ? changes.map(() => undefined) : readSide.catchUp(changes, signal),
      )
    },
    events: (request: { after?: Position; signal?: AbortSignal } = {}) => readLog(core, definitions, lifecycle, request),
    close: async () => {
      await Promise.all([lifecycle.beginClosing(), readSide?.stop()])
      await lifecycle.close()
    },
  }
  const open = (definitions: ReadonlyMap<string, ConsumerDefinition>) =>
    Object.fromEntries([...definitions].map(([key, one]) => [key, readSide?.open(one, lifecycle, app)]))
  app.views = open(views)
  app.subscriptions = open(subscriptions)
  app.processes = open(processes)
  app.publications = open(publications)
  const handleOfType = new Map([...aggregates].map(([key, { definition }]) => [definition.type, handles.get(key)]))
  app.inboxes = Object.fromEntries(
    [...inboxes].map(([key, inbox]) => [key, inbox.open(lifecycle, (type) => handleOfType.get(type) as never)]),
  )
  Object.defineProperty(app, 'deadlines', { get: deadlinesGetter(open(deadlines)) })
  return Object.freeze(app) as unknown as App<A, W, U, P, B, I>
}

/** Accessing the deadlines of an app without any is a mistake. */
const deadlinesGetter =
  ({ deadlines }: { readonly deadlines?: unknown }) =>
  () => {
    if (deadlines === undefined) throw new DefinitionError('app.deadlines: no aggregate of this app has deadlines.')
    return deadlines
  }

function aggregateOf(byType: ReadonlyMap<string, WiredAggregate>, type: string): WiredAggregate {
  const found = byType.get(type)
  if (found === undefined) throw new DefinitionError(`This app has no aggregate of the type '${type}'.`)
  return found
}

const namesOf = ([key, { name, kind }]: readonly [string, ConsumerDefinition]) => ({ key, name, kind })

const optionsOfDrain = {
  budgetMs: optional<number>(wholeNumberFrom(0)),
  maxEvents: optional<number>(wholeNumberFrom(1)),
  reconcile: optional<boolean>(checkBoolean),
  signal: signalOption,
}

/** A change of no aggregate of the app is ignored, whatever else may be wrong with it. */
const isPassedOver = (definitions: ReadonlyMap<string, unknown>, change: unknown): boolean => {
  const type = isObject(change) ? (change as Partial<AggregateChange>).aggregateType : undefined
  return typeof type === 'string' && type !== '' && !definitions.has(type)
}

function checkChange(change: unknown): void {
  const at = 'app.catchUp: a change'
  if (!isObject(change)) throw new ValidationError(`${at} must be an object { aggregateType, aggregateId, sequence }.`)
  const { aggregateType, aggregateId, sequence, first } = change as Partial<AggregateChange>
  checkName(`${at}: aggregateType`, aggregateType, ValidationError)
  checkName(`${at}: aggregateId`, aggregateId, ValidationError)
  checkWholeNumber(`${at}: sequence`, sequence, 1, ValidationError)
  if (first !== undefined) checkWholeNumber(`${at}: first`, first, 1, ValidationError)
}
