import type { Metadata } from './event-envelope.ts'
import type { InOf, Message, MessageOf, Out, OutOf, Shapes, Typed } from './message.ts'
import type { Rejection } from './reject.ts'

/** The types of one aggregate in one bag, so that a hover stays short and the bag can grow. */
export interface AggregateTypes {
  readonly type: string
  readonly state: unknown
  /** Event type → its data. */
  readonly events: object
  /** Command type → the data a caller passes. */
  readonly commands: object
  readonly services: unknown
  /** Command type → what it can be refused with; `never` where it cannot be. */
  readonly rejections: object
}

export interface Aggregate<T extends AggregateTypes = AggregateTypes> {
  readonly type: T['type']
  readonly '~types'?: T
}

type Decision<D> = Message<D> | readonly Message<D>[] | Rejection | void | undefined

/** What a handler knows besides the state and the command. */
export interface HandlerContext<S, D, V> {
  readonly services: V
  readonly aggregateId: string
  readonly commandId: string
  readonly sequence: number
  readonly metadata: Metadata
  readonly now: Date
  readonly signal: AbortSignal
  readonly event: { readonly [K in keyof D & string]: (...data: [D[K]] extends [void] ? [] : [data: D[K]]) => MessageOf<K, D[K]> }
  apply(state: S, ...events: Message<D>[]): S
}

type Handlers<S, D, C extends Shapes, V> = {
  readonly [K in keyof C]: (state: S, command: Out<C[K]>, context: HandlerContext<S, D, V>) => Decision<D> | Promise<Decision<D>>
}
type Appliers<S, D> = { readonly [K in keyof D]: (state: S, data: D[K]) => S }

type RejectionOf<F> = F extends (...args: never[]) => infer R ? Extract<Awaited<R>, Rejection> : never

type Surplus<H, D> = { readonly [K in keyof H]: [SurplusOf<H[K], D>] extends [never] ? unknown : SurplusOf<H[K], D> }
type SurplusOf<F, D> = F extends (...args: never[]) => infer R ? SurplusOfEvent<Each<Awaited<R>>, D> : never
type Each<R> = R extends readonly (infer M)[] ? M : R
type SurplusOfEvent<M, D> = M extends { readonly type: infer K extends keyof D & string; readonly data: infer X }
  ? UnknownKey<X, D[K]> extends infer P extends string
    ? `event "${K}" has no field "${P}"`
    : never
  : never
type UnknownKey<X, Known> = X extends readonly unknown[]
  ? never
  : X extends object
    ? { [P in keyof X]-?: P extends KeyOfEach<Known> ? never : [Exclude<X[P], undefined>] extends [never] ? never : P }[keyof X]
    : never
type KeyOfEach<T> = T extends unknown ? keyof T : never

export interface Definition<N extends string, E extends Shapes, C extends Shapes, S, V> {
  implement<const H extends Handlers<S, OutOf<E>, C, V>>(implementation: {
    readonly handle: H & { readonly [K in Exclude<keyof H, keyof C>]: never } & Surplus<H, OutOf<E>>
    readonly apply: Appliers<S, OutOf<E>>
  }): Aggregate<{
    type: N
    state: S
    events: OutOf<E>
    commands: InOf<C>
    services: V
    rejections: { [K in keyof H]: RejectionOf<H[K]> }
  }>
}

export declare function defineAggregate<const N extends string, const E extends Shapes, const C extends Shapes, S, V = undefined>(definition: {
  readonly type: N
  readonly events: E
  readonly commands: C
  readonly services?: Typed<V>
  readonly initialState: () => S
}): Definition<N, E, C, S, V>
