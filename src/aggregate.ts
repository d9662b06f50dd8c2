import type { EnvelopeContext, Metadata } from './event-envelope.ts'
import type { Upcaster } from './evolution/upcaster.ts'
import { type AggregateDefinition, buildDefinition, readAggregateOptions } from './execution/aggregate-definition.ts'
import type {
  Message,
  MessageInput,
  MessageOf,
  ReadonlyData,
  SchemaInput,
  SchemaOutput,
  Shapes,
  StandardSchema,
  Typed,
} from './message.ts'
import type { Rejection } from './reject.ts'

/** When a snapshot of the state is stored: never, at the end of each commit, or at the end of a commit that crosses a multiple of `every` events. */
export type SnapshotPolicy = 'never' | 'always' | { readonly every: number }

/** What `defineAggregate` takes. */
export interface AggregateOptions<N extends string, E extends Shapes, C extends Shapes, S, V> {
  /** Name of the type, stored with each event: 1–255 characters without `:` and `/`. */
  readonly type: N
  /** Its domain events, in the past tense: a schema (any Standard Schema), `typed<T>()`, `noData` or `versions(…)` for each. */
  readonly events: E
  /** Its commands, in the imperative: a schema, `typed<T>()` or `noData` for each. */
  readonly commands: C
  /** What its handlers need from outside, `typed<Services>()`; given to `createApp`. */
  readonly services?: Typed<V>
  /** The state before the first event; JSON. */
  readonly initialState: () => S
  /** Default `'never'`. */
  readonly snapshots?: SnapshotPolicy
  /** Raise it when the shape of the state or what `apply` makes of it changes: snapshots of another one are ignored. Default 1. */
  readonly stateVersion?: string | number
  /**
   * Schema of the state. A snapshot that does not fit it, or that it would change, is passed over, and replaced when the next one is due: it catches a forgotten `stateVersion`. Synchronous;
   * `initialState()` and each state that is stored as a snapshot must fit. Default: none, and each snapshot of this `stateVersion` is believed.
   */
  readonly stateSchema?: StandardSchema<unknown, NoInfer<S>>
  /** For events of older forms, in list order; they run before `versions(…)`. */
  readonly upcasters?: readonly Upcaster[]
}

/** What a handler knows besides the state and the command. */
export interface HandlerContext<S, D, V> {
  /** What was given to `createApp` for this aggregate; called before anything is stored, and perhaps more than once. */
  readonly services: V
  /** Id of the aggregate that the command was sent to. */
  readonly aggregateId: string
  /**
   * The same through all repetitions of this command (its idempotency key when it has one): hand it to services that must not
   * act twice, since `handle` may run several times for one `execute`. A key belongs to one aggregate, so hand over `aggregateId` with it.
   */
  readonly commandId: string
  /** Sequence of the last event in the state, 0 for a new aggregate. */
  readonly sequence: number
  /** What the caller passed, frozen; `{}` by default. */
  readonly metadata: Metadata
  /** The instant that will be the events' `recordedAt`. */
  readonly now: Date
  /** The caller's, or one that never aborts. */
  readonly signal: AbortSignal
  /** Typed makers of events, for events that are collected before they are returned. */
  readonly event: {
    readonly [K in keyof D & string]: (...data: [D[K]] extends [void] ? [] : [data: ReadonlyData<D[K]>]) => MessageOf<K, D[K]>
  }
  /** The state as it will be after these events. */
  apply(state: S, ...events: readonly MessageInput<D>[]): S
}

/** The types of one aggregate in one bag, so that a hover stays short and the bag can grow. */
export interface AggregateTypes {
  /** Name of the aggregate type, a literal. */
  readonly type: string
  /** What `apply` returns. */
  readonly state: unknown
  /** Event type → its data. */
  readonly events: object
  /** Command type → the data a caller passes. */
  readonly commands: object
  /** `undefined` where none are declared. */
  readonly services: unknown
  /** Command type → what it can be refused with; `never` where it cannot be. */
  readonly rejections: object
}

/** An aggregate, ready for `createApp` and for the test kit. Made by `defineAggregate(…).implement(…)`. */
export interface Aggregate<T extends AggregateTypes = AggregateTypes> {
  /** Name of the aggregate type. */
  readonly type: T['type']
  /** Types only; not there at run time. */
  readonly '~types'?: T
  /** @internal */
  readonly '~definition': AggregateDefinition
}

/** An aggregate without its behaviour. */
export interface AggregateDeclaration<N extends string, E extends Shapes, C extends Shapes, S, V> {
  /**
   * Adds the behaviour: `handle` decides, one function per command; `apply` evolves, one function per event.
   *
   * A handler gets the state (frozen), the command's data as its schema gives it, and the context; it returns an event, a list of
   * events, nothing, or `reject(…)`. What it throws passes through `execute` untouched. It may run several times for one command, and must not wait for a
   * command on its own aggregate, which would wait for it. `apply` is pure, holds no rules, and returns the next state.
   *
   * @throws DefinitionError for a missing, misspelt or extra function
   */
  implement<const H extends Handlers<S, EventData<E>, C, V>>(implementation: {
    readonly handle: H & { readonly [K in Exclude<keyof H, keyof C>]: never } & Surplus<H, EventData<E>>
    readonly apply: Appliers<S, EventData<E>>
  }): Aggregate<{
    type: N
    state: S
    events: { -readonly [K in keyof E & string]: SchemaOutput<E[K]> }
    commands: { -readonly [K in keyof C & string]: SchemaInput<C[K]> }
    services: V
    rejections: { -readonly [K in keyof H]: RejectionOf<H[K]> }
  }>
}

type EventData<E extends Shapes> = { [K in keyof E & string]: SchemaOutput<E[K]> } & {}
type Decision<D> = MessageInput<D> | readonly MessageInput<D>[] | Rejection | void | undefined
type Handlers<S, D, C extends Shapes, V> = {
  readonly [K in keyof C]: (
    state: S,
    command: SchemaOutput<C[K]>,
    context: HandlerContext<S, D, V>,
  ) => Decision<D> | Promise<Decision<D>>
}
type Appliers<S, D> = { readonly [K in keyof D]: (state: S, data: D[K]) => ReadonlyData<S> }
type RejectionOf<F> = F extends (...args: never[]) => infer R ? Extract<Awaited<R>, Rejection> : never

/** Turns a handler that returns an event with a field its data does not have into an error at that handler. */
type Surplus<H, D> = { readonly [K in keyof H]: [SurplusOf<H[K], D>] extends [never] ? unknown : SurplusOf<H[K], D> }
type SurplusOf<F, D> = F extends (...args: never[]) => infer R ? SurplusOfEvent<ElementOf<Awaited<R>>, D> : never
type ElementOf<R> = R extends readonly (infer M)[] ? M : R
type SurplusOfEvent<M, D> = M extends { readonly type: infer K extends keyof D & string; readonly data: infer X }
  ? SurplusKey<X, D[K]> extends infer P extends string
    ? `event "${K}" has no field "${P}"`
    : never
  : never
/** In a list of object literals TypeScript gives each the fields of the others as `?: undefined`: those do not count. */
type SurplusKey<X, Known> = X extends readonly unknown[]
  ? never
  : X extends object
    ? { [P in keyof X]-?: P extends KeyOf<Known> ? never : [Exclude<X[P], undefined>] extends [never] ? never : P }[keyof X]
    : never
type KeyOf<T> = T extends unknown ? keyof T : never

/**
 * Declares an aggregate: its events, commands, services and initial state. All types are inferred from here; call
 * `.implement({ handle, apply })` on the result.
 *
 * @throws DefinitionError for a misspelt option, a reserved or unfit name, an initial state that is not JSON or does not fit `stateSchema`, an asynchronous schema of an event or of the
 * state, or an upcaster that would change new events
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, reject, typed } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const counter = defineAggregate({
 *   type: 'counter',
 *   events: { Counted: typed<{ by: number }>() },
 *   commands: { Count: typed<{ by: number }>() },
 *   initialState: () => ({ total: 0 }),
 * }).implement({
 *   handle: {
 *     Count: (state, { by }) => (state.total + by > 10 ? reject('too-much') : { type: 'Counted', data: { by } }),
 *   },
 *   apply: { Counted: (state, { by }) => ({ total: state.total + by }) },
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { counter } })
 * const result = await app.aggregates.counter.execute('c1', { type: 'Count', data: { by: 3 } })
 * ```
 */
export function defineAggregate<const N extends string, const E extends Shapes, const C extends Shapes, S, V = undefined>(
  definition: AggregateOptions<N, E, C, S, V>,
): AggregateDeclaration<N, E, C, S, V> {
  const options = readAggregateOptions(definition)
  return {
    implement: (implementation) => ({ type: definition.type, '~definition': buildDefinition(options, implementation) }),
  }
}

/** The state of an aggregate. */
export type StateOf<A> = TypesOf<A>['state']
/** Its events, as a handler returns them. */
export type EventOf<A> = A extends AnyAggregate ? Message<TypesOf<A>['events']> : never
/** Its commands, as `execute` takes them. */
export type CommandOf<A> = A extends AnyAggregate ? Message<TypesOf<A>['commands']> : never
/** What the command `K` can be refused with; `never` when it cannot be. */
export type RejectionsOf<A, K> = TypesOf<A>['rejections'] extends infer R ? (K extends keyof R ? R[K] : never) : never
/** Its events in their envelopes, as queries, views and `events()` give them. */
export type EnvelopeOf<A> = A extends AnyAggregate ? Envelope<TypesOf<A>['events'], TypesOf<A>['type']> : never
/** The events with data `D` (event type → data) of the aggregate type `N`, in their envelopes; narrows on `type`. */
export type Envelope<D, N extends string = string> = Message<D> & EnvelopeContext<N>

/** The bag of types of an aggregate. */
export type TypesOf<A> = A extends Aggregate<infer T> ? T : never

/** Any aggregate. */
export type AnyAggregate = Aggregate
