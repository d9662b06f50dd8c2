/** @module cqrs-es/mysql */
export type { MysqlConnection, MysqlPool, MysqlStatement, MysqlValue } from './client.ts'
export type { MysqlTables } from './names.ts'
export { type MysqlStoreOptions, mysqlStore } from './store.ts'
