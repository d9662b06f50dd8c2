/** Each driver is accepted as it is, by both compilers. */
import type { PGlite } from '@electric-sql/pglite'
import type { Client as NeonClient, Pool as NeonPool } from '@neondatabase/serverless'
import type BetterSqlite3 from 'better-sqlite3'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import type Libsql from 'libsql'
import type { Pool as MariaDbPool } from 'mariadb'
import type { Pool as Mysql2Pool } from 'mysql2/promise'
import type pg from 'pg'

declare const clients: {
  libsql: Libsql.Database
  betterSqlite3: BetterSqlite3.Database
  pgPool: pg.Pool
  pgClient: pg.Client
  neonPool: NeonPool
  neonClient: NeonClient
  pglite: PGlite
  mysql2: Mysql2Pool
  mariadb: MariaDbPool
}

export const stores = [
  sqliteStore(clients.libsql),
  sqliteStore(clients.betterSqlite3),
  postgresStore(clients.pgPool),
  postgresStore(clients.pgClient),
  postgresStore(clients.neonPool),
  postgresStore(clients.neonClient),
  postgresStore(clients.pglite),
  mysqlStore(clients.mysql2),
  mysqlStore(clients.mariadb),
]

// @ts-expect-error a promise in place of the rows
export const asynchronous: SqliteDatabase = { exec: () => {}, prepare: () => ({ all: async () => [], run: () => ({}) }) }
