import type BetterSqlite from 'better-sqlite3'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import type Libsql from 'libsql'

export const stores = (libsql: Libsql.Database, betterSqlite: BetterSqlite.Database, other: SqliteDatabase) => [
  sqliteStore(libsql),
  sqliteStore(betterSqlite),
  sqliteStore(other),
]

declare const asynchronous: {
  exec(sql: string): Promise<void>
  prepare(sql: string): { all(...values: unknown[]): Promise<unknown[]>; run(...values: unknown[]): Promise<unknown> }
}
// @ts-expect-error a driver that returns promises is refused
sqliteStore(asynchronous)
