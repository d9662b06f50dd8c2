/** @module cqrs-es/postgres */
export type { PostgresClient, PostgresValue } from './client.ts'
export type { PostgresTables } from './names.ts'
export type { PostgresListener } from './push.ts'
export { type PostgresStoreOptions, postgresStore } from './store.ts'
