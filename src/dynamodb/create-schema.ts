import { StoreError } from '../errors.ts'
import type { DynamoDbClient, TableDescription } from './client.ts'
import type { Connection } from './connection.ts'
import { isBegun, isInUse, toStoreError } from './errors.ts'
import { condition } from './expressions.ts'
import { noteForeignWriters, repair } from './first-events.ts'
import { number } from './items.ts'
import { schemaKey } from './keys.ts'
import { definitions, schemaVersion, type TableDefinition } from './schema.ts'
import { sleep } from './waiting.ts'

/** A new table takes about ten seconds, an index on another program's large table much longer. */
const patienceMs = 600_000

/** Creates what is missing, all tables at once, and waits until they are ready. */
export async function createSchema(connection: Connection, streams: boolean): Promise<void> {
  const all = definitions(connection.tables, streams)
  for (const table of all.filter((one) => one.GlobalSecondaryIndexes !== undefined)) {
    const there = await describe(connection, table.TableName)
    if (there === undefined || there.GlobalSecondaryIndexes !== undefined) continue
    // The table of another program is noted before its index exists, so that the note is never
    // missing.
    checkKeys(table, there)
    await Promise.all(
      all.filter(({ TableName }) => TableName === connection.tables.meta).map((meta) => makeTable(connection, meta)),
    )
    await noteForeignWriters(connection)
  }
  await Promise.all(all.map((table) => makeTable(connection, table)))
  await leaveVersion(connection)
  await repair(connection)
}

async function makeTable(connection: Connection, table: TableDefinition): Promise<void> {
  const { StreamSpecification: stream, TimeToLiveSpecification: expiry, ...shape } = table
  const { TableName, AttributeDefinitions } = table
  const streamed = stream && { StreamSpecification: { StreamEnabled: true, ...stream } }
  const there = await describe(connection, TableName)
  if (there === undefined) await unless(isInUse, connection, (client) => client.createTable({ ...shape, ...streamed }))
  else checkKeys(table, there)
  const made = await untilActive(connection, TableName)
  for (const index of table.GlobalSecondaryIndexes ?? []) {
    const has = ({ GlobalSecondaryIndexes = [] }: TableDescription) =>
      GlobalSecondaryIndexes.some(({ IndexName }) => IndexName === index.IndexName)
    const added = { TableName, AttributeDefinitions, GlobalSecondaryIndexUpdates: [{ Create: index }] }
    await change(connection, TableName, made, has, (client) => client.updateTable(added))
  }
  if (streamed !== undefined) {
    const has = ({ StreamSpecification }: TableDescription) => StreamSpecification?.StreamEnabled === true
    await change(connection, TableName, made, has, (client) => client.updateTable({ TableName, ...streamed }))
  }
  if (expiry !== undefined) await expire(connection, TableName, expiry)
}

/**
 * Changes a table, unless another process does so. @throws StoreError when the change is not there
 * afterwards
 */
async function change(
  connection: Connection,
  name: string,
  table: TableDescription,
  isDone: (table: TableDescription) => boolean,
  work: (client: DynamoDbClient) => Promise<unknown>,
): Promise<void> {
  if (isDone(table)) return
  const problem = await unless(isBegun, connection, work)
  if (!isDone(await untilActive(connection, name))) {
    throw toStoreError(
      problem ?? new StoreError('STORE_BUSY', `Another process is changing the table ${name}. Call createSchema() again later.`),
    )
  }
}

/** Runs `work`, and returns the error that means that it is done, or being done, already. */
async function unless(
  isDone: (error: unknown) => boolean,
  connection: Connection,
  work: (client: DynamoDbClient) => Promise<unknown>,
): Promise<unknown> {
  return connection.read(async (client) => {
    try {
      await work(client)
      return undefined
    } catch (cause) {
      if (isDone(cause)) return cause
      throw cause
    }
  })
}

async function describe(connection: Connection, name: string): Promise<TableDescription | undefined> {
  try {
    return (await connection.read((client) => client.describeTable({ TableName: name }))).Table
  } catch (cause) {
    if (cause instanceof StoreError && cause.code === 'SCHEMA_MISSING') return undefined
    throw cause
  }
}

async function untilActive(connection: Connection, name: string): Promise<TableDescription> {
  const until = performance.now() + patienceMs
  for (let pause = 50; ; pause = Math.min(pause * 2, 2_000)) {
    const table = await describe(connection, name)
    const indexes = table?.GlobalSecondaryIndexes ?? []
    if (table?.TableStatus === 'ACTIVE' && indexes.every(({ IndexStatus }) => IndexStatus === 'ACTIVE')) return table
    if (performance.now() > until) {
      throw new StoreError(
        'STORE_UNAVAILABLE',
        `The table ${name} was not ready within ten minutes. Check its status in DynamoDB.`,
      )
    }
    await sleep(pause)
  }
}

function checkKeys({ TableName, KeySchema }: TableDefinition, there: TableDescription): void {
  const keys = (schema: TableDescription['KeySchema']) =>
    (schema ?? []).map((key) => `${key.AttributeName} ${key.KeyType}`).join(', ')
  if (keys(there.KeySchema) === keys(KeySchema)) return
  throw new StoreError(
    'STORE_FAILED',
    `Another table ${TableName} exists in DynamoDB, with the key ${keys(there.KeySchema)} instead of ${keys(KeySchema)}. Choose another name with the option "tables".`,
  )
}

async function expire(connection: Connection, name: string, expiry: { AttributeName: string; Enabled: boolean }): Promise<void> {
  const described = await connection.read((client) => client.describeTimeToLive({ TableName: name }))
  const status = described.TimeToLiveDescription?.TimeToLiveStatus
  if (status === 'ENABLED' || status === 'ENABLING') return
  await unless(isBegun, connection, (client) => client.updateTimeToLive({ TableName: name, TimeToLiveSpecification: expiry }))
}

/** @throws StoreError `SCHEMA_TOO_NEW` when a newer version of the package made the tables */
async function leaveVersion(connection: Connection): Promise<void> {
  const table = connection.tables.meta
  const there = await connection.get(table, schemaKey)
  const version = there === undefined ? 0 : number(there.SchemaVersion)
  if (version > schemaVersion) {
    throw new StoreError(
      'SCHEMA_TOO_NEW',
      `The schema in DynamoDB has version ${version}; this version of the package supports up to ${schemaVersion}. Update the package.`,
    )
  }
  if (version === schemaVersion) return
  const item = { ...schemaKey, SchemaVersion: { N: String(schemaVersion) } }
  const isOlder = condition('attribute_not_exists(#Pk) OR #SchemaVersion < :version', { ':version': item.SchemaVersion })
  await connection.change([{ Put: { TableName: table, Item: item, ...isOlder } }])
}
