import { createConnection } from 'mysql2/promise'
import pg from 'pg'
import { startDynamoDb } from '../../test/servers/dynamodb.ts'
import { startMariaDb } from '../../test/servers/mariadb.ts'
import { startPostgres } from '../../test/servers/postgres.ts'
import type { StoreName } from './systems.ts'

/** Storage of a group of systems. */
export interface Bench {
  /** Kind of the server. */
  readonly server?: string
  /** Address of the server. */
  readonly url?: string
  /**
   * Returns the address of an empty database, with the server at rest. Drops the one before, unless
   * told to keep it.
   */
  fresh(options?: { readonly keep?: boolean }): Promise<string>
  stop(): Promise<void>
}

/** Each server with its default durability: each commit is on disk before its response. */
export const benches: Readonly<Record<StoreName, () => Promise<Bench>>> = {
  postgres: onPostgres,
  mysql: onMariaDb,
  dynamodb: onDynamoDb,
  sqlite: async () => inProcess,
  memory: async () => inProcess,
}

const inProcess: Bench = { fresh: async () => '', stop: async () => {} }

async function onPostgres(): Promise<Bench> {
  const server = await startPostgres({ settings: {} })
  const admin = new pg.Client(server.url)
  await admin.connect()
  const { rows } = await admin.query('SHOW server_version')
  let count = 0
  return {
    server: `Postgres ${rows[0].server_version}`,
    url: server.url,
    async fresh({ keep = false } = {}) {
      if (count > 0 && !keep) await admin.query(`DROP DATABASE bench${count} WITH (FORCE)`)
      await admin.query(`CREATE DATABASE bench${++count}`)
      // The next system must not pay for pending writes of the previous one.
      await admin.query('CHECKPOINT')
      return server.url.replace(/[^/]*$/, `bench${count}`)
    },
    async stop() {
      await admin.end()
      await server.stop()
    },
  }
}

async function onMariaDb(): Promise<Bench> {
  const server = await startMariaDb({ settings: {} })
  const admin = await createConnection(server.url)
  const [rows] = await admin.query('SELECT version() AS version')
  let count = 0
  return {
    server: `MariaDB ${(rows as { version: string }[])[0]?.version}`,
    async fresh() {
      if (count > 0) await admin.query(`DROP DATABASE bench${count}`)
      await admin.query(`CREATE DATABASE bench${++count}`)
      return server.url.replace(/[^/]*$/, `bench${count}`)
    },
    async stop() {
      await admin.end()
      await server.stop()
    },
  }
}

async function onDynamoDb(): Promise<Bench> {
  let server: { readonly url: string; stop(): Promise<void> } | undefined
  return {
    server: 'DynamoDB emulator',
    async fresh() {
      await server?.stop()
      server = await startDynamoDb()
      return server.url
    },
    stop: async () => server?.stop(),
  }
}
