import type { DynamoDB } from '@aws-sdk/client-dynamodb'
import type { _Record, DynamoDBStreams } from '@aws-sdk/client-dynamodb-streams'
import type { DynamoDBRecord } from 'aws-lambda'
import { createApp, defineSubscription } from 'cqrs-es'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { onDynamoDbStream, onSchedule, onSqs } from 'cqrs-es/lambda'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { dynamoDb, dynamoDbStreams, newTables, removeTables } from '../stores/dynamodb-tables.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { sizesOf, totalsOf } from '../support/totals.ts'
import { queued, remaining, scheduled, sqs } from './events.ts'

describe.skipIf(unselected('dynamodb'))('functions on DynamoDB', () => {
  let client: DynamoDB
  let streams: DynamoDBStreams
  const tables: ReturnType<typeof newTables>[] = []
  beforeAll(async () => {
    const url = await serverUrl('dynamodb')
    client = dynamoDb(url)
    streams = dynamoDbStreams(url)
  })
  afterAll(async () => {
    await Promise.all(tables.map((names) => removeTables(client, names)))
    client.destroy()
    streams.destroy()
  })

  /** As in a process of its own: the app of one function. */
  function process(names: ReturnType<typeof newTables>) {
    const store = dynamoDbStore(client, { tables: names, streams: true })
    const seen: string[] = []
    const trouble: { at?: string } = {}
    const log = defineSubscription({
      name: 'log',
      aggregates: [counter],
      onFailure: 'retry',
      handle: ({ id }) => {
        if (id === trouble.at) throw new Error('odd')
        seen.push(id)
      },
    })
    const views = { totals: totalsOf('async'), sizes: sizesOf('async') }
    const app = createApp({ store, aggregates: { counter }, views, subscriptions: { log }, observe: () => {} })
    return { store, app, seen, trouble }
  }

  /** What Lambda would be called with, from the first record of the stream on. */
  async function recordsOf({ events }: ReturnType<typeof newTables>): Promise<DynamoDBRecord[]> {
    const { Table } = await client.describeTable({ TableName: events })
    const StreamArn = Table?.LatestStreamArn ?? ''
    const { StreamDescription } = await streams.describeStream({ StreamArn })
    const records: DynamoDBRecord[] = []
    for (const { ShardId = '' } of StreamDescription?.Shards ?? []) {
      const { ShardIterator = '' } = await streams.getShardIterator({ StreamArn, ShardId, ShardIteratorType: 'TRIM_HORIZON' })
      records.push(...((await streams.getRecords({ ShardIterator })).Records ?? []).map((record) => ofLambda(record, StreamArn)))
    }
    return records
  }

  async function opened() {
    const names = newTables()
    tables.push(names)
    const one = process(names)
    await one.store.createSchema()
    return { names, ...one }
  }

  test('a message leads to a view through queue and stream, with duplicates of both', async () => {
    const { names, app } = await opened()
    const add = (id: string, to: string, by: number) => queued(id, { aggregate: 'counter', id: to, command: count(by) })
    const batch = sqs(add('m-1', 'a', 1), add('m-2', 'a', 2), add('m-3', 'b', 5), add('m-1', 'a', 1))
    expect(await onSqs(app)(batch, remaining(30_000))).toEqual({ batchItemFailures: [] })
    const records = await recordsOf(names)
    expect(records.map(({ eventName }) => eventName)).toEqual(['INSERT', 'INSERT', 'INSERT'])

    const { app: follower, seen } = process(names)
    const handler = onDynamoDbStream(follower)
    expect(await handler({ Records: records }, remaining(30_000))).toEqual({ batchItemFailures: [] })
    expect(await handler({ Records: [...records].reverse() }, remaining(30_000))).toEqual({ batchItemFailures: [] })
    expect(seen.filter((id) => id.startsWith('counter/a/'))).toEqual(['counter/a/1', 'counter/a/2'])
    expect(seen).toHaveLength(3)
    expect((await app.views.totals.load('a'))?.view).toEqual({ total: 3, count: 2 })
    expect((await app.views.sizes.load('by-5'))?.view.times).toBe(1)
  })

  test('Lambda continues from the first sequence number of an aggregate that fails', async () => {
    const { names, app } = await opened()
    for (const id of ['a', 'bad', 'c', 'bad', 'd']) await app.aggregates.counter.execute(id, count(1))
    const records = await recordsOf(names)
    const { app: follower, seen, trouble } = process(names)
    const handler = onDynamoDbStream(follower, { onFailure: () => {} })
    trouble.at = 'counter/bad/1'
    const itemIdentifier = records[1]?.dynamodb?.SequenceNumber as string
    expect(itemIdentifier).toMatch(/^\d+$/)
    expect(await handler({ Records: records }, remaining(30_000))).toEqual({ batchItemFailures: [{ itemIdentifier }] })
    expect(seen).toEqual(['counter/a/1', 'counter/c/1', 'counter/d/1'])
    delete trouble.at
    const again = records.filter(({ dynamodb }) => BigInt(dynamodb?.SequenceNumber ?? 0) >= BigInt(itemIdentifier))
    expect(again).toHaveLength(4)
    expect(await handler({ Records: again }, remaining(30_000))).toEqual({ batchItemFailures: [] })
    expect(seen.slice(3)).toEqual(['counter/bad/1', 'counter/bad/2'])
  })

  test('a schedule processes records that Lambda has given up on', async () => {
    const { names, app } = await opened()
    await app.aggregates.counter.execute('a', countEach(1, 2))
    const { app: follower, seen } = process(names)
    expect(await onSchedule(follower)(scheduled, remaining(30_000))).toEqual({ caughtUp: true, events: 6 })
    expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
    const late = await onDynamoDbStream(follower)({ Records: await recordsOf(names) }, remaining(30_000))
    expect(late).toEqual({ batchItemFailures: [] })
    expect(seen).toHaveLength(2)
  })
})

/** The SDK hands out bytes, Lambda base64. */
function ofLambda({ dynamodb, ...record }: _Record, eventSourceARN: string): DynamoDBRecord {
  const toText = (_: string, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value)
  const { ApproximateCreationDateTime: at, ...rest } = dynamodb ?? {}
  const told = { ...rest, ...(at !== undefined && { ApproximateCreationDateTime: Math.floor(at.getTime() / 1_000) }) }
  return JSON.parse(JSON.stringify({ ...record, eventSource: 'aws:dynamodb', eventSourceARN, dynamodb: told }, toText))
}
