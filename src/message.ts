/** What a command and a decided event consist of. */
export const messageKeys = ['type', 'data']

/** Any schema that follows the Standard Schema specification, version 1 (https://standardschema.dev): zod, valibot, arktype … */
export interface StandardSchema<I = unknown, O = I> {
  /** What the specification asks of a schema; the rest of it is its library's. */
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
  /** Types only. */
  readonly '~typed'?: T
}

/** What declares the data of one message. */
export type Shape = StandardSchema | Typed<unknown>
/** Message type → what declares its data. */
export type Shapes = Readonly<Record<string, Shape>>

/** What may be passed in for a shape. */
export type SchemaInput<S> = S extends StandardSchema<infer I, unknown> ? I : S extends Typed<infer T> ? T : never
/** What comes out of it. */
export type SchemaOutput<S> = S extends { readonly '~standard': { readonly types?: { readonly output: infer O } | undefined } }
  ? O
  : S extends Typed<infer T>
    ? T
    : never

/** A message of each type with its data, as a union that narrows on `type`. `data` is optional exactly where there is none. */
export type Message<D> = { [K in keyof D & string]: MessageOf<K, D[K]> }[keyof D & string]
export type MessageOf<K extends string, D> =
  IsNoData<D> extends true ? { readonly type: K; readonly data?: undefined } : { readonly type: K; readonly data: D }
/** The same as it may be passed in: lists and objects may be readonly, as `as const` makes them. */
export type MessageInput<D> = { [K in keyof D & string]: { readonly type: K } & DataOf<D[K]> }[keyof D & string]
/** The part of a message that carries its data, as it may be passed in. */
export type DataOf<D> = IsNoData<D> extends true ? { readonly data?: undefined } : { readonly data: ReadonlyData<D> }
/** Data whose lists and objects may be readonly, all the way down. */
export type ReadonlyData<T> = T extends string | number | boolean | bigint | symbol | null | undefined | Date
  ? T
  : T extends object
    ? { readonly [K in keyof T]: ReadonlyData<T[K]> }
    : T
type IsNoData<D> = 0 extends 1 & D ? false : [D] extends [void] ? true : false

/**
 * Declares data by its type alone: no schema runs, the data is only checked to be JSON.
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
 * Declares a command or event without data: `data` may be left out, is stored as `{}`, and anything else is refused.
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
