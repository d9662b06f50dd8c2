import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { dynamoDbStore } from 'cqrs-es/dynamodb'

/**
 * Region and permissions are those of the function. By default the SDK waits for a response without
 * a limit.
 */
const client = new DynamoDB({
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true },
})

const { EVENTS_TABLE = '', SNAPSHOTS_TABLE = '', VIEWS_TABLE = '', META_TABLE = '' } = process.env

/** The stack creates the tables and passes their names. */
export const store = dynamoDbStore(client, {
  tables: { events: EVENTS_TABLE, snapshots: SNAPSHOTS_TABLE, views: VIEWS_TABLE, meta: META_TABLE },
})
