/** @module cqrs-es/sqlite */
export type { SqliteDatabase, SqliteStatement, SqliteValue } from './client.ts'
export { type SqliteStoreOptions, sqliteStore } from './store.ts'
