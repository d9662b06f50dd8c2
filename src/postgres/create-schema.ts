import { isCqrsError, StoreError } from '../errors.ts'
import { oneOf, text, wholeOrNull } from '../sql/columns.ts'
import type { Connection } from './connection.ts'
import { schemaVersion } from './schema.ts'
import type { Statements } from './statements.ts'

/**
 * Adds the missing parts of the schema.
 *
 * If none is missing, it takes no lock and needs no privilege to change the schema.
 */
export async function createSchema(connection: Connection, statements: Statements): Promise<void> {
  if (await isInstalled(connection, statements)) return
  const [found = {}] = await connection.all(statements.readEncoding)
  const encoding = text(found, 'encoding')
  if (encoding !== 'UTF8')
    throw new StoreError(
      'STORE_FAILED',
      `The Postgres database has the encoding ${encoding}. The store needs a database that was created with UTF8.`,
    )
  await connection.all(statements.createSchema)
}

/** @throws StoreError `SCHEMA_TOO_NEW` when a newer version of the package made the schema */
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
    `The schema in the Postgres database has version ${version}; this version of the package supports up to ${schemaVersion}. Update the package.`,
  )
}
