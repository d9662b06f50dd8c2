/** Properties of a command and of a decided event. */
export const messageKeys = ['type', 'data']

/**
 * A schema of the Standard Schema specification, version 1, such as one of zod, valibot or arktype.
 *
 * See https://standardschema.dev.
 */
export interface StandardSchema<I = unknown, O = I> {
  /** The part of a schema that the specification defines. */
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<O> | Promise<SchemaResult<O>>
    readonly types?: { readonly input: I; readonly output: O } | undefined
  }
}

type SchemaResult<O> = { readonly value: O; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A type without a run-time schema. */
export interface Typed<T> {
  /** Carries the type only; absent at run time. */
  readonly '~typed'?: T
}

/** Declaration of a message's data. */
export type Shape = StandardSchema | Typed<unknown>
/** Message type → declaration of its data. */
export type Shapes = Readonly<Record<string, Shape>>

/** Input type of a shape: the data that a caller passes. */
export type SchemaInput<S> = S extends StandardSchema<infer I, unknown> ? I : S extends Typed<infer T> ? T : never
/** Output type of a shape: the data after its schema. */
export type SchemaOutput<S> = S extends { readonly '~standard': { readonly types?: { readonly output: infer O } | undefined } }
  ? O
  : S extends Typed<infer T>
    ? T
    : never

/**
 * A message of each type with its data; the union narrows on `type`. Only `noData` has no `data`.
 */
export type Message<D> = { [K in keyof D & string]: MessageOf<K, D[K]> }[keyof D & string]
export type MessageOf<K extends string, D> =
  IsNoData<D> extends true ? { readonly type: K; readonly data?: undefined } : { readonly type: K; readonly data: D }
/** A message as a caller may pass it: lists and objects may be readonly, as with `as const`. */
export type MessageInput<D> = { [K in keyof D & string]: { readonly type: K } & DataOf<D[K]> }[keyof D & string]
/** The property that carries a message's data, as a caller may pass it. */
export type DataOf<D> = IsNoData<D> extends true ? { readonly data?: undefined } : { readonly data: ReadonlyData<D> }
/** Data whose lists and objects may be readonly at every level. */
export type ReadonlyData<T> = T extends string | number | boolean | bigint | symbol | null | undefined | Date
  ? T
  : T extends object
    ? { readonly [K in keyof T]: ReadonlyData<T[K]> }
    : T
type IsNoData<D> = 0 extends 1 & D ? false : [D] extends [void] ? true : false

/**
 * Declares data by its type alone. No schema runs; the data is only checked to be JSON.
 *
 * @example
 * ```ts
 * import { defineAggregate, typed } from 'cqrs-es'
 *
 * const light = defineAggregate({
 *   type: 'light',
 *   events: { Dimmed: typed<{ level: number }>() },
 *   commands: { Dim: typed<{ level: number }>() },
 *   initialState: () => ({ level: 0 }),
 * })
 * ```
 */
export const typed = <T>(): Typed<T> => anything
const anything: Typed<never> = Object.freeze({ '~typed': undefined as never })

/**
 * Declares a command or event without data. `data` may be omitted; only `{}`, its stored form, is
 * also accepted.
 *
 * @example
 * ```ts
 * import { defineAggregate, noData } from 'cqrs-es'
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
 * ```
 */
export const noData: Typed<void> & { readonly '~none': true } = Object.freeze({ '~none': true })
