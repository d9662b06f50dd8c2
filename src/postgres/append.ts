import { StoreError } from '../errors.ts'
import type { RoundDatabase } from '../sql/append.ts'
import { text } from '../sql/columns.ts'
import type { EventInput, Round, SnapshotRow, ViewRow } from '../sql/round.ts'
import type { PostgresValue } from './client.ts'
import type { Connection, Statement } from './connection.ts'
import { understand } from './errors.ts'

/** Sends a round to one function of the database, in one call. */
export const roundDatabase = (
  connection: Connection,
  statement: Statement,
  { format, limits }: Pick<RoundDatabase, 'format' | 'limits'>,
): RoundDatabase => ({
  format,
  limits,
  understand,
  async storeRound(round) {
    const [row] = await connection.send(statement, parameters(round))
    if (row === undefined)
      throw new StoreError('STORE_FAILED', 'The Postgres client returned no row for an append, which may have been stored.')
    return JSON.parse(text(row, 'answer'))
  },
})

/** The lists in the order of the function's parameters. */
function parameters(round: Round): PostgresValue[] {
  const { roots, events, snapshots, keys, generations, views, indexes, checkpoints } = round
  const order = keyOrder(events)
  const sorted = order.map((at) => events[at] as EventInput)
  return [
    array(roots, ({ t }) => element(t)),
    array(roots, ({ i }) => element(i)),
    array(roots, ({ s }) => s),
    array(roots, ({ c }) => element(c === undefined ? '' : `=${c}`)),
    array(order, (at) => at + 1),
    array(sorted, ({ t }) => element(t)),
    array(sorted, ({ i }) => element(i)),
    array(sorted, ({ s }) => s),
    array(sorted, ({ e }) => element(e)),
    array(sorted, ({ v }) => element(v)),
    array(sorted, ({ d }) => JSON.stringify(d)),
    array(sorted, ({ m }) => JSON.stringify(m)),
    array(sorted, ({ r }) => element(r)),
    array(sorted, ({ c }) => element(c)),
    list(snapshots, withText),
    list(keys, JSON.stringify),
    list(generations, JSON.stringify),
    list(views, withText),
    list(indexes, JSON.stringify),
    list(checkpoints, JSON.stringify),
  ]
}

/**
 * The indexes of the events, sorted by their keys.
 *
 * All rounds insert in this order. Two rounds with several aggregates in common would otherwise
 * wait for each other, which Postgres only notices after `deadlock_timeout`.
 */
const keyOrder = (events: readonly EventInput[]): readonly number[] =>
  events.map((_, at) => at).sort((a, b) => compareKeys(events[a] as EventInput, events[b] as EventInput))

function compareKeys(a: EventInput, b: EventInput): number {
  if (a.t !== b.t) return a.t < b.t ? -1 : 1
  if (a.i !== b.i) return a.i < b.i ? -1 : 1
  return a.s - b.s
}

/** A Postgres array as text. It has no NULL, which the setting `array_nulls` would read as a text. */
const array = <T>(items: readonly T[], toElement: (item: T) => string | number): string | null =>
  items.length === 0 ? null : `{${items.map(toElement).join()}}`

/** JSON text needs no such care: `JSON.stringify` quotes it, as it has no control characters. */
function element(value: string): string {
  if (!special.test(value)) return `"${value}"`
  return value.isWellFormed() ? `"${value.replaceAll(/["\\]/g, '\\$&')}"` : refused
}

const special = /["\\\p{Surrogate}]/u

/** Postgres refuses NUL. A lone surrogate would be stored as another character. */
const refused = '\0'

function list<T>(rows: readonly T[], toJson: (row: T) => string): string | null {
  return rows.length === 0 ? null : `[${rows.map((row) => toJson(row)).join()}]`
}

/** The data is JSON text already, so it is inserted as it is. */
const withText = ({ d, ...rest }: SnapshotRow | ViewRow): string => `${JSON.stringify(rest).slice(0, -1)},"d":${d}}`
