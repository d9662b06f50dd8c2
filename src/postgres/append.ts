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

/** The lists as JSON, in the order of the function's parameters. */
function parameters(round: Round): PostgresValue[] {
  const { roots, events, snapshots, keys, generations, views, indexes, checkpoints } = round
  return [
    list(roots, JSON.stringify),
    list(events, eventJson),
    events.length,
    list(snapshots, withText),
    list(keys, JSON.stringify),
    list(generations, JSON.stringify),
    list(views, withText),
    list(indexes, JSON.stringify),
    list(checkpoints, JSON.stringify),
  ]
}

function list<T>(rows: readonly T[], toJson: (row: T) => string): string | null {
  return rows.length === 0 ? null : `[${rows.map((row) => toJson(row)).join()}]`
}

/** The data is JSON text already, so it is inserted as it is. */
const eventJson = ({ d, m, ...rest }: EventInput): string => `${JSON.stringify(rest).slice(0, -1)},"d":${d},"m":${m}}`

const withText = ({ d, ...rest }: SnapshotRow | ViewRow): string => `${JSON.stringify(rest).slice(0, -1)},"d":${d}}`
