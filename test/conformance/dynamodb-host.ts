import type { DynamoDB } from '@aws-sdk/client-dynamodb'
import type { DynamoDBStreams } from '@aws-sdk/client-dynamodb-streams'
import type { ConformanceHost } from 'cqrs-es/conformance'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { serverUrl } from '../servers/ask.ts'
import { dynamoDb, dynamoDbStreams, newTables, removeTables } from '../stores/dynamodb-tables.ts'

/** New tables for each case, with a stream that stores follow. */
export const dynamoDbHostOn = (server: 'dynamodb' | 'dynamodb-local'): ConformanceHost => ({
  schema: 'required',
  async open({ schema }) {
    const url = await serverUrl(server)
    const tables = newTables()
    const client = dynamoDb(url)
    const clients: (DynamoDB | DynamoDBStreams)[] = []
    const connectBy = (one: DynamoDB) => {
      const streamsClient = dynamoDbStreams(url)
      clients.push(one, streamsClient)
      return dynamoDbStore(one, { tables, streams: true, streamsClient })
    }
    const connect = async () => connectBy(dynamoDb(url))
    const store = connectBy(client)
    if (schema) await store.createSchema()
    const close = async () => {
      await removeTables(client, tables)
      for (const one of clients) one.destroy()
    }
    const corrupt = async (TableName: string, Key: Record<string, { S: string } | { N: string }>) => {
      await client.updateItem({
        TableName,
        Key,
        UpdateExpression: 'SET Payload = :json',
        ConditionExpression: 'attribute_exists(AggregateTypeAndId)',
        ExpressionAttributeValues: { ':json': { B: new TextEncoder().encode('{"a') } },
      })
    }
    return {
      store,
      connect,
      close,
      corruptEvent: (type, id, sequence) =>
        corrupt(tables.events, { AggregateTypeAndId: { S: `${type}:${id}` }, AggregateIdSequence: { N: String(sequence) } }),
      corruptSnapshot: (type, id) => corrupt(tables.snapshots, { AggregateTypeAndId: { S: `${type}:${id}` } }),
    }
  },
})

export const dynamoDbHost = dynamoDbHostOn('dynamodb')
