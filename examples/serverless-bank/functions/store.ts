import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { dynamoDbStore } from 'cqrs-es/dynamodb'

/** The region and the rights are those of the function. The SDK's default is to wait for an answer without a limit. */
const client = new DynamoDB({
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
})

const { EVENTS_TABLE = '', SNAPSHOTS_TABLE = '', VIEWS_TABLE = '', META_TABLE = '' } = process.env

/** The tables are made by the stack, which says what they are called. */
export const store = dynamoDbStore(client, {
  tables: { events: EVENTS_TABLE, snapshots: SNAPSHOTS_TABLE, views: VIEWS_TABLE, meta: META_TABLE },
})
