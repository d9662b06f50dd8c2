import { isCqrsError, StoreError } from '../errors.ts'
import type { Connection, Run } from './connection.ts'
import { isThereAlready, isWorthAnother, toStoreError } from './errors.ts'
import type { Names } from './names.ts'
import {
  adoptTable,
  indexesForCrate,
  placeEvents,
  positionTrigger,
  procedures,
  raiseSequencer,
  readBroken,
  readColumns,
  readInstalled,
  readMode,
  readTrigger,
  readUnplaced,
  saveVersion,
  schemaMode,
  schemaVersion,
  setRecordedNow,
  tableStatements,
} from './schema.ts'
import type { Statements } from './statements.ts'

interface Target {
  readonly connection: Connection
  readonly names: Names
  readonly statements: Statements
  readonly foreignWriters: boolean
}

/**
 * Brings the schema up to date. If it is, takes no lock and needs no privilege to change the
 * schema.
 *
 * MySQL commits after each statement that changes a schema. So each step can be repeated, also by
 * several processes at once. The version is written last and means that the schema is complete.
 */
export async function createSchema(target: Target): Promise<void> {
  const adopted = !(await isUpToDate(target)) && (await makeSchema(target))
  if (await hasUnplaced(target)) await place(target, adopted)
}

async function isUpToDate({ connection, names, statements, foreignWriters }: Target): Promise<boolean> {
  if ((await installedVersion(connection.run, statements)) < schemaVersion) return false
  const installed = await connection.run(readInstalled(names))
  if (installed.rows.length < names.tableTexts.length + names.procedureTexts.length) return false
  return !foreignWriters || (await connection.run(readTrigger(names))).rows.length > 0
}

/** The installed version, 0 if there is none. @throws StoreError `SCHEMA_TOO_NEW` */
async function installedVersion(run: Run, statements: Statements): Promise<number> {
  let version = 0
  try {
    version = Number((await run(statements.readSchemaVersion)).rows[0]?.version ?? 0)
  } catch (cause) {
    const error = toStoreError(cause)
    if (!isCqrsError(error, 'SCHEMA_MISSING')) throw error
  }
  if (version <= schemaVersion) return version
  throw new StoreError(
    'SCHEMA_TOO_NEW',
    `The schema in the MySQL database has version ${version}; this version of the package supports up to ${schemaVersion}. Update the package.`,
  )
}

/** Returns whether it has adopted the events of another program. */
async function makeSchema({ connection, names, foreignWriters }: Target): Promise<boolean> {
  return connection.on(async ({ run, script }) => {
    const mode = String((await run(readMode)).rows[0]?.mode)
    const make = (statement: string) => again(() => script(statement))
    await script(`SET SESSION sql_mode = '${schemaMode}'`)
    try {
      for (const statement of tableStatements(names)) await make(statement)
      const adopted = await adopt(run, make, names, 'events')
      await adopt(run, make, names, 'snapshots')
      await make(raiseSequencer(names))
      await make(setRecordedNow(names))
      for (const procedure of procedures(names)) await make(procedure)
      if (foreignWriters) for (const statement of [...indexesForCrate(names), positionTrigger(names)]) await make(statement)
      await make(saveVersion(names))
      return adopted
    } finally {
      await run('SET SESSION sql_mode = ?', mode)
    }
  })
}

async function adopt(
  run: Run,
  make: (statement: string) => Promise<void>,
  names: Names,
  table: 'events' | 'snapshots',
): Promise<boolean> {
  const { rows } = await run(readColumns(names, table))
  const columns = new Map(rows.map((row) => [String(row.name).toLowerCase(), Number(row.suits) === 1]))
  if (columns.has('row_id')) return false
  if (table === 'events') await refuseBroken(run, names)
  const shared =
    table === 'events' ? ['aggregate_type', 'aggregate_id', 'event_type', 'event_version'] : ['aggregate_type', 'aggregate_id']
  const unfit = shared.filter((column) => columns.get(column) === false)
  await make(adoptTable(names, table, unfit))
  return true
}

/** @throws StoreError that names the aggregates whose sequences have gaps */
async function refuseBroken(run: Run, names: Names): Promise<void> {
  const { rows } = await run(readBroken(names))
  if (rows.length === 0) return
  const all = rows.map(
    (row) => `${row.aggregate_type}/${row.aggregate_id} (${row.events} events, from ${row.first} to ${row.last})`,
  )
  throw new StoreError(
    'STORE_FAILED',
    `The table of events cannot be adopted and is unchanged: the sequences of these aggregates have gaps: ${all.join(', ')}. ` +
      'Here, ids that differ only in case, accents or trailing spaces are different aggregates. Give events that belong together the same id.',
  )
}

/**
 * Runs a step; skips it if another process has just completed it, and retries it after a conflict.
 */
async function again(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (isThereAlready(error)) return
      if (!isWorthAnother(error) || tries === 10) throw error
    }
  }
}

const hasUnplaced = async ({ connection, names }: Target): Promise<boolean> =>
  (await connection.run(readUnplaced(names))).rows.length > 0

/** Gives positions to the events of other programs, after all events that have one. */
async function place({ connection, names, statements }: Target, adopted: boolean): Promise<void> {
  const columns = await connection.run(readColumns(names, 'events'))
  const dated = columns.rows.some((row) => String(row.name).toLowerCase() === 'timestamp')
  await connection.transaction(async (run) => {
    const last = Number((await run(statements.lockSequencer)).rows[0]?.position)
    const { affectedRows } = await run(placeEvents(names, adopted ? (dated ? 'timestamp' : '0') : 'row_id'), last)
    await run(statements.moveSequencer, last + affectedRows)
  })
}
