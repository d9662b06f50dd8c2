import type { AnyAggregate, EnvelopeOf, TypesOf } from './aggregate.ts'
import type { AggregateHandle } from './aggregate-handle.ts'
import type { AggregateChange } from './consumers/change.ts'
import type { ConsumerDefinition, DrainRequest, DrainResult, Leftover } from './consumers/definitions.ts'
import type { ConsumerHandle } from './consumers/handle.ts'
import type { ResetOptions } from './consumers/reset.ts'
import type { AppHealth } from './consumers/status.ts'
import { waitingFor } from './consumers/waiting.ts'
import { DefinitionError, ValidationError } from './errors.ts'
import type { EventEnvelope, Position } from './event-envelope.ts'
import { type AggregateDefinition, definitionOf } from './execution/aggregate-definition.ts'
import type { Query } from './execution/core.ts'
import { handleOf } from './execution/handle.ts'
import { readLog } from './execution/log.ts'
import { checkReplay, replay } from './execution/replay.ts'
import { notingErrors } from './execution/user-code-errors.ts'
import type { Observation } from './observation.ts'
import type { Runtime } from './runtime.ts'
import type { Store } from './store/store.ts'
import type { FailedEvent, FailedPage, ListFailed, SkippedEvent } from './subscriptions/failed-events.ts'
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
> {
  /** `memoryStore()`, `sqliteStore(db)` … Its schema must be there: call `store.createSchema()` once, or run what `store.printSchema()` prints. */
  readonly store: Store
  /** Under the names that `app.aggregates` will have. */
  readonly aggregates: A
  /** Under the names that `app.views` will have. */
  readonly views?: W
  /** Under the names that `app.subscriptions` will have. They run from `app.start()` on, or during `app.drain()`. */
  readonly subscriptions?: U
  /**
   * Timing of subscriptions and async views. `leaseMs` (default 5,000): time until another process
   * takes over from one that died. `pollMs` (default 1,000): interval of polling where nothing
   * notifies of commits of other processes. `holder`: what operators call this process, such as the
   * name of its host; a random text is added. Default: a random text.
   */
  readonly following?: { readonly leaseMs?: number; readonly pollMs?: number; readonly holder?: string }
  /**
   * Called in this order with all events of one command, after the commit, at most once; put
   * nothing here that must not be missed. Not called for a repeat. `execute` waits for them.
   */
  readonly queries?: readonly ((events: readonly EnvelopeOf<A[keyof A]>[]) => unknown)[]
  /** Receives the error of a query, and is waited for. Default: `console.error`. */
  readonly onQueryError?: (error: unknown, events: readonly EventEnvelope[]) => unknown
  /** How often a command is decided before `ConflictError`, when other writers are first each time. Default 4. */
  readonly maxAttempts?: number
  /**
   * Number of cached states; the least recently used one is dropped first. Default `{
   * maxAggregates: 10_000 }`.
   */
  readonly cache?: false | { readonly maxAggregates?: number }
  /**
   * Group commit: commits of concurrent commands share one append, up to `maxCommits` (default
   * 256) and about `maxBytes` characters of data (default 4,000,000). A lone command is sent at
   * once. With more than `maxQueued` commands in progress (default 10,000), the next is refused
   * with an `OverloadedError`. `false`: each commit is an append of its own, and no command is
   * refused.
   */
  readonly batching?: false | { readonly maxCommits?: number; readonly maxBytes?: number; readonly maxQueued?: number }
  /** Default: the platform's clock, Web Crypto and timers. */
  readonly runtime?: Runtime
  /** Receives each command, load, append, retry and query, for tracing, metrics and logs. */
  readonly observe?: (what: Observation) => void
}

type ServicesOf<A extends Record<string, AnyAggregate>> = {
  readonly [K in keyof A as TypesOf<A[K]>['services'] extends undefined ? never : K]: TypesOf<A[K]>['services']
}
/** Services are asked for where an aggregate declares some. */
export type ServicesOption<A extends Record<string, AnyAggregate>> = keyof ServicesOf<A> extends never
  ? { readonly services?: undefined }
  : { readonly services: ServicesOf<A> }

/** What `createApp` makes. User-named things live in namespaces, so that nothing is reserved. Nothing runs by itself. */
export interface App<
  A extends Record<string, AnyAggregate>,
  W extends Record<string, View | SqlView>,
  U extends Record<string, Subscription> = Record<never, never>,
> extends SubscriptionApp {
  /** @internal */
  readonly '~parts': AppParts
  /** Under the names that `createApp` was given. */
  readonly aggregates: { readonly [K in keyof A]: AggregateHandle<TypesOf<A[K]>> }
  /** Under the names that `createApp` was given. */
  readonly views: { readonly [K in keyof W]: W[K] extends SqlView ? SqlViewHandle : ViewHandle<ViewTypesOf<W[K]>> }
  /** Under the names that `createApp` was given. */
  readonly subscriptions: { readonly [K in keyof U]: SubscriptionHandle }
  /**
   * Resolves when a view has folded all up to a position; runs it when no other process does. At once for an inline view.
   * Does not rebuild a view whose `viewVersion` is new.
   * @throws NotYetError after `timeoutMs` (default: never), StoppedError when the view has stopped, ValidationError, StoreError, ClosedError (also when the app closes meanwhile)
   */
  waitFor(view: keyof W & string, position: Position, options?: { readonly timeoutMs?: number | undefined }): Promise<void>
  /** Keeps subscriptions and views running in this process, until `close`. What fails is tried again, and told to `observe`, else to the console. @throws ClosedError */
  start(): Promise<void>
  /**
   * Runs subscriptions and views until they have caught up, also with what they themselves have led to, or until time or the number of events is up: for functions, cron and tests.
   * `caughtUp` is false when something is left, has stopped, waits after a failure or runs in another process; where `budgetMs` allows it, that one's lease is waited for once, since it may have died.
   * `nextDue` is when an event that failed is tried again next: it is not waited for.
   * `maxEvents` is about how many all of them take together. When `signal` aborts, before or meanwhile, it answers what was done by then.
   * @throws StoreError, ValidationError (also inside a handler, which it would wait for), ClosedError
   */
  drain(options?: {
    readonly budgetMs?: number | undefined
    readonly maxEvents?: number | undefined
    /** On a store without a global order, also look at every aggregate: what its stream told may have been lost. Default `false`. */
    readonly reconcile?: boolean | undefined
    readonly signal?: AbortSignal | undefined
  }): Promise<DrainResult>
  /**
   * Subscriptions and views that the store has state of and this app does not define, for programs that have dropped or renamed some. A view, or a subscription, is known from its first run by
   * `start` or `drain` on. Each can be removed once no program has run it for an hour; a definition of that name then begins by its `from`.
   * @throws DefinitionError in an app without views and subscriptions, StoreError, ClosedError
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
   * How each subscription and view is doing. Takes no lease and moves nothing: a few reads of the store for all of them
   * together.
   * @throws StoreError, ClosedError
   */
  health(): Promise<AppHealth>
  /**
   * Hands stored events to a query once more, those of one commit together: of the whole app in the order they were stored (without a global order, aggregate by aggregate), of one aggregate
   * type, or of one aggregate. Without `onError` it ends at the first error; with it, an event that cannot be read is left out and what the query throws is passed over. Answers how many events there were.
   * @throws DeserializationError, what the query throws, ValidationError, StoreError, ClosedError, and the signal's reason
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
   * Brings subscriptions and views up to date with these aggregates, on a store without a global order: for records of a stream that something else hands over, in any order and as
   * often as it likes. Answers one outcome per change, in order: `undefined`, or what failed; for those that `signal` has cut short its reason.
   * @throws ValidationError, ClosedError
   */
  catchUp(
    changes: readonly AggregateChange[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly ({ readonly error: unknown } | undefined)[]>
  /**
   * The events of all aggregate types of this app behind a position, in commit order; read page by page, to the end of the log as it is then. Only on stores
   * with a global order.
   * @throws ValidationError for what is no position, DefinitionError without a global order, DeserializationError, StoreError (`STORE_BEHIND` for a position
   * past the end of the log), ClosedError
   */
  events(options?: {
    readonly after?: Position | undefined
    readonly signal?: AbortSignal | undefined
  }): AsyncIterable<EnvelopeOf<A[keyof A]>>
  /**
   * Lets what runs come to its end, tells what waits (`caughtUp`, `waitFor`) that the app has closed, refuses new calls, and resolves when those under way are done, their queries included. An iteration over events is not waited for. The store's
   * client stays open.
   */
  close(): Promise<void>
}

/** What an app is made of, types erased, under the names that it has there. */
export interface AppParts {
  readonly aggregates: ReadonlyMap<string, AggregateDefinition>
  readonly views: ReadonlyMap<string, ViewDefinition | SqlViewDefinition>
  /** Whether a handler or a schema of a command threw it. */
  readonly isForeign: (error: unknown) => boolean
  readonly sleep: Runtime['sleep']
}

/** A view of an app that is tables of your own. */
export interface SqlViewHandle extends ConsumerHandle {
  /**
   * Empties the tables and fills them again; who reads them meanwhile sees how far it has come.
   * @throws StoppedError at an event that `update` refuses, StoreError, ClosedError, and the signal's reason
   */
  rebuild(options?: Omit<RebuildOptions, 'id'>): Promise<void>
}

/** A subscription of an app. */
export interface SubscriptionHandle extends ConsumerHandle {
  /**
   * Events that failed, in pages of `limit` (1–1,000, default 100), in no order; `state` picks those that are tried again by
   * themselves, or those that are parked. @throws ValidationError, StoreError, ClosedError
   */
  parked(options?: ListFailed): Promise<FailedPage<FailedEvent>>
  /** Has one event tried again now. `false`: it has not failed, or someone has dealt with it. @throws StoreError, ClosedError */
  retry(eventId: string): Promise<boolean>
  /**
   * Passes over one event that failed, or that has stopped the subscription, for ever; what its aggregate did after it is
   * delivered. It is recorded with the reason. `false`: it has not failed, or someone has dealt with it.
   * @throws ValidationError without a reason, StoreError, ClosedError
   */
  skip(eventId: string, options: { readonly reason: string; readonly by?: string | undefined }): Promise<boolean>
  /** What was skipped, the last first, in pages of `limit` (1–1,000, default 100). @throws ValidationError, StoreError, ClosedError */
  skipped(options?: {
    readonly limit?: number | undefined
    readonly after?: string | undefined
  }): Promise<FailedPage<SkippedEvent>>
  /**
   * Delivers everything after a place again, or passes over what was not delivered yet. A stop is over. What failed after that
   * place comes again by itself, what failed before stays as it is. Commands sent with `reaction` are not stored twice; all
   * other effects happen again. Waits up to `leaseMs` and 5 s for handlers at work.
   * @throws ValidationError for an unfit option, a position after the end of the log or a time in the future, DefinitionError for a position where the store has no global order, NotYetError when handlers were at work for too long, StoreError, ClosedError
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
   *   handle: (event) => console.log(event.id),
   * })
   *
   * const app = createApp({ store: memoryStore(), aggregates: { task }, subscriptions: { mailer } })
   * await app.aggregates.task.execute('t-1', { type: 'Assign', data: { to: 'ann' } })
   * await app.drain() // task/t-1/1
   * await app.subscriptions.mailer.reset({ to: 'beginning', reason: 'the mails were lost' })
   * await app.drain() // task/t-1/1
   * await app.close()
   * ```
   */
  reset(options: ResetOptions): Promise<void>
}

type ViewTypesOf<V> = V extends View<infer T> ? T : ViewTypes

/**
 * Wires aggregates, views and queries to a store.
 *
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
>(options: AppOptions<A, W, U> & ServicesOption<A>): App<A, W, U> {
  const { core, aggregates, views, subscriptions, readSide } = wire(options)
  const lifecycle = new Lifecycle()
  const definitions = new Map([...aggregates.values()].map(({ definition }) => [definition.type, definition]))
  const waiting = waitingFor(readSide, views, lifecycle)
  const foreign = new WeakSet<object>()
  const handles = new Map(
    [...aggregates].map(([key, aggregate]) => {
      const noting = { ...aggregate, definition: notingErrors(aggregate.definition, foreign) }
      return [key, handleOf(core, noting, lifecycle, waiting.prepare)]
    }),
  )
  const app: Record<string, unknown> = {
    '~parts': {
      aggregates: new Map([...aggregates].map(([key, { definition }]) => [key, definition])),
      views,
      isForeign: (error: unknown) => isObject(error) && foreign.has(error),
      sleep: core.runtime.sleep,
    } satisfies AppParts,
    aggregates: Object.fromEntries(handles),
    aggregate: (aggregate: unknown) => {
      const { type } = definitionOf('app.aggregate: what is asked for', aggregate)
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
        throw new DefinitionError('app.leftovers: this app has no view and no subscription. Call it on one that has some.')
      }),
    health: () =>
      lifecycle.run('app.health', async (): Promise<AppHealth> => {
        const statuses = (await readSide?.health()) ?? []
        const all = [...views, ...subscriptions]
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
  return Object.freeze(app) as unknown as App<A, W, U>
}

const namesOf = ([key, { name, kind }]: readonly [string, ConsumerDefinition]) => ({ key, name, kind })

const optionsOfDrain = {
  budgetMs: optional<number>(wholeNumberFrom(0)),
  maxEvents: optional<number>(wholeNumberFrom(1)),
  reconcile: optional<boolean>(checkBoolean),
  signal: signalOption,
}

/** It is of no aggregate of the app, whatever else may be wrong with it. */
const isPassedOver = (definitions: ReadonlyMap<string, unknown>, change: unknown): boolean => {
  const type = isObject(change) ? (change as Partial<AggregateChange>).aggregateType : undefined
  return typeof type === 'string' && type !== '' && !definitions.has(type)
}

function checkChange(change: unknown): void {
  const at = 'app.catchUp: a change'
  if (!isObject(change)) throw new ValidationError(`${at} is an object: { aggregateType, aggregateId, sequence }.`)
  const { aggregateType, aggregateId, sequence, first } = change as Partial<AggregateChange>
  checkName(`${at}: aggregateType`, aggregateType, ValidationError)
  checkName(`${at}: aggregateId`, aggregateId, ValidationError)
  checkWholeNumber(`${at}: sequence`, sequence, 1, ValidationError)
  if (first !== undefined) checkWholeNumber(`${at}: first`, first, 1, ValidationError)
}
