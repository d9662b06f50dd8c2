import { DynamoDB, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
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
dynamoDbStore(new DynamoDB(), { idempotencyTTL: 60 })
// @ts-expect-error a table it does not have
dynamoDbStore(new DynamoDB(), { tables: { event: 'Events' } })
