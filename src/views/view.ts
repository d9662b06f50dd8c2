import type { AnyAggregate, EnvelopeOf } from '../aggregate.ts'
import type { ReadonlyData } from '../message.ts'
import type { IndexValue } from '../store/index-value.ts'
import type { ViewDefinition } from './view-definition.ts'
import { buildView } from './view-definition.ts'
import { viewMachinery } from './view-machinery.ts'
import type { ViewTypes } from './view-types.ts'

/** A view, ready for `createApp` and for the test kit. Created by `defineView`. */
export interface View<T extends ViewTypes = ViewTypes> {
  /** Name of the view. */
  readonly name: T['name']
  /** For types only; absent at run time. */
  readonly '~types'?: T
  /** @internal */
  readonly '~definition': ViewDefinition
}

/** Options of `defineView`. */
export interface ViewOptions<N extends string, A extends readonly AnyAggregate[], W, I extends string> {
  /** Name of the view, 1–200 characters. */
  readonly name: N
  /**
   * Name in the store, 1–200 characters. Default: `name`. Keep it when you change `name`: the view
   * keeps its rows.
   */
  readonly storedAs?: string
  /**
   * Aggregates whose events the view follows. Give the view to every app that writes them, or its
   * rows miss events.
   */
  readonly aggregates: A
  /** Returns the row before its first event; JSON. */
  readonly initialView: () => W
  /**
   * Ids of the rows that an event touches; `[]` for none. Default: the id of the aggregate.
   *
   * Called only for events that `update` names. With the default over one aggregate, a row of a
   * view that was added later catches up when the aggregate next changes it. Any other inline view
   * that was added later misses older events.
   */
  readonly id?: (event: EnvelopeOf<A[number]>) => string | readonly string[]
  /**
   * Pure functions by event type that return the next row, or `null` to delete it. Other events
   * leave the row as it is.
   */
  readonly update: ViewUpdate<NoInfer<W>, EnvelopeOf<A[number]>>
  /**
   * Fields of the view to find it by: texts up to 255 characters, numbers, booleans or null.
   *
   * All must be in `initialView()`. A new index finds a row from its next save on.
   */
  readonly indexes?: readonly I[]
  /**
   * When rows are updated. Default `'inline'`.
   *
   * With `'inline'`, rows are written in the transaction of the events. With `'async'`,
   * `app.start()` or `app.drain()` updates them after the commit. Each event has exactly one
   * effect, and commands have no added latency. Change it only together with `viewVersion`.
   */
  readonly consistency?: 'inline' | 'async'
  /**
   * Version of the rows. Default 1.
   *
   * Raise it when the shape or the rules change: `app.start()` and `app.drain()` then rebuild the
   * rows. A command with `waitFor` does not.
   */
  readonly viewVersion?: number | string
}

type ViewUpdate<W, E extends { readonly type: string }> = {
  readonly [K in E['type']]?: (view: W, event: Extract<E, { readonly type: K }>) => ReadonlyData<W> | null
}

/** Fields that can be an index. */
type IndexableKey<W> = { [K in keyof W & string]: W[K] extends IndexValue | undefined ? K : never }[keyof W & string]

/**
 * Declares a view: rows of JSON, folded from events, that you load by id or find by index.
 *
 * Pass it to `createApp({ views })`.
 *
 * @throws DefinitionError for a misspelt option, an event the aggregates lack, or an initial view
 * that is not JSON
 *
 * @example
 * ```ts
 * import { defineAggregate, defineView, typed } from 'cqrs-es'
 *
 * const task = defineAggregate({
 *   type: 'task',
 *   events: { Assigned: typed<{ to: string }>() },
 *   commands: { Assign: typed<{ to: string }>() },
 *   initialState: () => ({ to: '' }),
 * }).implement({
 *   handle: { Assign: (_, { to }) => ({ type: 'Assigned', data: { to } }) },
 *   apply: { Assigned: (_, { to }) => ({ to }) },
 * })
 *
 * const assignments = defineView({
 *   name: 'assignments',
 *   aggregates: [task],
 *   initialView: () => ({ to: '', times: 0 }),
 *   update: { Assigned: (view, event) => ({ to: event.data.to, times: view.times + 1 }) },
 *   indexes: ['to'],
 * })
 * ```
 */
export function defineView<
  const N extends string,
  const A extends readonly AnyAggregate[],
  W,
  const I extends IndexableKey<W> = never,
>(options: ViewOptions<N, A, W, I>): View<{ name: N; view: W; indexes: I }> {
  return { name: options.name, '~definition': buildView(options, viewMachinery) }
}
