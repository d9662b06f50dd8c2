import type { AttributeValue, DynamoDB } from '@aws-sdk/client-dynamodb'
import { createApp } from 'cqrs-es'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dynamoItems, type Item } from '../fixtures/rust/rows.ts'
import { dynamoRequests as crate, dynamoTables } from '../fixtures/rust/statements.ts'
import { startDynamoDb } from '../servers/dynamodb.ts'
import { unselected } from '../servers/stores.ts'
import { counter, dataIn, rustFormat } from './crate-counter.ts'
import { dynamoDb } from './dynamodb-tables.ts'

const decoder = new TextDecoder()
const textOf = (attribute: AttributeValue | undefined) => decoder.decode(attribute?.B)
const fromBase64 = (item: Item) =>
  Object.fromEntries(
    Object.entries(item).map(([name, value]) => [
      name,
      'B' in value ? { B: new Uint8Array(Buffer.from(value.B, 'base64')) } : value,
    ]),
  ) as Record<string, AttributeValue>

describe.skipIf(unselected('dynamodb'))("the Rust crate's tables on DynamoDB", () => {
  let server: Awaited<ReturnType<typeof startDynamoDb>>
  let client: DynamoDB

  /** A server of its own, since the crate's statements name its tables; with the tables and items that it made. */
  beforeEach(async () => {
    server = await startDynamoDb()
    client = dynamoDb(server.url)
    for (const table of dynamoTables) await client.createTable(table)
    const { Events, Snapshots } = dynamoItems()
    for (const item of Events) await client.putItem({ TableName: 'Events', Item: fromBase64(item) })
    for (const item of Snapshots) await client.putItem({ TableName: 'Snapshots', Item: fromBase64(item) })
  })
  afterEach(async () => {
    client.destroy()
    await server.stop()
  })

  const adopt = async () => {
    const store = dynamoDbStore(client, rustFormat)
    await store.createSchema()
    return store
  }
  const commandsOf = (store: Awaited<ReturnType<typeof adopt>>) =>
    createApp({ store, aggregates: { counter } }).aggregates.counter

  it('give the data that serde wrapped, whatever the shape of the variant', async () => {
    const store = await adopt()
    const { events } = await store.readAggregate({ aggregateType: 'order', aggregateId: 'order-1', after: 0 })
    const items = dynamoItems()
      .Events.map(fromBase64)
      .filter((item) => item.AggregateTypeAndId?.S === 'order:order-1')
      .sort((a, b) => Number(a.AggregateIdSequence?.N) - Number(b.AggregateIdSequence?.N))
    expect(items.length).toBeGreaterThan(10)
    expect(events.map(({ data }) => data)).toEqual(items.map((item) => dataIn(textOf(item.Payload))))
    expect(events.map(({ type, version, metadata }) => [type, version, metadata])).toEqual(
      items.map((item) => [item.EventType?.S, item.EventVersion?.S, JSON.parse(textOf(item.Metadata))]),
    )
  })

  it("never give the crate's snapshots, which may be wrong, and count on from them", async () => {
    const store = await adopt()
    const aggregate = { aggregateType: 'counter', aggregateId: 'aggregate-5', after: 0 }
    const page = await store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } })
    expect([page.snapshot, page.events.length]).toEqual([undefined, 5])
    const result = await commandsOf(store).execute('aggregate-5', { type: 'Add', data: { by: 3 } })
    expect(result.state).toEqual({ count: 6, value: 3 })
    const [item] = (await client.query(crate.query('Snapshots', 'counter', 'aggregate-5'))).Items ?? []
    expect([item?.CurrentSequence?.N, item?.CurrentSnapshot?.N, textOf(item?.Payload)]).toEqual([
      '6',
      '2',
      '{"count":6,"value":3}',
    ])
  })

  it("go on with the crate's requests and ours in turn", async () => {
    const { execute } = commandsOf(await adopt())
    await execute('counter-1', { type: 'Add', data: { by: 7 } }, { metadata: { user: 'ann' } })
    await execute('counter-1', { type: 'Reset' })
    const { Items = [] } = await client.query(crate.queryLastEvents('counter', 'counter-1', 4))
    expect(
      Items.map((item) => [item.AggregateIdSequence?.N, item.EventType?.S, textOf(item.Payload), textOf(item.Metadata)]),
    ).toEqual([
      ['5', 'Added', '{"Added":{"by":7}}', '{"user":"ann"}'],
      ['6', 'Reset', '"Reset"', '{}'],
    ])

    const event = { type: 'counter', id: 'counter-1', eventType: 'Counted', eventVersion: '1.0', metadata: '{"by":"rust"}' }
    await client.transactWriteItems({
      TransactItems: [
        crate.putEvent({ ...event, sequence: 7, payload: '{"Counted":9}' }),
        crate.putSnapshot('counter', 'counter-1', 7, 3, '{"count":99,"value":99}'),
      ],
    })
    const added = await execute('counter-1', { type: 'Add', data: { by: 1 } })
    expect([added.sequence, added.state]).toEqual([8, { count: 8, value: 10 }])

    const late = client.transactWriteItems({
      TransactItems: [crate.putEvent({ ...event, sequence: 8, payload: '{"Counted":0}' })],
    })
    await expect(late).rejects.toMatchObject({ name: 'TransactionCanceledException' })
  })

  it('take metadata of texts only, since the crate reads no other', async () => {
    const refused = commandsOf(await adopt()).execute('counter-1', { type: 'Reset' }, { metadata: { attempts: 3 } })
    await expect(refused).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('"attempts"') })
  })
})
