import { DefinitionError } from '../errors.ts'
import type { DynamoDbStreamRecord } from './changes.ts'

/** Some records of a shard. Without a next iterator, the shard is closed and this is its end. */
export interface RecordsPage {
  readonly Records?: readonly DynamoDbStreamRecord[] | undefined
  readonly NextShardIterator?: string | undefined
}

/**
 * The methods of the `DynamoDBStreams` class that `readChanges` calls.
 *
 * The class is in `@aws-sdk/client-dynamodb-streams`, version 3.
 * @example
 * ```ts
 * import { DynamoDBStreams } from '@aws-sdk/client-dynamodb-streams'
 * import type { DynamoDbStreamsClient } from 'cqrs-es/dynamodb'
 *
 * const client: DynamoDbStreamsClient = new DynamoDBStreams({ region: 'eu-central-1' })
 * ```
 */
export interface DynamoDbStreamsClient {
  describeStream(input: { StreamArn: string; ExclusiveStartShardId?: string }): Promise<{
    readonly StreamDescription?:
      | {
          readonly Shards?:
            | readonly { readonly ShardId?: string | undefined; readonly ParentShardId?: string | undefined }[]
            | undefined
          readonly LastEvaluatedShardId?: string | undefined
        }
      | undefined
  }>
  getShardIterator(input: {
    StreamArn: string
    ShardId: string
    ShardIteratorType: 'TRIM_HORIZON' | 'LATEST' | 'AT_SEQUENCE_NUMBER' | 'AFTER_SEQUENCE_NUMBER'
    SequenceNumber?: string
  }): Promise<{ readonly ShardIterator?: string | undefined }>
  getRecords(input: { ShardIterator: string; Limit: number }): Promise<RecordsPage>
}

const needed = ['describeStream', 'getShardIterator', 'getRecords'] as const satisfies readonly (keyof DynamoDbStreamsClient)[]

/** @throws DefinitionError unless the client has all methods */
export function checkStreamsClient(client: DynamoDbStreamsClient): void {
  const given: Partial<DynamoDbStreamsClient> = typeof client === 'object' && client !== null ? client : {}
  const missing = needed.find((method) => typeof given[method] !== 'function')
  if (missing === undefined) return
  throw new DefinitionError(
    `dynamoDbStore: "streamsClient" must be new DynamoDBStreams({ … }) from @aws-sdk/client-dynamodb-streams; this value has no method "${missing}".`,
  )
}
