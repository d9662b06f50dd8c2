import { DynamoDB } from '@aws-sdk/client-dynamodb'

/** A client of the test server. */
export const dynamoDb = (endpoint: string): DynamoDB =>
  new DynamoDB({ endpoint, region: 'local', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } })

/** Names of tables that nobody else has. */
export function newTables() {
  const prefix = `t${crypto.randomUUID().slice(0, 8)}`
  return { events: `${prefix}.Events`, snapshots: `${prefix}.Snapshots`, views: `${prefix}.Views`, meta: `${prefix}.Meta` }
}

export async function removeTables(client: DynamoDB, tables: ReturnType<typeof newTables>): Promise<void> {
  await Promise.all(Object.values(tables).map((TableName) => client.deleteTable({ TableName }).catch(() => {})))
}
