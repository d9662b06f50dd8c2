import { isCqrsError, StoreError } from '../errors.ts'
import { wholeOrNull } from '../sql/columns.ts'
import type { Connection } from './connection.ts'
import { toStoreError } from './errors.ts'
import { journalMode, migrations, schemaVersion } from './schema.ts'
import * as statements from './statements.ts'

/** Brings the schema up to date. Takes no lock if it is. */
export async function createSchema(connection: Connection): Promise<void> {
  await connection.outside(() => connection.exec(journalMode))
  if ((await connection.read(() => installedVersion(connection))) === schemaVersion) return
  await connection.write(() => {
    for (const script of migrations.slice(installedVersion(connection))) connection.exec(script)
  })
}

/** The installed version, 0 if there is none. @throws StoreError `SCHEMA_TOO_NEW` */
function installedVersion(connection: Connection): number {
  let version: number
  try {
    version = wholeOrNull(connection.always(statements.readSchemaVersion), 'version') ?? 0
  } catch (cause) {
    const error = toStoreError(cause)
    if (isCqrsError(error, 'SCHEMA_MISSING')) return 0
    throw error
  }
  if (version <= schemaVersion) return version
  throw new StoreError(
    'SCHEMA_TOO_NEW',
    `The schema in the SQLite database has version ${version}; this version of the package supports up to ${schemaVersion}. Update the package.`,
  )
}
