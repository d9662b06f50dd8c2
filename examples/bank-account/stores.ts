import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Store } from 'cqrs-es'

/** A store with its schema, and a function that closes its client. */
export interface OpenedStore {
  readonly store: Store
  close(): Promise<void>
}

/** Opens one of the stores that the bank can run on. Only its driver is loaded. */
export type OpenStore = () => Promise<OpenedStore>

/** A SQLite file. Creates it and its folder if they are missing. */
export const sqlite =
  (file: string, options: { readonly busyTimeoutMs?: number } = {}): OpenStore =>
  async () => {
    const [{ sqliteStore }, { default: Database }] = await Promise.all([import('cqrs-es/sqlite'), import('libsql')])
    mkdirSync(dirname(resolve(file)), { recursive: true })
    const db = new Database(resolve(file))
    return withSchema(sqliteStore(db, options), async () => void db.close())
  }

/** A schema of a Postgres database. */
export const postgres =
  (connectionString: string, schema = 'bank'): OpenStore =>
  async () => {
    const [{ postgresStore }, { default: pg }] = await Promise.all([import('cqrs-es/postgres'), import('pg')])
    const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5_000, keepAlive: true })
    pool.on('error', (error) => console.error(`A connection to Postgres broke: ${error.message}`))
    return withSchema(postgresStore(pool, { schema }), () => pool.end())
  }

/** A database of MySQL or MariaDB. */
export const mysql =
  (uri: string): OpenStore =>
  async () => {
    const [{ mysqlStore }, { createPool }] = await Promise.all([import('cqrs-es/mysql'), import('mysql2/promise')])
    const pool = createPool({ uri })
    return withSchema(mysqlStore(pool), () => pool.end())
  }

/** DynamoDB tables, at an endpoint or else in the account and region that the AWS SDK finds. */
export const dynamodb =
  (endpoint?: string): OpenStore =>
  async () => {
    const [{ dynamoDbStore }, { DynamoDB }] = await Promise.all([import('cqrs-es/dynamodb'), import('@aws-sdk/client-dynamodb')])
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
    const client = new DynamoDB(endpoint === undefined ? {} : { endpoint, region: 'local', credentials })
    return withSchema(dynamoDbStore(client), async () => client.destroy())
  }

async function withSchema(store: Store, close: () => Promise<void>): Promise<OpenedStore> {
  try {
    await store.createSchema()
    return { store, close }
  } catch (error) {
    await close()
    throw error
  }
}
