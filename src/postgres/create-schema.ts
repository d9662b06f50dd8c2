import { isCqrsError, StoreError } from '../errors.ts'
import type { Connection } from './client.ts'
import { schemaVersion } from './schema.ts'
import type { Statements } from './statements.ts'

/** Brings the schema up to date. When it is, nothing is locked and no right to change it is needed. */
export async function createSchema(connection: Connection, statements: Statements): Promise<void> {
  if ((await installedVersion(connection, statements)) === schemaVersion) return
  const encoding = (await connection.first(statements.readEncoding))?.encoding
  if (encoding !== 'UTF8')
    throw new StoreError(
      'STORE_FAILED',
      `The Postgres database has the encoding ${encoding}; the store needs one that was made with UTF8.`,
    )
  await connection.all(statements.createSchema)
}

/** 0 where no version was ever installed. @throws StoreError `SCHEMA_TOO_NEW` */
async function installedVersion(connection: Connection, statements: Statements): Promise<number> {
  const version = await connection.first(statements.readSchemaVersion).then(
    (row) => Number(row?.version ?? 0),
    (error: unknown) => {
      if (isCqrsError(error, 'SCHEMA_MISSING')) return 0
      throw error
    },
  )
  if (version <= schemaVersion) return version
  throw new StoreError(
    'SCHEMA_TOO_NEW',
    `The schema in the Postgres database has version ${version}, made by a newer version of this package, which knows up to ${schemaVersion}: update the package.`,
  )
}
