import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { emulatorAt, tablesOf } from './environment.ts'

/**
 * Creates missing tables by the definitions of the store. Returns the ARN of the stream of events.
 */
export async function makeTables(endpoint: string, prefix: string): Promise<string> {
  const client = new DynamoDB(emulatorAt(endpoint))
  try {
    const tables = tablesOf(prefix)
    await dynamoDbStore(client, { tables, streams: true }).createSchema()
    const { Table } = await client.describeTable({ TableName: tables.events })
    if (Table?.LatestStreamArn === undefined) throw new Error(`The table ${tables.events} has no stream.`)
    return Table.LatestStreamArn
  } finally {
    client.destroy()
  }
}
