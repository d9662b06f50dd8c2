import type { AnyAggregate, EnvelopeOf } from '../aggregate.ts'
import { checkConsumerName, checkStoredAs } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import { checkFunction, checkName, checkOptions } from '../util/options.ts'
import { sqlViewMachinery } from './sql-view-machinery.ts'
import type { SqlViewDefinition } from './view-definition.ts'

/** A view that is tables of your own, ready for `createApp`. Made by `defineSqlView`. */
export interface SqlView<N extends string = string> {
  /** As it was given. */
  readonly name: N
  /** Tells it from a view of rows. */
  readonly '~sqlView': true
  /** @internal */
  readonly '~sql': SqlViewDefinition
}

/** What `defineSqlView` takes. `Client` is what your driver has inside a transaction. */
export interface SqlViewOptions<N extends string, A extends readonly AnyAggregate[], Client> {
  /** Name of the view, 1–200 characters. */
  readonly name: N
  /** Name of its checkpoint in the store, 1–200 characters: a view that gets another `name` continues with it. Default: `name`. */
  readonly storedAs?: string
  /** The aggregates whose events it gets. */
  readonly aggregates: A
  /** Changes your tables for one event, on the client of the transaction that also moves the checkpoint: each event has its effect once. On SQLite it must be synchronous. What it returns is waited for, and nothing else. */
  readonly update: (client: Client, event: EnvelopeOf<A[number]>) => unknown
  /** Empties your tables, in the same way, before a rebuild. */
  readonly reset: (client: Client) => unknown
}

/**
 * Declares a view that is tables of your own, on the SQL stores: your statements run in the transaction that moves the checkpoint, behind the commands, by `app.start()` or `app.drain()`.
 * You make the tables and read them by yourself.
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
