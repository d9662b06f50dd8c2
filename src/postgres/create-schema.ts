import { isCqrsError, StoreError } from '../errors.ts'
import { oneOf, text, wholeOrNull } from '../sql/columns.ts'
import type { Connection } from './connection.ts'
import { schemaVersion } from './schema.ts'
import type { Statements } from './statements.ts'

/** Adds what is missing of the schema. When nothing is, nothing is locked and no right to change it is needed. */
export async function createSchema(connection: Connection, statements: Statements): Promise<void> {
  if (await isInstalled(connection, statements)) return
  const [found = {}] = await connection.all(statements.readEncoding)
  const encoding = text(found, 'encoding')
  if (encoding !== 'UTF8')
    throw new StoreError(
      'STORE_FAILED',
      `The Postgres database has the encoding ${encoding}; the store needs one that was made with UTF8.`,
    )
  await connection.all(statements.createSchema)
}

/** @throws StoreError `SCHEMA_TOO_NEW` */
async function isInstalled(connection: Connection, statements: Statements): Promise<boolean> {
  const [row] = await connection.all(statements.readSchema).catch((error: unknown) => {
    if (isCqrsError(error, 'SCHEMA_MISSING')) return []
    throw error
  })
  if (row === undefined) return false
  const version = wholeOrNull(row, 'version') ?? 0
  if (version <= schemaVersion) return version === schemaVersion && oneOf(row, 'complete', ['true', 'false']) === 'true'
  throw new StoreError(
    'SCHEMA_TOO_NEW',
    `The schema in the Postgres database has version ${version}, made by a newer version of this package, which knows up to ${schemaVersion}: update the package.`,
  )
}
