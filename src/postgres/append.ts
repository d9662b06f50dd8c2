import { StoreError } from '../errors.ts'
import type { RoundDatabase } from '../sql/append.ts'
import { text } from '../sql/columns.ts'
import type { EventInput, Round, SnapshotRow, ViewRow } from '../sql/round.ts'
import type { PostgresValue } from './client.ts'
import type { Connection, Statement } from './connection.ts'
import { understand } from './errors.ts'

/** Where a batch goes: to one function of the database, a round in one call. */
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
    if (row === undefined) throw new StoreError('STORE_FAILED', 'Postgres gave no answer to an append.')
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

/** The texts of data are JSON already, and go in as they are. */
const eventJson = ({ d, m, ...rest }: EventInput): string => `${JSON.stringify(rest).slice(0, -1)},"d":${d},"m":${m}}`

const withText = ({ d, ...rest }: SnapshotRow | ViewRow): string => `${JSON.stringify(rest).slice(0, -1)},"d":${d}}`
