import type { AnyAggregate, EnvelopeOf } from '../aggregate.ts'
import type { ReadonlyData } from '../message.ts'
import type { IndexValue } from '../store/index-value.ts'
import type { ViewDefinition } from './view-definition.ts'
import { buildView } from './view-definition.ts'
import { viewMachinery } from './view-machinery.ts'
import type { ViewTypes } from './view-types.ts'

/** A view, ready for `createApp` and for the test kit. Made by `defineView`. */
export interface View<T extends ViewTypes = ViewTypes> {
  /** As it was given. */
  readonly name: T['name']
  /** Types only; not there at run time. */
  readonly '~types'?: T
  /** @internal */
  readonly '~definition': ViewDefinition
}

/** What `defineView` takes. */
export interface ViewOptions<N extends string, A extends readonly AnyAggregate[], W, I extends string> {
  /** Name of the view, 1–200 characters. */
  readonly name: N
  /** Name in the store, 1–200 characters: a view that gets another `name` keeps its rows with it. Default: `name`. */
  readonly storedAs?: string
  /** The aggregates whose events it follows. Each app that writes them must be given the view, or its rows miss events. */
  readonly aggregates: A
  /** What the first event of a row is folded into; JSON. */
  readonly initialView: () => W
  /**
   * The row, or rows, that an event touches; `[]` for none. Asked only for events that `update` names. Default: the row with the aggregate's id.
   *
   * Without it, over one aggregate, a row of a view that was added later catches up when its aggregate next changes it; otherwise older events are not seen.
   */
  readonly id?: (event: EnvelopeOf<A[number]>) => string | readonly string[]
  /** The next view, one pure function per event type; `null` deletes it. Events that are not named leave the view as it is. */
  readonly update: ViewUpdate<NoInfer<W>, EnvelopeOf<A[number]>>
  /** Fields of the view (`initialView()` has them all) to find it by: texts up to 255 characters, numbers, booleans or null. A row is found by a new index from its next save on. */
  readonly indexes?: readonly I[]
  /**
   * `'inline'`: written in the same transaction as the events. `'async'`: behind them, by `app.start()` or `app.drain()`, each event once, and commands pay nothing for it. Must not
   * change without a new `viewVersion`. Default `'inline'`.
   */
  readonly consistency?: 'inline' | 'async'
  /** Raise it when the shape or the rules change: `app.start()` and `app.drain()` then rebuild the rows, a command that waits does not. Default 1. */
  readonly viewVersion?: number | string
}

type ViewUpdate<W, E extends { readonly type: string }> = {
  readonly [K in E['type']]?: (view: W, event: Extract<E, { readonly type: K }>) => ReadonlyData<W> | null
}

/** The fields that can be an index. */
type IndexableKey<W> = { [K in keyof W & string]: W[K] extends IndexValue | undefined ? K : never }[keyof W & string]

/**
 * Declares a view: rows of JSON, each folded from the events that touch it, that are loaded by id or found by their indexes.
 * Give it to `createApp({ views })`.
 *
 * @throws DefinitionError for a misspelt option, an event the aggregates do not have, or an initial view that is not JSON
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
