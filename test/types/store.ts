import { DynamoDB, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBStreams, DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams'
import { type DynamoDbStreamRecord, dynamoDbChanges, dynamoDbStore } from 'cqrs-es/dynamodb'
import type { Commit, Store } from 'cqrs-es/store'

declare const store: Store

export const outcomes = store.append([] as Commit[])

// @ts-expect-error a commit needs its id
store.append([{ appends: [] }])

const onDynamoDb = dynamoDbStore(new DynamoDB({ region: 'eu-central-1' }), { tables: { events: 'shop-events' } })
export const asStore: Store = onDynamoDb
export const noOrder: false = onDynamoDb.capabilities.globalOrder
export const noFeed: Promise<never> = onDynamoDb.readFeed()

// @ts-expect-error the bare client has no method per operation
dynamoDbStore(new DynamoDBClient({ region: 'eu-central-1' }))
// @ts-expect-error a misspelt option
dynamoDbStore(new DynamoDB(), { idempotencyTtl: 60 })
// @ts-expect-error a table it does not have
dynamoDbStore(new DynamoDB(), { tables: { event: 'Events' } })

export const followed = dynamoDbStore(new DynamoDB(), { streams: true, streamsClient: new DynamoDBStreams() }).readChanges?.({
  limit: 1,
})

// @ts-expect-error the bare client has no method per operation
dynamoDbStore(new DynamoDB(), { streams: true, streamsClient: new DynamoDBStreamsClient() })

/** As `@types/aws-lambda` has it. */
interface LambdaAttribute {
  B?: string
  BOOL?: boolean
  L?: LambdaAttribute[]
  N?: string
  S?: string
}
interface LambdaRecord {
  eventID?: string
  eventName?: 'INSERT' | 'MODIFY' | 'REMOVE'
  dynamodb?: {
    ApproximateCreationDateTime?: number
    Keys?: { [key: string]: LambdaAttribute }
    NewImage?: { [key: string]: LambdaAttribute }
    SequenceNumber?: string
  }
}
declare const lambdaRecords: LambdaRecord[]
declare const iterator: string
export const ofLambda = dynamoDbChanges(lambdaRecords)
export const ofTheSdk = async () => {
  const { Records = [] } = await new DynamoDBStreams().getRecords({ ShardIterator: iterator })
  const records: readonly DynamoDbStreamRecord[] = Records
  return dynamoDbChanges(records)
}
