import type { EnvelopeContext, Metadata } from './event-envelope.ts'
import type { Upcaster } from './evolution/upcaster.ts'
import { type AggregateDefinition, buildDefinition, readAggregateOptions } from './execution/aggregate-definition.ts'
import type { Extension } from './execution/state-rules.ts'
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

/**
 * When to store a snapshot of the state. Either `'never'`, or `'always'` (at the end of each
 * commit), or at the end of a commit that reaches or crosses a multiple of `every` events.
 */
export type SnapshotPolicy = 'never' | 'always' | { readonly every: number }

/** Code that an option of `defineAggregate` needs: `unique` or `deadlines`. */
export interface AggregateExtension<K extends string = string> {
  /** @internal */
  readonly '~extension': Extension & { readonly option: K }
}

/**
 * When a command is sent to the aggregate: ISO 8601 text or `Date`, with data if the command has
 * some.
 */
export type DeadlineOf<D> = [D] extends [void] ? string | Date : { readonly at: string | Date; readonly data: D }

/** Options of `defineAggregate`. */
export interface AggregateOptions<N extends string, E extends Shapes, C extends Shapes, S, V, U extends string = never> {
  /** Name of the aggregate type, stored with each event: 1–255 characters without `:` and `/`. */
  readonly type: N
  /**
   * Domain events, in the past tense. Each is a schema (any Standard Schema), `typed<T>()`,
   * `noData` or `versions(…)`.
   */
  readonly events: E
  /** Commands, in the imperative. Each is a schema, `typed<T>()` or `noData`. */
  readonly commands: C
  /**
   * Type of the services that handlers use: `typed<Services>()`. Pass the services to `createApp`.
   */
  readonly services?: Typed<V>
  /** Returns the state before the first event; JSON. */
  readonly initialState: () => S
  /** When to store snapshots. Default `'never'`. */
  readonly snapshots?: SnapshotPolicy
  /**
   * Version of the state's shape. Default 1. Change it when the state's shape or the result of
   * `apply` changes. Snapshots with another version are ignored.
   */
  readonly stateVersion?: string | number
  /**
   * Schema of the state, which catches a forgotten `stateVersion`. Default: none. A snapshot that
   * does not fit the schema, or that the schema would change, is ignored and replaced when the next
   * one is due. The initial state and each state that is stored as a snapshot must fit. The schema
   * must be synchronous. Without a schema, each snapshot of this `stateVersion` is used.
   */
  readonly stateSchema?: StandardSchema<unknown, NoInfer<S>>
  /** Upcasters for events of older forms, in list order. They run before `versions(…)`. */
  readonly upcasters?: readonly Upcaster[]
  /**
   * Values that only one aggregate of this type may have, such as an e-mail address. Rule name →
   * pure function of the state that returns a text, a list of texts, or nothing. A command that
   * would take a value of another aggregate is rejected: `{ ok: false, reason: 'taken', details: {
   * unique } }`. Needs `with: [unique]`. Call `app.adopt` if there are aggregates already.
   */
  readonly unique?: { readonly [K in U]: (state: NoInfer<S>) => string | readonly string[] | undefined | null }
  /**
   * Commands that the aggregate receives when a time has come. Command type → pure function of the
   * state that returns the time, or nothing. Each time is sent once, also if the handler rejects the
   * command; a state without the time withdraws it. Needs `with: [deadlines]`.
   */
  readonly deadlines?: { readonly [K in keyof C]?: (state: NoInfer<S>) => DeadlineOf<SchemaInput<C[K]>> | undefined | null }
  /** Code of `unique` and `deadlines`: `[unique]`, `[deadlines]` or both, imported from `cqrs-es`. */
  readonly with?: readonly AggregateExtension[]
}

/** Context that a command handler receives besides the state and the command. */
export interface HandlerContext<S, D, V> {
  /**
   * Services of this aggregate, as passed to `createApp`. A handler calls them before anything is
   * stored, and perhaps more than once.
   */
  readonly services: V
  /** Id of the aggregate that the command was sent to. */
  readonly aggregateId: string
  /**
   * Id of this command: its idempotency key, else a random UUID. Repetitions have the same id. Pass
   * it to services that must not act twice, because `handle` may run several times for one
   * `execute`. An idempotency key belongs to one aggregate, so pass `aggregateId` with it.
   */
  readonly commandId: string
  /** Sequence of the last event in the state, 0 for a new aggregate. */
  readonly sequence: number
  /** Metadata that the caller passed, frozen. Default `{}`. */
  readonly metadata: Metadata
  /** Time of the decision, which becomes `recordedAt` of the events. */
  readonly now: Date
  /** The caller's signal, or one that never aborts. */
  readonly signal: AbortSignal
  /** Typed event factories, for handlers that collect events before they return them. */
  readonly event: {
    readonly [K in keyof D & string]: (...data: [D[K]] extends [void] ? [] : [data: ReadonlyData<D[K]>]) => MessageOf<K, D[K]>
  }
  /** Returns the state as it will be after these events. */
  apply(state: S, ...events: readonly MessageInput<D>[]): S
}

/** The types of one aggregate in one object: a hover stays short, and types can be added. */
export interface AggregateTypes {
  /** Name of the aggregate type, a literal. */
  readonly type: string
  /** State that `apply` returns. */
  readonly state: unknown
  /** Event type → its data. */
  readonly events: object
  /** Command type → the data that a caller passes. */
  readonly commands: object
  /** Services of the handlers, `undefined` if none are declared. */
  readonly services: unknown
  /** Command type → its possible rejections, `never` if there are none. */
  readonly rejections: object
}

/**
 * An implemented aggregate, for `createApp` and the test kit. Made by
 * `defineAggregate(…).implement(…)`.
 */
export interface Aggregate<T extends AggregateTypes = AggregateTypes> {
  /** Name of the aggregate type. */
  readonly type: T['type']
  /** Carries types only; absent at run time. */
  readonly '~types'?: T
  /** @internal */
  readonly '~definition': AggregateDefinition
}

/** A declared aggregate without its handlers. */
export interface AggregateDeclaration<N extends string, E extends Shapes, C extends Shapes, S, V, U extends string = never> {
  /**
   * Adds the behavior: `handle` has one function per command, `apply` one function per event. A
   * handler receives the frozen state, the command's data as its schema returns it, and the
   * context. It returns an event, a list of events, nothing, or `reject(…)`. An exception passes
   * through `execute` unchanged. A handler may run several times for one command. It must not wait
   * for a command on its own aggregate: the two would deadlock. The functions in `apply` are pure,
   * have no business rules, and return the next state.
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
    rejections: { -readonly [K in keyof H]: RejectionOf<H[K]> | Taken<U> }
  }>
}

/** Rejection of a command that would take a unique value of another aggregate. `U`: the rules. */
export type Taken<U extends string> = [U] extends [never] ? never : Rejection<'taken', { readonly unique: U }>

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

/** Makes a handler a type error when its event has a field that the event's data does not have. */
type Surplus<H, D> = { readonly [K in keyof H]: [SurplusOf<H[K], D>] extends [never] ? unknown : SurplusOf<H[K], D> }
type SurplusOf<F, D> = F extends (...args: never[]) => infer R ? SurplusOfEvent<ElementOf<Awaited<R>>, D> : never
type ElementOf<R> = R extends readonly (infer M)[] ? M : R
type SurplusOfEvent<M, D> = M extends { readonly type: infer K extends keyof D & string; readonly data: infer X }
  ? SurplusKey<X, D[K]> extends infer P extends string
    ? `event "${K}" has no field "${P}"`
    : never
  : never
/** In a list of object literals TypeScript adds missing fields as `?: undefined`: ignore those. */
type SurplusKey<X, Known> = X extends readonly unknown[]
  ? never
  : X extends object
    ? { [P in keyof X]-?: P extends KeyOf<Known> ? never : [Exclude<X[P], undefined>] extends [never] ? never : P }[keyof X]
    : never
type KeyOf<T> = T extends unknown ? keyof T : never

/**
 * Declares an aggregate: its events, commands, services and initial state. All types are inferred
 * from the declaration. Call `.implement({ handle, apply })` on the result.
 * @throws DefinitionError for a misspelt option or an invalid name. Also for an initial state that
 * is not JSON or does not fit `stateSchema`, an asynchronous schema of an event or state, and an
 * upcaster of new events
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
export function defineAggregate<
  const N extends string,
  const E extends Shapes,
  const C extends Shapes,
  S,
  V = undefined,
  const U extends string = never,
>(definition: AggregateOptions<N, E, C, S, V, U>): AggregateDeclaration<N, E, C, S, V, U> {
  const options = readAggregateOptions(definition)
  return {
    implement: (implementation) => ({ type: definition.type, '~definition': buildDefinition(options, implementation) }),
  }
}

/** State of an aggregate. */
export type StateOf<A> = TypesOf<A>['state']
/** Events of an aggregate, as a handler returns them. */
export type EventOf<A> = A extends AnyAggregate ? Message<TypesOf<A>['events']> : never
/** Commands of an aggregate, as `execute` takes them. */
export type CommandOf<A> = A extends AnyAggregate ? Message<TypesOf<A>['commands']> : never
/** Rejections that the command `K` can result in, `never` if there are none. */
export type RejectionsOf<A, K> = TypesOf<A>['rejections'] extends infer R ? (K extends keyof R ? R[K] : never) : never
/** Events of an aggregate with their context, as queries, views and `events()` receive them. */
export type EnvelopeOf<A> = A extends AnyAggregate ? Envelope<TypesOf<A>['events'], TypesOf<A>['type']> : never
/**
 * Events with their context; narrows on `type`. `D` maps event types to data, `N` is the aggregate
 * type.
 */
export type Envelope<D, N extends string = string> = Message<D> & EnvelopeContext<N>

/** The types of an aggregate in one object. */
export type TypesOf<A> = A extends Aggregate<infer T> ? T : never

/** Any aggregate. */
export type AnyAggregate = Aggregate
