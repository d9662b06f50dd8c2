import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { DynamoDBStreams } from '@aws-sdk/client-dynamodb-streams'
import { dynamoDbStore } from 'cqrs-es/dynamodb'

/** Connects to DynamoDB. The SDK reads endpoint, region and credentials from the environment. */
export function openStore() {
  // By default the SDK waits for an answer without a limit.
  const requestHandler = {
    connectionTimeout: 1_000,
    requestTimeout: 3_000,
    throwOnRequestTimeout: true,
  }
  const client = new DynamoDB({ requestHandler })
  const streamsClient = new DynamoDBStreams({ requestHandler })
  const close = async () => {
    client.destroy()
    streamsClient.destroy()
  }
  return { store: dynamoDbStore(client, { streams: true, streamsClient }), close }
}
