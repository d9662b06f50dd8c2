export type { DynamoDbClient } from './client.ts'
export { type DynamoDbTables, type TableDefinition, type TableOptions, tableDefinitions } from './schema.ts'
export { type DynamoDbStore, type DynamoDbStoreOptions, dynamoDbStore } from './store.ts'
