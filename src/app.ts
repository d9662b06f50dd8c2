import type { AggregateTypes, AnyAggregate, Envelope, EnvelopeOf, TypesOf } from './aggregate.ts'
import type { EventEnvelope, Position } from './event-envelope.ts'
import type { ExecuteOptions } from './execution/call.ts'
import { handleOf } from './execution/handle.ts'
import { readLog } from './execution/log.ts'
import { Lifecycle } from './lifecycle.ts'
import type { DataOf } from './message.ts'
import type { Observation } from './observation.ts'
import type { Rejection } from './reject.ts'
import type { Runtime } from './runtime.ts'
import type { Store } from './store/store.ts'
import type { View } from './views/view.ts'
import type { ViewTypes } from './views/view-types.ts'
import type { Views } from './views/views.ts'
import { type Wiring, wire } from './wiring.ts'

/** What `createApp` takes, but for `services`. */
export interface AppOptions<A extends Record<string, AnyAggregate>, W extends Record<string, View>> {
  /** `memoryStore()`, `sqliteStore(db)` … Its schema must be there: call `store.createSchema()` once, or run what `store.printSchema()` prints. */
  readonly store: Store
  /** Under the names that `app.aggregates` will have. */
  readonly aggregates: A
  /** Under the names that `app.views` will have. */
  readonly views?: W
  /**
   * Receive all events of one command, after the commit, in this order, at most once: what must not be missed does not belong here. Not called for a
   * repeat. `execute` waits for them.
   */
  readonly queries?: readonly ((events: readonly EnvelopeOf<A[keyof A]>[]) => void | Promise<void>)[]
  /** Told what a query threw, and waited for. Default: `console.error`. */
  readonly onQueryError?: (error: unknown, events: readonly EventEnvelope[]) => void | Promise<void>
  /** How often a command is decided again after a lost race, before `ConflictError`. Default 3. */
  readonly retries?: number
  /** How many states are kept, the least recently used dropped first. Default `{ maxAggregates: 10_000 }`. */
  readonly cache?: false | { readonly maxAggregates?: number }
  /**
   * How the commits of commands that run at the same time are gathered into one call of the store: up to `maxCommits` (default 256) of about `maxBytes` characters of
   * data (default 4,000,000). A lone command waits for nobody. With more than `maxQueued` commands under way (default 10,000) the next is turned away with an
   * `OverloadedError`. `false`: each commit is a call of its own, and nothing is turned away.
   */
  readonly batching?: false | { readonly maxCommits?: number; readonly maxBytes?: number; readonly maxQueued?: number }
  /** Default: the platform's clock, Web Crypto and timers. */
  readonly runtime?: Runtime
  /** Told about every command, load, append, retry and query (for tracing, metrics, logs); must not throw. */
  readonly observe?: (what: Observation) => void
}

type ServicesOf<A extends Record<string, AnyAggregate>> = {
  readonly [K in keyof A as TypesOf<A[K]>['services'] extends undefined ? never : K]: TypesOf<A[K]>['services']
}
/** Services are asked for where an aggregate declares some. */
export type ServicesOption<A extends Record<string, AnyAggregate>> = keyof ServicesOf<A> extends never
  ? { readonly services?: undefined }
  : { readonly services: ServicesOf<A> }

/** The commands and the history of one aggregate type. */
export interface AggregateHandle<T extends AggregateTypes> {
  /**
   * Decides a command and stores its events, with the inline views, the snapshot that is due and the idempotency key: all or nothing.
   *
   * Returns what the domain decided: `{ ok: true, events, sequence, state }` (no events when it decided nothing) or `{ ok: false, reason, details }`.
   * Throws for what failed; nothing was stored then, but for `OutcomeUnknownError`. A handler's own exception passes through.
   *
   * Commands on one aggregate wait for each other, so a handler must not wait for one on its own aggregate.
   *
   * @throws ValidationError, ConflictError, IdempotencyError, InvalidEventError, ApplyError, DeserializationError, StoreError, OutcomeUnknownError,
   * ClosedError, and the signal's reason
   */
  execute<K extends keyof T['commands'] & string>(
    id: string,
    command: { readonly type: K } & DataOf<T['commands'][K]>,
    options?: ExecuteOptions,
  ): Promise<Accepted<T['state'], T['events'], T['type']> | RejectedBy<T, K>>
  /**
   * The state as the store has it now, or had it right after the sequence `asOf`. An unknown id is the initial state at sequence 0.
   * @throws ValidationError when `asOf` is past the last event, DeserializationError, ApplyError, StoreError, ClosedError, and the signal's reason
   */
  load(
    id: string,
    options?: { readonly asOf?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<{ readonly state: T['state']; readonly sequence: number }>
  /**
   * All events of one aggregate, or those after a sequence, in order; read page by page as they are asked for.
   * @throws ValidationError, DeserializationError, StoreError, ClosedError, and the signal's reason
   */
  events(
    id: string,
    options?: { readonly after?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Envelope<T['events'], T['type']>>
  /**
   * Ids of the aggregates that have events, in byte order. `limit`: 1–1,000, default 100; `next` is there when more may follow: pass it as `after`.
   * @throws ValidationError, StoreError, ClosedError
   */
  ids(options?: {
    readonly limit?: number | undefined
    readonly after?: string | undefined
  }): Promise<{ readonly items: readonly string[]; readonly next?: string }>
}

/** The command was accepted by an aggregate of the type `N` with the state `S` and the events `D` (event type → data). */
export interface Accepted<S, D, N extends string = string> {
  /** Narrows the result. */
  readonly ok: true
  /** After these events; frozen. */
  readonly state: S
  /** Of the last event, 0 for an aggregate without any. */
  readonly sequence: number
  /** What was stored, as a later read gives it; empty when the handler decided nothing. */
  readonly events: readonly Envelope<D, N>[]
  /** The idempotency key had been used: this is what the first execution came to. */
  readonly replayed: boolean
}

/** The domain said no. */
export interface Rejected<R extends string = string, D = undefined> {
  /** Narrows the result. */
  readonly ok: false
  /** As the handler gave it to `reject`. */
  readonly reason: R
  /** As the handler gave them to `reject`, neither copied nor frozen. */
  readonly details: D
}

/** What the command `K` can be refused with. */
export type RejectedBy<T extends AggregateTypes, K> = K extends keyof T['rejections'] ? ToResult<T['rejections'][K]> : never
type ToResult<R> = R extends Rejection<infer Q, infer D> ? Rejected<Q, D> : never

/** What `createApp` makes. User-named things live in namespaces, so that nothing is reserved. Nothing runs by itself. */
export interface App<A extends Record<string, AnyAggregate>, W extends Record<string, View>> {
  /** Under the names that `createApp` was given. */
  readonly aggregates: { readonly [K in keyof A]: AggregateHandle<TypesOf<A[K]>> }
  /** Under the names that `createApp` was given. */
  readonly views: { readonly [K in keyof W]: Views<ViewTypesOf<W[K]>> }
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
   * Refuses new calls, and resolves when those under way are done, their queries included. An iteration over events is not waited for. The store's
   * client stays open.
   */
  close(): Promise<void>
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
  const W extends Record<string, View> = Record<never, never>,
>(options: AppOptions<A, W> & ServicesOption<A>): App<A, W> {
  const { core, aggregates, views, readSide } = wire(options as unknown as Wiring)
  const lifecycle = new Lifecycle()
  const definitions = new Map([...aggregates.values()].map(({ definition }) => [definition.type, definition]))
  const app = {
    aggregates: Object.fromEntries([...aggregates].map(([key, aggregate]) => [key, handleOf(core, aggregate, lifecycle)])),
    views: Object.fromEntries([...views].map(([key, view]) => [key, readSide?.viewsOf(view, lifecycle)])),
    events: (request: { after?: Position; signal?: AbortSignal } = {}) => readLog(core, definitions, lifecycle, request),
    close: () => lifecycle.close(),
  }
  return Object.freeze(app) as unknown as App<A, W>
}
