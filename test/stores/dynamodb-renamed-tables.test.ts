import { type DynamoDbStoreOptions, dynamoDbStore } from 'cqrs-es/dynamodb'
import { afterAll, describe, test } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { dynamoDb, newTables, removeTables } from './dynamodb-tables.ts'
import { use } from './use-tables.ts'

const closing: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

describe.skipIf(unselected('dynamodb'))('createSchema() of the DynamoDB store', () => {
  test.each(['snapshots', 'views'] as const)('createSchema() adds what is missing when tables.%s is changed', async (table) => {
    const client = dynamoDb(await serverUrl('dynamodb'))
    const tables = newTables()
    const changed = { ...tables, [table]: newTables()[table] } satisfies DynamoDbStoreOptions['tables']
    closing.push(() => Promise.all([removeTables(client, tables), removeTables(client, changed)]))
    const store = dynamoDbStore(client, { tables })
    await store.createSchema()
    await use(store, 'a')
    const renamed = dynamoDbStore(client, { tables: changed })
    await renamed.createSchema()
    await use(renamed, 'b')
    await use(store, 'c')
  })
})
