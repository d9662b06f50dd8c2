import { isCqrsError, StoreError } from '../errors.ts'
import { appendProcedure } from './append-procedure.ts'
import type { Client, Run } from './client.ts'
import { isThereAlready, isWorthAnother, toStoreError } from './errors.ts'
import type { Names } from './names.ts'
import {
  adoptedColumns,
  placeEvents,
  positionTrigger,
  readColumns,
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
  readonly client: Client
  readonly names: Names
  readonly statements: Statements
  readonly foreignWriters: boolean
}

/**
 * Brings the schema up to date. When it is, nothing is locked and no right to change it is needed.
 *
 * MySQL commits after each statement that changes a schema. So each step can be done again and by several at once, and the version is written last: who finds it knows
 * that all is there.
 */
export async function createSchema(target: Target): Promise<void> {
  if (!(await isUpToDate(target))) await makeSchema(target)
  if (await hasUnplaced(target)) await place(target)
}

async function isUpToDate({ client, names, statements, foreignWriters }: Target): Promise<boolean> {
  if ((await installedVersion(client.run, statements)) < schemaVersion) return false
  return !foreignWriters || (await client.run(readTrigger(names))).rows.length > 0
}

/** 0 where no version was ever installed. @throws StoreError `SCHEMA_TOO_NEW` */
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
    `The schema in the MySQL database has version ${version}, made by a newer version of this package, which knows up to ${schemaVersion}: update the package.`,
  )
}

async function makeSchema({ client, names, foreignWriters }: Target): Promise<void> {
  await client.on(async ({ run, script }) => {
    const mode = String((await run('SELECT @@SESSION.sql_mode AS mode')).rows[0]?.mode)
    const make = (statement: string) => again(() => script(statement))
    await script(`SET SESSION sql_mode = '${schemaMode}'`)
    try {
      for (const statement of tableStatements(names)) await make(statement)
      await adopt(run, make, names, 'events')
      await adopt(run, make, names, 'snapshots')
      await make(setRecordedNow(names))
      await make(appendProcedure(names))
      if (foreignWriters) await make(positionTrigger(names))
      await make(saveVersion(names))
    } finally {
      await run('SET SESSION sql_mode = ?', mode)
    }
  })
}

/** Brings a table of the Rust crate up to ours, in one statement and so as a whole or not at all. Ours needs nothing. */
async function adopt(run: Run, make: (statement: string) => Promise<void>, names: Names, table: 'events' | 'snapshots') {
  const { rows } = await run(readColumns(names, table))
  const there = new Map(rows.map((row) => [String(row.name).toLowerCase(), row]))
  const changes: string[] = []
  for (const [column, definition] of adoptedColumns[table]) {
    const row = there.get(column)
    if (row === undefined) changes.push(`ADD COLUMN ${column} ${definition}`)
    else if (Number(row.suits) === 0) changes.push(`MODIFY COLUMN ${column} ${definition}`)
  }
  if (changes.length > 0) await make(`ALTER TABLE ${names[table]} ${changes.join(', ')}`)
}

/** What another process has just made is there; what it was in the way of is tried again. */
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

const hasUnplaced = async ({ client, names }: Target): Promise<boolean> => (await client.run(readUnplaced(names))).rows.length > 0

/** Gives positions to the events of other programs, behind all that have one. */
async function place({ client, names, statements }: Target): Promise<void> {
  const columns = await client.run(readColumns(names, 'events'))
  const hasTimestamp = columns.rows.some((row) => String(row.name).toLowerCase() === 'timestamp')
  await client.transaction(async (run) => {
    const last = Number((await run(statements.lockSequencer)).rows[0]?.position)
    const { affectedRows } = await run(placeEvents(names, hasTimestamp), last)
    await run(statements.moveSequencer, last + affectedRows)
  })
}
