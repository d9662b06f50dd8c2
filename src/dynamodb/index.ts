/** @module cqrs-es/dynamodb */
export { type DynamoDbChange, type DynamoDbStreamRecord, dynamoDbChanges, type StreamAttribute } from './changes.ts'
export type { AttributeDefinition, DynamoDbClient, GlobalSecondaryIndex, KeySchemaElement } from './client.ts'
export { type DynamoDbTables, type TableDefinition, type TableOptions, tableDefinitions } from './schema.ts'
export { type DynamoDbStore, type DynamoDbStoreOptions, dynamoDbStore } from './store.ts'
export type { DynamoDbStreamsClient } from './streams-client.ts'
