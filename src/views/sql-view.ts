import type { AnyAggregate, EnvelopeOf } from '../aggregate.ts'
import { checkConsumerName, checkStoredAs } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { checkFunction, checkName, checkOptions } from '../util/options.ts'
import { sqlViewMachinery } from './sql-view-machinery.ts'
import type { SqlViewDefinition } from './view-definition.ts'

/** A view that consists of your own tables, ready for `createApp`. Created by `defineSqlView`. */
export interface SqlView<N extends string = string> {
  /** Name of the view. */
  readonly name: N
  /** Distinguishes it from a view of rows. */
  readonly '~sqlView': true
  /** @internal */
  readonly '~sql': SqlViewDefinition
}

/** Options of `defineSqlView`. `Client` is the type that your driver passes to a transaction. */
export interface SqlViewOptions<N extends string, A extends readonly AnyAggregate[], Client> {
  /** Name of the view, 1–200 characters. */
  readonly name: N
  /**
   * Name of its checkpoint in the store, 1–200 characters. Default: `name`. Keep it when you change
   * `name`: the view continues.
   */
  readonly storedAs?: string
  /** Aggregates whose events the view receives. */
  readonly aggregates: A
  /**
   * Changes your tables for one event, with exactly one effect per event.
   *
   * Use the given client: its transaction also moves the checkpoint. On SQLite the function must be
   * synchronous. Only the returned value is awaited.
   */
  readonly update: (client: Client, event: EnvelopeOf<A[number]>) => unknown
  /** Empties your tables before a rebuild, on the given client like `update`. */
  readonly reset: (client: Client) => unknown
}

/**
 * Declares a view that consists of your own tables, on the SQL stores.
 *
 * Your statements run after the commit, by `app.start()` or `app.drain()`, in the transaction that
 * moves the checkpoint. You create and read the tables yourself.
 *
 * @throws DefinitionError for a misspelt or missing option
 *
 * @example
 * ```ts
 * import { defineAggregate, defineSqlView, typed } from 'cqrs-es'
 * import type { PoolClient } from 'pg'
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
 * const assignments = defineSqlView({
 *   name: 'assignments',
 *   aggregates: [task],
 *   update: async (client: PoolClient, event) => {
 *     await client.query('INSERT INTO assignments (task, assignee) VALUES ($1, $2)', [event.aggregateId, event.data.to])
 *   },
 *   reset: async (client: PoolClient) => {
 *     await client.query('DELETE FROM assignments')
 *   },
 * })
 * ```
 */
export function defineSqlView<const N extends string, const A extends readonly AnyAggregate[], Client>(
  options: SqlViewOptions<N, A, Client>,
): SqlView<N> {
  checkOptions('defineSqlView', options, ['name', 'storedAs', 'aggregates', 'update', 'reset'])
  const { name, storedAs = name, aggregates, update, reset } = options
  checkName('The name of a view', name)
  const at = `View '${name}'`
  checkConsumerName(at, name)
  checkStoredAs(`${at}: storedAs`, storedAs)
  if (!Array.isArray(aggregates) || aggregates.length === 0) throw new DefinitionError(`${at} needs at least one aggregate.`)
  checkFunction(`${at}: update`, update)
  checkFunction(`${at}: reset`, reset)
  const aggregateTypes = aggregates.map((aggregate: unknown, i) => definitionOf(`${at}: aggregates[${i}]`, aggregate).type)
  return {
    name,
    '~sqlView': true,
    '~sql': {
      kind: 'sqlView',
      name,
      storedAs,
      aggregateTypes,
      apply: update as SqlViewDefinition['apply'],
      reset: reset as SqlViewDefinition['reset'],
      machinery: sqlViewMachinery,
    },
  }
}
