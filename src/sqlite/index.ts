export type { SqliteDatabase, SqliteStatement, SqliteValue } from './database.ts'
export { type SqliteStoreOptions, sqliteStore } from './store.ts'
