import type { AnyAggregate } from '../aggregate.ts'
import type { Position } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { buildProcess, type ProcessDefinition, readProcessOptions, withCalls } from './definition.ts'
import { processMachinery } from './machinery.ts'
import type { Calls, ProcessDeclaration } from './types.ts'

/** Options of `defineProcess`. */
export interface ProcessOptions<
  N extends string,
  A extends readonly AnyAggregate[],
  C extends readonly AnyAggregate[],
  S,
  K extends Calls,
  T extends string,
> {
  /** Name in the app and in the store, 1–180 characters. */
  readonly name: N
  /** Aggregates whose events the process receives. */
  readonly aggregates: A
  /** Aggregates to which it may send commands. Default: none. */
  readonly sends?: C
  /** External calls that it may ask for. `with` adds their functions. Default: none. */
  readonly calls?: K
  /** Names of its timers. Default: none. */
  readonly timers?: readonly T[]
  /** Returns the state of an instance before its first event; JSON. */
  readonly initialState: () => S
  /**
   * Version of the state's shape, a whole number. Default 1. Raise it when the shape changes, and
   * convert running instances in `upgrade`.
   */
  readonly stateVersion?: number
  /**
   * Returns the state of an instance that an earlier version has stored. Without it, such an
   * instance is stuck at its next input until a program has it.
   */
  readonly upgrade?: (state: unknown, from: number) => NoInfer<S>
  /**
   * Start without a checkpoint: the first event, after the last, or after a position. No default,
   * because `'beginning'` acts on the whole past. A store without a global order accepts no
   * position.
   */
  readonly from: 'beginning' | 'now' | Position
  /**
   * Attempts of a command or call that fails, with waits of 1 s, 2 s, 4 s … 5 min between them. Then
   * `failed` decides, or the instance is stuck. Default 10.
   */
  readonly attempts?: number
  /** Milliseconds after which a running call counts as failed. Default 30,000. */
  readonly timeoutMs?: number
}

/**
 * Declares a process: what follows from events of several aggregates, over any time.
 *
 * A process has one instance for each id. It decides on events, on the replies to its commands and
 * calls, and on its own timers. Each decision is stored together with the input. A command is
 * stored in one commit with the decision on its reply, so it is stored once. Pass the process to
 * `createApp({ processes })`. It runs from `app.start()` on, during `app.drain()` and in
 * `app.catchUp()`.
 *
 * @throws DefinitionError for a misspelt or missing option, or an initial state that is not JSON
 *
 * @example
 * ```ts
 * import { createApp, defineAggregate, defineProcess, noData, reject } from 'cqrs-es'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const order = defineAggregate({
 *   type: 'order',
 *   events: { Placed: noData, Canceled: noData },
 *   commands: { Place: noData, Cancel: noData },
 *   initialState: () => ({}),
 * }).implement({
 *   handle: { Place: () => ({ type: 'Placed' }), Cancel: () => ({ type: 'Canceled' }) },
 *   apply: { Placed: (state) => state, Canceled: (state) => state },
 * })
 * const parcel = defineAggregate({
 *   type: 'parcel',
 *   events: { Booked: noData },
 *   commands: { Book: noData },
 *   initialState: () => ({ isBooked: false }),
 * }).implement({
 *   handle: { Book: ({ isBooked }) => (isBooked ? reject('already-booked') : { type: 'Booked' }) },
 *   apply: { Booked: () => ({ isBooked: true }) },
 * })
 *
 * const shipping = defineProcess({
 *   name: 'shipping',
 *   aggregates: [order],
 *   sends: [order, parcel],
 *   initialState: () => ({}),
 *   from: 'beginning',
 * }).implement({
 *   starts: ['Placed'],
 *   on: { Placed: (state, event, { id }) => ({ send: [{ to: 'parcel', id, type: 'Book' }] }) },
 *   replies: {
 *     Book: (state, reply, { id }) =>
 *       reply.ok ? { done: 'shipped' } : { send: [{ to: 'order', id, type: 'Cancel' }], done: reply.reason },
 *   },
 * })
 *
 * const app = createApp({ store: memoryStore(), aggregates: { order, parcel }, processes: { shipping } })
 * await app.aggregates.order.execute('o-1', { type: 'Place' })
 * await app.drain()
 * const instance = await app.processes.shipping.load('o-1')
 * console.log(instance?.outcome) // shipped
 * await app.close()
 * ```
 */
export function defineProcess<
  const N extends string,
  const A extends readonly AnyAggregate[],
  S,
  const C extends readonly AnyAggregate[] = readonly [],
  const K extends Calls = Record<never, never>,
  const T extends string = never,
>(options: ProcessOptions<N, A, C, S, K, T>): ProcessDeclaration<N, A, C, S, K, T> {
  const read = readProcessOptions(options)
  const at = `Process '${read.name}'`
  const aggregates = read.aggregates.map((one, i) => definitionOf(`${at}: aggregates[${i}]`, one))
  const sends = read.sends.map((one, i) => definitionOf(`${at}: sends[${i}]`, one))
  const implement = (behavior: unknown) =>
    processOf(buildProcess(read, behavior, { aggregates, sends, machinery: processMachinery }))
  return { implement } as unknown as ProcessDeclaration<N, A, C, S, K, T>
}

function processOf(definition: ProcessDefinition): object {
  const process = { name: definition.name, '~process': true, '~definition': definition }
  const isWhole = [...definition.calls.values()].every(({ make }) => make !== undefined)
  return isWhole ? process : { ...process, with: (calls: unknown) => processOf(withCalls(definition, calls)) }
}
