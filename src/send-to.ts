import type { Aggregate } from './aggregate.ts'
import type { DataOf } from './message.ts'

/**
 * A command to an aggregate, as plain data: `{ to: 'payment', id: 'p-1', type: 'Record', data }`.
 *
 * `to` is the type of the aggregate.
 */
export type SendTo<A> =
  A extends Aggregate<infer T>
    ? { [K in keyof T['commands'] & string]: SentCommand<T['type'], K, T['commands'][K]> }[keyof T['commands'] & string]
    : never
/** A command of one type to an aggregate, as plain data. */
export type SentCommand<N extends string, K extends string, D> = {
  readonly to: N
  readonly id: string
  readonly type: K
} & DataOf<D>
