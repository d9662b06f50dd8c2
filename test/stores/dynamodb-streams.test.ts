import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DynamoDB, ProvisionedThroughputExceededException } from '@aws-sdk/client-dynamodb'
import {
  type DynamoDBStreams,
  ExpiredIteratorException,
  LimitExceededException,
  ResourceNotFoundException,
  TrimmedDataAccessException,
} from '@aws-sdk/client-dynamodb-streams'
import {
  type DynamoDbStore,
  type DynamoDbStoreOptions,
  type DynamoDbStreamsClient,
  dynamoDbChanges,
  dynamoDbStore,
} from 'cqrs-es/dynamodb'
import type { ChangesPage, ChangesRequest } from 'cqrs-es/store'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { root } from '../run.ts'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { randomOf } from '../support/random.ts'
import { commit } from './commits.ts'
import { dynamoDb, dynamoDbStreams, newTables, removeTables } from './dynamodb-tables.ts'
import { scriptedStream } from './scripted-stream.ts'

const refused = { $metadata: { httpStatusCode: 400, attempts: 1 } }

function changes(store: DynamoDbStore, request: ChangesRequest): Promise<ChangesPage> {
  if (store.readChanges === undefined) throw new Error('the store has no readChanges')
  return store.readChanges(request)
}

/** `a:3`, for what is told page by page, until there is no more. */
async function follow(store: DynamoDbStore | (() => DynamoDbStore), from: string, limit = 100) {
  const told: string[] = []
  let cursor = from
  for (let more = true; more; ) {
    const page = await changes(typeof store === 'function' ? store() : store, { cursor, limit })
    told.push(...page.changes.map(({ aggregateId, sequence }) => `${aggregateId}:${sequence}`))
    cursor = page.cursor
    more = page.more
  }
  return { told, cursor }
}

describe.skipIf(unselected('dynamodb'))('the stream of a DynamoDB table', () => {
  let url: string
  const opened: { client: DynamoDB; tables: ReturnType<typeof newTables> }[] = []
  beforeAll(async () => {
    url = await serverUrl('dynamodb')
  })
  afterAll(async () => {
    await Promise.all(opened.map(({ client, tables }) => removeTables(client, tables)))
    for (const { client } of opened) client.destroy()
  })

  /** The streams client counts its calls, and single ones are answered by the test. */
  async function open(options: DynamoDbStoreOptions & { as?: ReturnType<typeof newTables>; schema?: boolean } = {}) {
    const { as: tables = newTables(), schema = true, ...rest } = options
    const client = dynamoDb(url)
    opened.push({ client, tables })
    const calls: string[] = []
    const failing: { method: string; error: unknown }[] = []
    const streamsClient = new Proxy(dynamoDbStreams(url), {
      get(target, name) {
        const method = Reflect.get(target, name) as unknown
        if (typeof method !== 'function') return method
        return async (input: unknown) => {
          calls.push(String(name))
          const at = failing.findIndex(({ method }) => method === name)
          if (at >= 0) throw failing.splice(at, 1)[0]?.error
          return method.call(target, input)
        }
      },
    })
    const store = dynamoDbStore(client, { tables, streams: true, streamsClient, busyTimeoutMs: 300, ...rest })
    if (schema) await store.createSchema()
    const fail = (method: keyof DynamoDbStreamsClient, ...errors: unknown[]) =>
      failing.push(...errors.map((error) => ({ method, error })))
    return { client, store, tables, calls, fail }
  }

  it('dynamoDbStore takes the client of the AWS SDK for streams and refuses any other', () => {
    expectTypeOf<DynamoDBStreams>().toExtend<DynamoDbStreamsClient>()
    const build = (options: object) => () => dynamoDbStore(dynamoDb(url), options as DynamoDbStoreOptions)
    expect(build({ streams: true, streamsClient: dynamoDb(url) })).toThrow('has no method "describeStream"')
    expect(build({ streams: true, streamsClient: null })).toThrow('"streamsClient" must be new DynamoDBStreams({ … })')
    expect(build({ streamsClient: dynamoDbStreams(url) })).toThrow('"streamsClient" needs "streams: true"')
    const store: DynamoDbStore = dynamoDbStore(dynamoDb(url), { streams: true })
    expect(store.readChanges).toBeUndefined()
    expect('readChanges' in store && store.readChanges !== undefined).toBe(false)
  })

  it('readChanges reports nothing from before the cursor, also in another process', async () => {
    const { store, tables } = await open()
    await store.append([commit('c1', 'old', 0), commit('c2', 'old', 1)])
    const { cursor } = await changes(store, { limit: 10 })
    await store.append([commit('c3', 'new', 0)])
    expect((await follow(store, cursor)).told).toEqual(['new:1'])
    const other = await open({ as: tables, schema: false })
    expect((await follow(other.store, cursor)).told).toEqual(['new:1'])
  })

  it('readChanges costs one request per idle shard', async () => {
    const { store, calls } = await open()
    const { cursor } = await changes(store, { limit: 10 })
    await store.append([commit('c1', 'a', 0)])
    const end = (await follow(store, cursor)).cursor
    calls.length = 0
    for (let i = 0; i < 5; i++)
      expect(await changes(store, { cursor: end, limit: 10 })).toEqual({ changes: [], cursor: end, more: false })
    expect(calls).toEqual(Array(5).fill('getRecords'))
  })

  it('readChanges continues after an expired iterator and reports nothing twice', async () => {
    const { store, fail, calls } = await open()
    const { cursor } = await changes(store, { limit: 10 })
    await store.append([commit('c1', 'a', 0)])
    const end = (await follow(store, cursor)).cursor
    await store.append([commit('c2', 'b', 0)])
    calls.length = 0
    fail('getRecords', new ExpiredIteratorException({ message: '', ...refused }))
    expect((await changes(store, { cursor: end, limit: 10 })).changes).toMatchObject([{ aggregateId: 'b', sequence: 1 }])
    expect(calls).toEqual(['getRecords', 'getShardIterator', 'getRecords'])
  })

  it('readChanges waits when DynamoDB throttles its readers', async () => {
    const { store, fail } = await open({ busyTimeoutMs: 5_000 })
    const { cursor } = await changes(store, { limit: 10 })
    await store.append([commit('c1', 'a', 0)])
    fail('getRecords', new LimitExceededException({ message: '', ...refused }))
    fail('getRecords', new ProvisionedThroughputExceededException({ message: '', ...refused }))
    fail('describeStream', new LimitExceededException({ message: '', ...refused }))
    expect((await follow(store, cursor)).told).toEqual(['a:1'])
    const impatient = await open({ busyTimeoutMs: 0 })
    for (const method of ['describeStream', 'getRecords'] as const) {
      impatient.fail(method, new LimitExceededException({ message: '', ...refused }))
      await expect(changes(impatient.store, { limit: 10 })).rejects.toMatchObject({
        code: 'STORE_BUSY',
        message: expect.stringContaining('readers of the stream'),
      })
    }
  })

  it.each([
    ['getRecords', new TrimmedDataAccessException({ message: '', ...refused })],
    ['getShardIterator', new TrimmedDataAccessException({ message: '', ...refused })],
    ['getShardIterator', new ResourceNotFoundException({ message: '', ...refused })],
  ] as const)('a stream that has lost records after the cursor is STORE_BEHIND (%s: %s)', async (method, error) => {
    const { store, tables } = await open()
    await store.append([commit('c1', 'a', 0)])
    const { cursor } = await changes(store, { limit: 10 })
    const other = await open({ as: tables, schema: false })
    other.fail(method, error)
    await expect(changes(other.store, { cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND', cause: error })
  })

  it('a stream that was turned off and on again is STORE_BEHIND', async () => {
    const { store, client, tables } = await open()
    const { cursor } = await changes(store, { limit: 10 })
    const turn = (StreamEnabled: boolean) =>
      client.updateTable({
        TableName: tables.events,
        StreamSpecification: { StreamEnabled, ...(StreamEnabled && { StreamViewType: 'NEW_IMAGE' as const }) },
      })
    await turn(false)
    const off = await open({ as: tables, schema: false })
    await expect(changes(off.store, { limit: 10 })).rejects.toMatchObject({
      code: 'SCHEMA_MISSING',
      message: expect.stringContaining('streams: true'),
    })
    await new Promise((resolve) => setTimeout(resolve, 5))
    await turn(true)
    const { store: again } = await open({ as: tables, schema: false })
    await expect(changes(again, { cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
    await again.append([commit('c1', 'a', 0)])
    expect((await changes(again, { limit: 10 })).changes).toEqual([])
  })

  it.each([
    '{"stream":1,"shards":[]}',
    '{"stream":STREAM}',
    '{"stream":STREAM,"shards":{}}',
    '{"stream":STREAM,"shards":[[SHARD]]}',
    '{"stream":STREAM,"shards":[[SHARD,"after"]]}',
    '{"stream":STREAM,"shards":[[SHARD,"after x"]]}',
    '{"stream":STREAM,"shards":[[SHARD,"after 1","more"]]}',
    '{"stream":"another","shards":[[SHARD,"done"]]}',
    '{"stream":STREAM,"shards":[["another","done"]]}',
  ])('readChanges refuses the cursor %s with STORE_BEHIND', async (damaged) => {
    const { store } = await open()
    const { stream, shards } = JSON.parse((await changes(store, { limit: 10 })).cursor)
    const cursor = damaged.replace('STREAM', JSON.stringify(stream)).replace('SHARD', JSON.stringify(shards[0][0]))
    await expect(changes(store, { cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
  })

  it.each(['NEW_IMAGE', 'KEYS_ONLY'] as const)(
    'readChanges reports events of the Rust crate and no other items (%s)',
    async (view) => {
      const { store, client, tables } = await open()
      const off = { TableName: tables.events, StreamSpecification: { StreamEnabled: false } }
      await client.updateTable(off)
      await client.updateTable({ ...off, StreamSpecification: { StreamEnabled: true, StreamViewType: view } })
      const { cursor } = await changes(store, { limit: 10 })
      const key = (id: string) => ({ AggregateTypeAndId: { S: `counter:${id}` }, AggregateIdSequence: { N: '1' } })
      await client.putItem({ TableName: tables.events, Item: { ...key('a:b'), AggregateType: { S: 'counter' } } })
      await client.putItem({
        TableName: tables.events,
        Item: { ...key('a:b'), AggregateType: { S: 'counter' }, FirstOfType: { S: 'counter' } },
      })
      await client.deleteItem({ TableName: tables.events, Key: key('a:b') })
      const page = await changes(store, { cursor, limit: 10 })
      expect(page.changes).toEqual([{ aggregateType: 'counter', aggregateId: 'a:b', sequence: 1 }])
      expect((await changes(store, { cursor: page.cursor, limit: 10 })).changes).toEqual([])
    },
  )
})

describe('a stream whose shards split', () => {
  /** Two hours in a story: the list of shards is read again. */
  const later = () => {
    const now = performance.now()
    vi.spyOn(performance, 'now').mockReturnValue(now + 7_200_000)
    return () => vi.restoreAllMocks()
  }
  const storeOn = ({ client, streamsClient }: ReturnType<typeof scriptedStream>) =>
    dynamoDbStore(client, { streams: true, streamsClient, busyTimeoutMs: 0 })

  it('readChanges reads parent shards first and each child to its end', async () => {
    const stream = scriptedStream()
    const parent = stream.add()
    stream.insert(parent, 'old', 1)
    const store = storeOn(stream)
    const { cursor } = await changes(store, { limit: 10 })
    stream.insert(parent, 'a', 1)
    stream.insert(parent, 'b', 1)
    stream.close(parent)
    const children = [stream.add(parent), stream.add(parent)] as const
    stream.insert(children[0], 'a', 2)
    stream.insert(children[1], 'b', 2)
    stream.insert(children[0], 'a', 3)
    for (const limit of [1, 2, 10]) {
      const { told, cursor: end } = await follow(() => storeOn(stream), cursor, limit)
      for (const id of ['a', 'b']) {
        const own = told.filter((one) => one.startsWith(id))
        expect(own).toEqual([...own].sort())
        expect(own.at(-1)).toBe(id === 'a' ? 'a:3' : 'b:2')
      }
      expect(told).not.toContain('old:1')
      expect(
        JSON.parse(end)
          .shards.map(([shard]: [string]) => shard)
          .sort(),
      ).toEqual([...children])
    }
  })

  it('readChanges finds all shards of a paged list', async () => {
    const stream = scriptedStream({ shardsPerPage: 2 })
    const shards = Array.from({ length: 5 }, () => stream.add())
    const store = storeOn(stream)
    const { cursor } = await changes(store, { limit: 10 })
    expect(stream.calls.filter((call) => call === 'describeStream')).toHaveLength(3)
    shards.forEach((shard, i) => {
      stream.insert(shard, `a${i}`, 1)
    })
    expect((await follow(store, cursor, 2)).told.sort()).toEqual(['a0:1', 'a1:1', 'a2:1', 'a3:1', 'a4:1'])
  })

  it('readChanges waits for all children of a finished shard, even if one is listed later', async () => {
    const stream = scriptedStream()
    const parent = stream.add()
    const store = storeOn(stream)
    const start = await changes(store, { limit: 10 })
    stream.insert(parent, 'a', 1)
    stream.close(parent)
    const [first, second] = [stream.add(parent, { listed: false }), stream.add(parent, { listed: false })]
    stream.insert(first, 'a', 2)
    stream.insert(second, 'b', 1)
    const { told, cursor } = await follow(store, start.cursor)
    expect(told).toEqual(['a:1'])
    expect(JSON.parse(cursor).shards).toEqual([[parent, 'done']])
    expect(await changes(store, { cursor, limit: 10 })).toEqual({ changes: [], cursor, more: false })
    stream.list(first)
    const behindFirst = await follow(store, cursor)
    expect(behindFirst.told).toEqual(['a:2'])
    stream.list(second)
    expect((await follow(() => storeOn(stream), behindFirst.cursor)).told).toEqual(['b:1'])
    expect((await follow(store, behindFirst.cursor)).told).toEqual([])
    const back = later()
    expect((await follow(store, behindFirst.cursor)).told).toEqual(['b:1'])
    back()
  })

  it('the first cursor has a position in a busy shard without a read of earlier records', async () => {
    const stream = scriptedStream()
    const shard = stream.add()
    stream.insert(shard, 'old', 1)
    const { getRecords } = stream.streamsClient
    stream.streamsClient.getRecords = (input) => {
      stream.streamsClient.getRecords = getRecords
      stream.insert(shard, 'a', 1)
      return getRecords(input)
    }
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    expect(stream.calls).toEqual(['describeStream', `LATEST ${shard}`, `getRecords ${shard}`])
    expect((await follow(() => storeOn(stream), cursor)).told).toEqual(['a:1'])
  })

  it.each([
    ['before its first record', []],
    ['after a record', ['old']],
  ])('readChanges takes a fresh iterator when a kept one %s is reported as trimmed', async (_, before) => {
    const stream = scriptedStream()
    const shard = stream.add()
    for (const id of before) stream.insert(shard, id, 1)
    const store = storeOn(stream)
    const start = await changes(store, { limit: 10 })
    const { cursor } = await changes(store, { cursor: start.cursor, limit: 10 })
    stream.lapse()
    expect((await changes(store, { cursor, limit: 10 })).changes).toEqual([])
    stream.lapse()
    stream.insert(shard, 'a', 1)
    const told = await follow(store, cursor)
    expect(told.told).toEqual(['a:1'])
    stream.trim(shard)
    stream.insert(shard, 'b', 1)
    expect((await follow(store, told.cursor)).told).toEqual(['b:1'])
    stream.insert(shard, 'c', 1)
    stream.trim(shard)
    await expect(changes(store, { cursor: told.cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
  })

  it('readChanges continues when the iterator after an empty page is reported as trimmed at once', async () => {
    const stream = scriptedStream()
    const shard = stream.add()
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    const { getRecords } = stream.streamsClient
    stream.streamsClient.getRecords = async (input) => {
      const page = await getRecords(input)
      stream.lapse()
      return page
    }
    const store = storeOn(stream)
    const page = await changes(store, { cursor, limit: 10 })
    expect(page.changes).toEqual([])
    stream.insert(shard, 'a', 1)
    expect((await follow(store, page.cursor)).told).toEqual(['a:1'])
  })

  it('the first cursor begins at the leaf shards only', async () => {
    const stream = scriptedStream()
    const parent = stream.add()
    stream.insert(parent, 'a', 1)
    stream.close(parent)
    const children = [stream.add(parent), stream.add(parent)]
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    expect(JSON.parse(cursor).shards.map(([shard]: [string]) => shard)).toEqual(children)
    expect(stream.calls.filter((call) => call.includes(parent))).toEqual([])
  })

  it('the first cursor is valid even if the first records expire meanwhile', async () => {
    const stream = scriptedStream()
    const shard = stream.add()
    stream.insert(shard, 'old', 1)
    const { getShardIterator } = stream.streamsClient
    stream.streamsClient.getShardIterator = async (input) => {
      const iterator = await getShardIterator(input)
      if (input.ShardIteratorType === 'TRIM_HORIZON') stream.trim(shard)
      return iterator
    }
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    stream.streamsClient.getShardIterator = getShardIterator
    stream.insert(shard, 'a', 1)
    expect((await follow(storeOn(stream), cursor)).told).toEqual(['a:1'])
  })

  it('a stream that is turned off is SCHEMA_MISSING even if the table still names it', async () => {
    const stream = scriptedStream()
    stream.turnOff()
    await expect(changes(storeOn(stream), { limit: 10 })).rejects.toMatchObject({ code: 'SCHEMA_MISSING' })
  })

  it('the first cursor of a long stream repeats some changes instead of missing one', async () => {
    const stream = scriptedStream()
    const shard = stream.add()
    for (let i = 1; i <= 10_500; i++) stream.insert(shard, 'old', i)
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    expect(stream.calls.filter((call) => call.startsWith('getRecords'))).toHaveLength(11)
    stream.insert(shard, 'a', 1)
    expect((await follow(storeOn(stream), cursor, 1_000)).told).toEqual(['old:10500', 'a:1'])
  })

  it('readChanges serves every shard in turn when the limit is low', async () => {
    const stream = scriptedStream()
    const shards = Array.from({ length: 4 }, () => stream.add())
    const store = storeOn(stream)
    let { cursor } = await changes(store, { limit: 10 })
    for (const shard of shards) for (let i = 1; i <= 20; i++) stream.insert(shard, shard, i)
    const seen = new Set<string>()
    for (let pages = 0; pages < 4; pages++) {
      const page = await changes(store, { cursor, limit: 1 })
      expect(page.changes).toHaveLength(1)
      for (const { aggregateId } of page.changes) seen.add(aggregateId)
      cursor = page.cursor
    }
    expect(seen.size).toBe(4)
  })

  it('a stream that has lost a shard of the cursor or records after it is STORE_BEHIND', async () => {
    const stream = scriptedStream()
    const [gone, cut] = [stream.add(), stream.add()]
    for (const shard of [gone, cut]) stream.insert(shard, 'a', 1)
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    stream.insert(cut, 'b', 1)
    stream.insert(cut, 'b', 2)
    stream.trim(cut)
    const cutOff = await changes(storeOn(stream), { limit: 10 })
    expect(cutOff.changes).toEqual([])
    await expect(changes(storeOn(stream), { cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
    stream.drop(gone)
    await expect(changes(storeOn(stream), { cursor: cutOff.cursor, limit: 10 })).rejects.toMatchObject({
      code: 'STORE_BEHIND',
      message: expect.stringContaining(gone),
    })
  })

  it('a cursor of an empty stream is STORE_BEHIND a day later because records may be gone', async () => {
    const stream = scriptedStream()
    stream.add()
    const { cursor } = await changes(storeOn(stream), { limit: 10 })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 19 * 3_600_000 })
    const page = await changes(storeOn(stream), { cursor, limit: 10 })
    expect(page.changes).toEqual([])
    vi.setSystemTime(Date.now() + 2 * 3_600_000)
    await expect(changes(storeOn(stream), { cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
    expect((await changes(storeOn(stream), { cursor: page.cursor, limit: 10 })).changes).toEqual([])
    vi.useRealTimers()
  })

  it('readChanges detects records that expired before they were read', async () => {
    const stream = scriptedStream()
    const parent = stream.add()
    const start = await changes(storeOn(stream), { limit: 10 })
    stream.insert(parent, 'a', 1)
    stream.close(parent)
    const child = stream.add(parent)
    stream.insert(child, 'a', 2)
    const first = await changes(storeOn(stream), { cursor: start.cursor, limit: 1 })
    const second = await changes(storeOn(stream), { cursor: first.cursor, limit: 0 })
    stream.trim(child)
    await expect(changes(storeOn(stream), { cursor: second.cursor, limit: 10 })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
  })

  it.each(Array.from({ length: 60 }, (_, i) => i + 1))(
    'random splits, delays and expiries (seed %i) lose no change and keep the order',
    async (seed) => {
      const random = randomOf(seed)
      const chance = (p: number) => random() < p
      const stream = scriptedStream({ shardsPerPage: 1 + Math.floor(random() * 4) })
      /** Aggregates by the open shard that they are written to. */
      const open = new Map<string, string[]>()
      const hidden: string[] = []
      const last = new Map<string, number>()
      const told = new Map<string, number[]>()
      for (const ids of [
        ['a', 'b', 'c'],
        ['d', 'e'],
      ])
        open.set(stream.add(), ids)
      const write = () => {
        for (const [shard, ids] of open)
          for (const id of ids) {
            if (!chance(0.4)) continue
            last.set(id, (last.get(id) ?? 0) + 1)
            stream.insert(shard, id, last.get(id) ?? 0)
          }
      }
      const split = () => {
        const [shard, ids] = [...open][Math.floor(random() * open.size)] as [string, string[]]
        open.delete(shard)
        stream.close(shard)
        const at = chance(0.5) ? 0 : Math.floor(random() * ids.length)
        for (const part of [ids.slice(0, at), ids.slice(at)]) {
          const listed = chance(0.5)
          const child = stream.add(shard, { listed })
          if (!listed) hidden.push(child)
          open.set(child, part)
          if (chance(0.3)) write()
        }
      }
      for (let i = 0; i < 5; i++) chance(0.5) ? write() : split()
      const before = new Map(last)
      let store = storeOn(stream)
      let { cursor } = await changes(store, { limit: 1 })
      const read = async () => {
        if (chance(0.3)) store = storeOn(stream)
        const fate = random()
        if (fate < 0.1) stream.expire()
        else if (fate < 0.2) stream.lapse()
        const page = await changes(store, { cursor, limit: 1 + Math.floor(random() * 6) })
        if (chance(0.1)) return true
        for (const { aggregateId: id, sequence } of page.changes) told.set(id, [...(told.get(id) ?? []), sequence])
        cursor = page.cursor
        return page.more
      }
      for (let i = 0; i < 80; i++) {
        if (chance(0.3)) write()
        if (chance(0.1)) split()
        if (chance(0.2)) for (const shard of hidden.splice(0, 1)) stream.list(shard)
        await read()
      }
      for (const shard of hidden) stream.list(shard)
      store = storeOn(stream)
      while (await read());
      for (const all of told.values()) expect(all).toEqual([...all].sort((a, b) => a - b))
      for (const [id, sequence] of last)
        if (sequence > (before.get(id) ?? 0)) expect([id, Math.max(...(told.get(id) ?? []))]).toEqual([id, sequence])
    },
  )
})

describe('dynamoDbChanges', () => {
  const keys = (key: string, sequence: string) => ({ AggregateTypeAndId: { S: key }, AggregateIdSequence: { N: sequence } })

  it('dynamoDbChanges returns one result per record of a Lambda event, in order', () => {
    const image = { ...keys('account:a', '2'), AggregateType: { S: 'account' }, AggregateId: { S: 'a' }, Payload: { B: 'e30=' } }
    const records = [
      {
        eventID: '1',
        eventName: 'INSERT' as const,
        eventSource: 'aws:dynamodb',
        dynamodb: { Keys: keys('account:a', '2'), NewImage: image },
      },
      { eventID: '2', eventName: 'MODIFY' as const, dynamodb: { Keys: keys('account:a', '2'), NewImage: image } },
      { eventID: '3', eventName: 'REMOVE' as const, dynamodb: { Keys: keys('account:a', '1') } },
      { eventID: '4', eventName: 'INSERT' as const, dynamodb: { Keys: { AggregateTypeAndId: { S: 'account:a' } } } },
      { eventID: '5', eventName: 'INSERT' as const, dynamodb: { Keys: { Pk: { S: 'view/1/balances' }, Sk: { B: 'YQ==' } } } },
      { eventID: '6', eventName: 'INSERT' as const, dynamodb: { Keys: keys('account:b:c', '1') } },
      { eventID: '7', eventName: 'INSERT' as const, dynamodb: { Keys: keys('no type', '1') } },
      { eventID: '8', eventName: 'INSERT' as const, dynamodb: { Keys: keys('account:b', 'x') } },
      {},
    ]
    expect(dynamoDbChanges(records)).toEqual([
      { aggregateType: 'account', aggregateId: 'a', sequence: 2 },
      undefined,
      undefined,
      undefined,
      undefined,
      { aggregateType: 'account', aggregateId: 'b:c', sequence: 1 },
      undefined,
      undefined,
      undefined,
    ])
  })

  it('dynamoDbChanges reads events of the Rust crate, also with a type that this package refuses', () => {
    const { Events } = JSON.parse(readFileSync(join(root, 'test/fixtures/rust/dynamodb.json'), 'utf8'))
    const inserts = Events.map((item: Record<string, { S: string; N: string }>) => ({
      eventName: 'INSERT',
      dynamodb: { Keys: keys(item.AggregateTypeAndId?.S ?? '', item.AggregateIdSequence?.N ?? ''), NewImage: item },
    }))
    const told = dynamoDbChanges(inserts)
    expect(told).toHaveLength(Events.length)
    told.forEach((change, i) => {
      expect(`${change?.aggregateType}:${change?.aggregateId}`).toBe(Events[i].AggregateTypeAndId.S)
    })
    const odd = { eventName: 'INSERT', dynamodb: { Keys: keys('a:b:c', '1'), NewImage: { AggregateType: { S: 'a:b' } } } }
    expect(dynamoDbChanges([odd])).toEqual([{ aggregateType: 'a:b', aggregateId: 'c', sequence: 1 }])
  })
})
