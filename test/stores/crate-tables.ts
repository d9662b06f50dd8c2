import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { type DynamoDbStoreOptions, dynamoDbStore } from 'cqrs-es/dynamodb'
import { type MysqlStoreOptions, mysqlStore } from 'cqrs-es/mysql'
import { type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'
import type { Store } from 'cqrs-es/store'
import pg from 'pg'
import { ddl } from '../fixtures/rust/rows.ts'
import { dynamoRequests, dynamoTables, mysqlStatements, postgresStatements } from '../fixtures/rust/statements.ts'
import { startDynamoDb } from '../servers/dynamodb.ts'
import { freshDatabase } from '../servers/fresh.ts'
import { dynamoDb } from './dynamodb-tables.ts'
import { newDatabase } from './mysql-database.ts'

/** An event as the crate writes it; `payload` and `metadata` are JSON text. */
export interface CrateEvent {
  readonly type?: string
  readonly id: string
  readonly sequence: number
  readonly eventType: string
  readonly payload: string
  readonly metadata?: string
}

/** The options that the three stores share. */
export type SharedOptions = Pick<
  PostgresStoreOptions & MysqlStoreOptions & DynamoDbStoreOptions,
  'payloadFormat' | 'inexactNumbers'
>

/** Tables that the crate made, empty, and the crate's own requests on them. */
export interface CrateTables {
  /** A store on these tables; `snapshots` names the crate's own table of snapshots for ours. */
  store(options?: SharedOptions & { readonly shareSnapshots?: boolean }): Store
  /** Events of one transaction, with a snapshot of the aggregate of the first. */
  write(events: readonly CrateEvent[], snapshot?: CrateSnapshot): Promise<void>
  /** The payloads that the crate reads of an aggregate, as JSON text. */
  payloads(type: string, id: string): Promise<string[]>
  /** What the crate finds when it looks for a snapshot. */
  snapshots(type: string, id: string): Promise<CrateSnapshot[]>
  close(): Promise<void>
}

/** A row of the crate's table of snapshots. */
export interface CrateSnapshot {
  readonly lastSequence: number
  readonly currentSnapshot: number
  /** JSON text. */
  readonly payload: string
}

const parametersOf = ({ type = 'counter', id, sequence, eventType, payload, metadata = '{}' }: CrateEvent) =>
  [type, id, sequence, eventType, '1.0', payload, metadata] as const

/** JSON text without spaces: each database has its own way of writing it. */
const compact = (json: unknown) => String(json).replace(/([:,]) /g, '$1')

async function onPostgres(): Promise<CrateTables> {
  const pool = new pg.Pool({ connectionString: await freshDatabase('postgres'), max: 4 })
  await pool.query(ddl('postgres'))
  /** Without the driver's parsing of JSON. */
  const rows = async (text: string, values: readonly string[]) =>
    (await pool.query({ text, values: [...values], types: { getTypeParser: () => String } })).rows
  return {
    store: ({ shareSnapshots = false, ...options } = {}) =>
      postgresStore(pool, { ...options, ...(shareSnapshots && { tables: { snapshots: 'snapshots' } }) }),
    async write(events, snapshot) {
      const client = await pool.connect()
      await client.query('BEGIN')
      for (const event of events) await client.query(postgresStatements.insertEvent, [...parametersOf(event)])
      if (snapshot !== undefined) {
        const [type, id] = parametersOf(events[0] as CrateEvent)
        const { lastSequence, currentSnapshot, payload } = snapshot
        await client.query(postgresStatements.insertSnapshot, [type, id, lastSequence, currentSnapshot, payload])
      }
      await client.query('COMMIT')
      client.release()
    },
    payloads: async (...of) => (await rows(postgresStatements.selectEvents, of)).map((row) => compact(row.payload)),
    snapshots: async (...of) =>
      (await rows(postgresStatements.selectSnapshot, of)).map((row) => ({
        lastSequence: Number(row.last_sequence),
        currentSnapshot: Number(row.current_snapshot),
        payload: compact(row.payload),
      })),
    close: () => pool.end(),
  }
}

async function onMysql(): Promise<CrateTables> {
  const database = await newDatabase('mysql', 'CHARACTER SET utf8mb4')
  await database.sql(ddl('mysql'))
  const asText = (sql: string) => sql.replace(/\bpayload\b/, 'CAST(payload AS CHAR) AS payload')
  return {
    store: ({ shareSnapshots = false, ...options } = {}) =>
      mysqlStore(database.pool(), {
        foreignWriters: true,
        ...options,
        ...(shareSnapshots && { tables: { snapshots: 'snapshots' } }),
      }),
    async write(events, snapshot) {
      await database.sql('START TRANSACTION')
      for (const event of events) await database.sql(mysqlStatements.insertEvent, ...parametersOf(event).map(String))
      if (snapshot !== undefined) {
        const [type, id] = parametersOf(events[0] as CrateEvent)
        const values = [type, id, snapshot.lastSequence, snapshot.currentSnapshot, snapshot.payload]
        await database.sql(mysqlStatements.insertSnapshot, ...values.map(String))
      }
      await database.sql('COMMIT')
    },
    payloads: async (...of) =>
      (await database.sql(asText(mysqlStatements.selectEvents), ...of)).map((row) => compact(row.payload)),
    snapshots: async (...of) =>
      (await database.sql(asText(mysqlStatements.selectSnapshot), ...of)).map((row) => ({
        lastSequence: Number(row.last_sequence),
        currentSnapshot: Number(row.current_snapshot),
        payload: compact(row.payload),
      })),
    close: () => database.close(),
  }
}

/** A server of its own, since the crate's requests name its tables. */
async function onDynamoDb(): Promise<CrateTables> {
  const server = await startDynamoDb()
  const client = dynamoDb(server.url)
  for (const table of dynamoTables) await client.createTable(table)
  const textOf = (attribute: AttributeValue | undefined) => new TextDecoder().decode(attribute?.B)
  return {
    store: ({ shareSnapshots = false, ...options } = {}) =>
      dynamoDbStore(client, { ...options, ...(shareSnapshots && { tables: { snapshots: 'Snapshots' } }) }),
    async write(events, snapshot) {
      const puts = events.map((event) => {
        const [type, id, sequence, eventType, eventVersion, payload, metadata] = parametersOf(event)
        return dynamoRequests.putEvent({ type, id, sequence, eventType, eventVersion, payload, metadata })
      })
      const { type = 'counter', id } = events[0] as CrateEvent
      const put =
        snapshot && dynamoRequests.putSnapshot(type, id, snapshot.lastSequence, snapshot.currentSnapshot, snapshot.payload)
      await client.transactWriteItems({ TransactItems: [...puts, ...(put ? [put] : [])] })
    },
    payloads: async (...of) =>
      ((await client.query(dynamoRequests.query('Events', ...of))).Items ?? []).map(({ Payload }) => textOf(Payload)),
    snapshots: async (...of) =>
      ((await client.query(dynamoRequests.query('Snapshots', ...of))).Items ?? []).map((item) => ({
        lastSequence: Number(item.CurrentSequence?.N),
        currentSnapshot: Number(item.CurrentSnapshot?.N),
        payload: textOf(item.Payload),
      })),
    async close() {
      client.destroy()
      await server.stop()
    },
  }
}

export const crateTables = [
  ['postgres', onPostgres],
  ['mysql', onMysql],
  ['dynamodb', onDynamoDb],
] as const
