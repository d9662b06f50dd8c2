import type { Store } from 'cqrs-es'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'

/** A store on a new SQLite database in memory. */
export async function onSqlite(): Promise<Store> {
  const store = sqliteStore(new Database(':memory:') as unknown as SqliteDatabase)
  await store.createSchema()
  return store
}
