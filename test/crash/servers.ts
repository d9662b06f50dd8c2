import { DynamoDB } from '@aws-sdk/client-dynamodb'
import type { Store } from 'cqrs-es'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import * as mariadb from 'mariadb'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { startDynamoDb } from '../servers/dynamodb.ts'
import { type MySqlServer, startMariaDb } from '../servers/mariadb.ts'
import { startMySql } from '../servers/mysql.ts'
import { startPostgres } from '../servers/postgres.ts'
import type { Fate } from '../servers/proxy.ts'
import type { StoreName } from '../servers/stores.ts'

/** A server that the tests of this folder cut connections to, kill and start again. */
export interface CrashServer {
  readonly port: number
  /** As a power cut does, but for the disk. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** How to test a store whose server is somewhere else. Another store is another entry of `crashStores`; each server of MySQL's store runs with one of its drivers. */
export interface CrashStore {
  readonly store: StoreName
  /** In the names of the tests: the store, and the client where there are several. */
  readonly name: string
  /** A new server; a durable one keeps what it has acknowledged when it is killed. */
  startServer(options: { readonly durable: boolean }): Promise<CrashServer>
  /**
   * A store, its schema apart, on a client that was set up as a careful user does: few connections, and a time limit to everything. It waits for an answer
   * for `patienceMs`.
   */
  connect(port: number, patienceMs?: number): { readonly store: Store; close(): Promise<unknown> }
  /** What the proxy may do to an append, where not everything: a client without a time limit never gives up when it is `stalled`. */
  readonly fates?: readonly Fate[]
}

export const crashStores: readonly CrashStore[] = [
  {
    store: 'postgres',
    name: 'Postgres',
    startServer: ({ durable }) => startPostgres(durable ? { settings: {} } : {}),
    connect(port, patienceMs = 5_000) {
      const pool = new pg.Pool({
        host: '127.0.0.1',
        port,
        user: 'postgres',
        database: 'postgres',
        max: 4,
        connectionTimeoutMillis: 2_000,
        query_timeout: patienceMs,
      })
      // An idle connection that ends is told here; without a listener it would end the program.
      pool.on('error', () => {})
      return { store: postgresStore(pool), close: () => pool.end() }
    },
  },
  {
    store: 'mysql',
    name: 'MySQL with mysql2',
    startServer: async ({ durable }) =>
      withBank(await startMySql(durable ? { settings: { innodb_flush_log_at_trx_commit: '1' } } : {})),
    connect(port) {
      const pool = mysql.createPool({
        host: '127.0.0.1',
        port,
        user: 'root',
        database: 'bank',
        connectionLimit: 4,
        connectTimeout: 2_000,
      })
      return { store: mysqlStore(pool), close: () => pool.end() }
    },
    // mysql2 has a time limit for a query that its caller sets, none for all.
    fates: ['request', 'sent', 'answer', 'held'],
  },
  {
    store: 'mariadb',
    name: 'MariaDB with mariadb',
    startServer: async ({ durable }) =>
      withBank(await startMariaDb(durable ? { settings: { innodb_flush_log_at_trx_commit: '1' } } : {})),
    connect(port, patienceMs = 5_000) {
      const pool = mariadb.createPool({
        host: '127.0.0.1',
        port,
        user: 'root',
        database: 'bank',
        connectionLimit: 4,
        connectTimeout: 2_000,
        acquireTimeout: 2_000,
        socketTimeout: patienceMs,
      })
      return { store: mysqlStore(pool), close: () => pool.end() }
    },
  },
  {
    store: 'dynamodb',
    name: 'DynamoDB',
    startServer: startDynamoDb,
    connect(port, patienceMs = 5_000) {
      const client = new DynamoDB({
        endpoint: `http://127.0.0.1:${port}`,
        region: 'local',
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        requestHandler: {
          connectionTimeout: 1_000,
          requestTimeout: patienceMs,
          throwOnRequestTimeout: true,
          httpAgent: { maxSockets: 8 },
        },
      })
      return { store: dynamoDbStore(client), close: async () => client.destroy() }
    },
  },
]

async function withBank(server: MySqlServer): Promise<CrashServer> {
  const connection = await mysql.createConnection(server.url)
  await connection.query('CREATE DATABASE bank')
  await connection.end()
  return server
}
