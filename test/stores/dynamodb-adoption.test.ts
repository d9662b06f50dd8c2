import type { AttributeValue, DynamoDB } from '@aws-sdk/client-dynamodb'
import { createApp, defineView } from 'cqrs-es'
import { type DynamoDbStoreOptions, dynamoDbStore } from 'cqrs-es/dynamodb'
import { compareBytes, type Store } from 'cqrs-es/store'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dynamoItems, type Item } from '../fixtures/rust/rows.ts'
import { dynamoRequests as crate, dynamoTables } from '../fixtures/rust/statements.ts'
import { startDynamoDb } from '../servers/dynamodb.ts'
import { unselected } from '../servers/stores.ts'
import { append, appendOne } from './commits.ts'
import { counter, dataIn, rustFormat } from './crate-counter.ts'
import { dynamoDb, dynamoDbStreams, watched } from './dynamodb-tables.ts'

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

  const adopt = async (options: DynamoDbStoreOptions = {}) => {
    const store = dynamoDbStore(client, { ...rustFormat, ...options })
    await store.createSchema()
    return store
  }
  /** Ours in the crate's own table, for a program that is in aggregate mode. */
  const shared: DynamoDbStoreOptions = { tables: { snapshots: 'Snapshots' } }
  const commandsOf = (store: Awaited<ReturnType<typeof adopt>>) =>
    createApp({ store, aggregates: { counter } }).aggregates.counter

  it('data that serde wrapped is read back in any shape of its variant', async () => {
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

  it('snapshots of the crate are ignored, and their versions continue in a shared table', async () => {
    const store = await adopt(shared)
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

  it('statements of the crate and of the store alternate on one aggregate', async () => {
    const { execute } = commandsOf(await adopt(shared))
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

  it('metadata takes only texts because the crate reads nothing else', async () => {
    const refused = commandsOf(await adopt()).execute('counter-1', { type: 'Reset' }, { metadata: { attempts: 3 } })
    await expect(refused).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('"attempts"') })
  })

  describe('with aggregates that the crate creates after the adoption', () => {
    const event = { type: 'counter', eventType: 'Added', eventVersion: '1.0', metadata: '{}' }
    const create = (id: string, format = (by: number) => `{"Added":{"by":${by}}}`) =>
      client.transactWriteItems({
        TransactItems: [1, 2].map((sequence) => crate.putEvent({ ...event, id, sequence, payload: format(sequence) })),
      })
    const isListed = async (id: string) => {
      const Key = { AggregateTypeAndId: { S: `counter:${id}` }, AggregateIdSequence: { N: '1' } }
      return (await client.getItem({ TableName: 'Events', Key })).Item?.FirstOfType?.S === 'counter'
    }
    const idsOf = async (store: Store, limit = 100) => {
      const ids: string[] = []
      for (let more = true; more; ) {
        const after = ids.at(-1)
        const page = await store.readIds({ aggregateType: 'counter', limit, ...(after !== undefined && { after }) })
        ids.push(...page.items)
        more = page.more
      }
      return ids
    }
    const old = [...new Set(dynamoItems().Events.filter((item) => 'AggregateType' in item))]
      .map(fromBase64)
      .filter((item) => item.AggregateType?.S === 'counter' && item.AggregateIdSequence?.N === '1')
      .map((item) => item.AggregateId?.S ?? '')
    const totals = defineView({
      name: 'totals',
      aggregates: [counter],
      consistency: 'async',
      initialView: () => ({ value: 0 }),
      update: {
        Added: ({ value }, { data }) => ({ value: value + data.by }),
        Counted: (_, { data }) => ({ value: data }),
        Reset: () => ({ value: 0 }),
      },
    })
    const viewsOn = (store: Store) => createApp({ store, aggregates: { counter }, views: { totals } })

    it.each([1, 2, 100])('readIds lists aggregates of the crate in byte order, in pages of %i', async (limit) => {
      const store = await adopt()
      for (const id of ['zz', 'a new one', '\u{1f600}', '\uff5e']) await create(id)
      const all = [...old, 'zz', 'a new one', '\u{1f600}', '\uff5e'].sort(compareBytes)
      expect(await idsOf(store, limit)).toEqual(all)
      await create('later')
      expect(await idsOf(store, limit)).toEqual([...all, 'later'].sort(compareBytes))
    })

    it('readIds lists aggregates of the crate in every process once createSchema() ran', async () => {
      await dynamoDbStore(client).createSchema()
      await create('new')
      expect(await idsOf(dynamoDbStore(client))).toEqual([...old, 'new'].sort(compareBytes))
    })

    it('drain brings aggregates of the crate into a view before it is caught up', async () => {
      const app = viewsOn(await adopt())
      expect(await app.drain()).toMatchObject({ caughtUp: true })
      await create('new')
      expect(await app.drain()).toMatchObject({ caughtUp: true })
      expect(await app.views.totals.load('new')).toMatchObject({ view: { value: 3 } })
      await app.close()
    })

    it('drain brings aggregates of the crate into a view by the stream', async () => {
      const streamsClient = dynamoDbStreams(server.url)
      const app = viewsOn(await adopt({ streams: true, streamsClient }))
      expect(await app.drain()).toMatchObject({ caughtUp: true })
      await create('new')
      expect(await app.drain()).toMatchObject({ caughtUp: true })
      expect(await app.views.totals.load('new')).toMatchObject({ view: { value: 3 } })
      await app.close()
      streamsClient.destroy()
    })

    it('replay hands aggregates of the crate to a query', async () => {
      const app = viewsOn(await adopt())
      await create('new')
      const seen: string[] = []
      await app.replay(async (events) => void seen.push(...events.map((one) => one.aggregateId)), { aggregate: counter })
      expect(seen.filter((id) => id === 'new')).toHaveLength(2)
      await app.close()
    })

    it.each([
      ['read', (store: Store) => store.readAggregate({ aggregateType: 'counter', aggregateId: 'new', after: 0 })],
      ['written', (store: Store) => appendOne(store, { id: 'c', appends: [append('c', 'counter', 'new', 2, [{ by: 1 }])] })],
      ['found in the stream', (store: Store, cursor: string) => store.readChanges?.({ cursor, limit: 100 })],
    ])('an aggregate of the crate is in the index of ids once it was %s', async (_, meet) => {
      const streamsClient = dynamoDbStreams(server.url)
      await adopt({ streams: true })
      const store = dynamoDbStore(client, { ...rustFormat, streams: true, streamsClient })
      const cursor = (await store.readChanges?.({ limit: 1 }))?.cursor ?? ''
      await create('new')
      expect(await isListed('new')).toBe(false)
      await meet(store, cursor)
      expect(await isListed('new')).toBe(true)
      streamsClient.destroy()
    })

    it('readAggregate reads an aggregate of the crate when the program may not write', async () => {
      await adopt()
      await create('new')
      const denied = Object.assign(new Error('no'), { name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } })
      const readOnly = watched(client)
      readOnly.next('updateItem', () => Promise.reject(denied))
      const store = dynamoDbStore(readOnly.client, rustFormat)
      const page = await store.readAggregate({ aggregateType: 'counter', aggregateId: 'new', after: 0 })
      expect(page.events.map(({ data }) => data)).toEqual([{ by: 1 }, { by: 2 }])
      expect(readOnly.calls).toContain('updateItem')
      expect(await isListed('new')).toBe(false)
    })

    it('foreignWriters: false ends the scans of the table after a last createSchema()', async () => {
      const store = await adopt()
      for (const id of ['first', 'second']) {
        await create(id)
        await store.createSchema()
        expect(await isListed(id)).toBe(true)
      }
      await create('last')
      const last = watched(client)
      const alone = dynamoDbStore(last.client, { ...rustFormat, foreignWriters: false })
      await alone.createSchema()
      last.reset()
      await alone.createSchema()
      expect(await idsOf(alone)).toEqual([...old, 'first', 'second', 'last'].sort(compareBytes))
      const other = dynamoDbStore(last.client, { inexactNumbers: 'text' })
      expect(await idsOf(other)).toEqual([...old, 'first', 'second', 'last'].sort(compareBytes))
      expect(last.calls).not.toContain('scan')
    })
  })
})
