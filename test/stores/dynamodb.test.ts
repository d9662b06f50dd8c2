import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  ConditionalCheckFailedException,
  DynamoDB,
  DynamoDBClient,
  InternalServerError,
  ProvisionedThroughputExceededException,
  ResourceInUseException,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb'
import { createApp, defineAggregate, defineSubscription, defineView, typed } from 'cqrs-es'
import {
  type DynamoDbClient,
  type DynamoDbStore,
  type DynamoDbStoreOptions,
  dynamoDbStore,
  tableDefinitions,
} from 'cqrs-es/dynamodb'
import type { Commit, Store, ViewWrite } from 'cqrs-es/store'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { root } from '../run.ts'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { append, appendOne, commit, dataOf, failure } from './commits.ts'
import { dynamoDb, newTables, removeTables, watched } from './dynamodb-tables.ts'

const refused = { $metadata: { httpStatusCode: 400, attempts: 1 } }
const canceled = (...codes: readonly string[]) =>
  new TransactionCanceledException({ message: '', ...refused, CancellationReasons: codes.map((Code) => ({ Code })) })
const throttled = (attempts = 1) =>
  new ProvisionedThroughputExceededException({ message: '', $metadata: { httpStatusCode: 400, attempts } })
const fails = (error: unknown) => async () => {
  throw error
}
const bytes = (text: string) => ({ B: new TextEncoder().encode(text) })

describe.skipIf(unselected('dynamodb'))('the DynamoDB store', () => {
  let url: string
  const opened: { client: DynamoDB; tables: ReturnType<typeof newTables> }[] = []
  beforeAll(async () => {
    url = await serverUrl('dynamodb')
  })
  afterAll(async () => {
    await Promise.all(opened.map(({ client, tables }) => removeTables(client, tables)))
    for (const { client } of opened) client.destroy()
  })

  async function open(options: DynamoDbStoreOptions & { schema?: boolean; as?: ReturnType<typeof newTables> } = {}) {
    const { schema = true, as: tables = newTables(), ...rest } = options
    const client = dynamoDb(url)
    opened.push({ client, tables })
    const watch = watched(client)
    const store = dynamoDbStore(watch.client, { tables, busyTimeoutMs: 300, ...rest })
    if (schema) await store.createSchema()
    watch.reset()
    return { ...watch, raw: client, store, tables }
  }

  const saved = (id: string, expectedVersion: number, rest: Partial<ViewWrite> = {}): Commit => ({
    id: crypto.randomUUID(),
    appends: [],
    views: [{ name: 'balances', generation: 1, id, expectedVersion, view: { id }, ...rest }],
  })
  const indexed = (id: string, value: string) => saved(id, 0, { indexes: [{ index: 'owner', value }] })

  describe('client and options', () => {
    it('dynamoDbStore takes the DynamoDB client by its type', () => {
      expectTypeOf<DynamoDB>().toExtend<DynamoDbClient>()
      expectTypeOf<DynamoDBClient>().not.toExtend<DynamoDbClient>()
    })

    it('dynamoDbStore refuses another client and names the right one', () => {
      const bare = new DynamoDBClient({ region: 'local' }) as unknown as DynamoDbClient
      expect(() => dynamoDbStore(bare)).toThrow('expects new DynamoDB({ … }) from @aws-sdk/client-dynamodb')
      for (const nothing of [undefined, null, 'client', {}])
        expect(() => dynamoDbStore(nothing as unknown as DynamoDbClient)).toThrow('has no method "getItem"')
    })

    it.each([
      [{ table: {} }, "no option 'table'"],
      [{ tables: { event: 'Events' } }, "no option 'event'"],
      [{ tables: { events: 'a b' } }, '"tables.events" must be 3 to 255 characters'],
      [{ tables: { meta: 'ab' } }, '"tables.meta" must be 3 to 255 characters'],
      [{ tables: { views: "Views'; --" } }, '"tables.views" must be'],
      [{ tables: { events: 'Same', views: 'Same' } }, 'have the same name'],
      [{ idempotencyTtlSeconds: 0 }, '"idempotencyTtlSeconds" must be a whole number'],
      [{ idempotencyTtlSeconds: '1d' }, '"idempotencyTtlSeconds" must be a whole number'],
      [{ busyTimeoutMs: -1 }, '"busyTimeoutMs" must be a whole number'],
      [{ streams: 'yes' }, '"streams" must be true or false'],
    ])('dynamoDbStore refuses the options %j', (options, message) => {
      const build = () => dynamoDbStore(dynamoDb(url), options as DynamoDbStoreOptions)
      expect(build).toThrow(expect.objectContaining({ code: 'DEFINITION', message: expect.stringContaining(message) }))
    })
  })

  it('the type of the DynamoDB store says that it has no global order', async () => {
    const { store } = await open()
    expectTypeOf(store.capabilities.globalOrder).toEqualTypeOf<false>()
    expectTypeOf<DynamoDbStore>().toExtend<Store>()
    for (const read of [store.readFeed(), store.lastPosition(), store.endPosition()])
      await expect(read).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('no log of all aggregates'),
      })
    expect(await appendOne(store, commit('c1', 'a', 0))).toEqual({ kind: 'stored', positions: [] })
  })

  describe('requests', () => {
    it('a commit of one event sends one PutItem when its predecessor is known', async () => {
      const { store, calls, units } = await open()
      await store.append([commit('c1', 'a', 0), commit('c2', 'a', 1)])
      expect(calls).toEqual(['putItem', 'putItem'])
      expect(units).toEqual({ read: 0, write: 3 })
    })

    it('the first commit to an unknown aggregate reads the event before it once', async () => {
      const first = await open()
      await first.store.append([commit('c1', 'a', 0), commit('c2', 'a', 1)])
      const { store, calls } = await open({ as: first.tables, schema: false })
      await store.append([commit('c3', 'a', 2), commit('c4', 'a', 3)])
      expect(calls).toEqual(['getItem', 'putItem', 'putItem'])
    })

    it('a commit whose predecessor is missing sends no write', async () => {
      const { store, calls } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      calls.length = 0
      expect(await appendOne(store, commit('c2', 'a', 4))).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 1 })
      expect(calls).not.toContain('putItem')
      expect(await dataOf(store, 'a')).toHaveLength(1)
    })

    it('a commit of several parts sends one transaction', async () => {
      const { store, calls } = await open()
      await appendOne(store, commit('c1', 'a', 0, [1, 2, 3]))
      await appendOne(store, { ...commit('c2', 'b', 0), key: { idempotencyKey: 'k', commandHash: 'h' } })
      await appendOne(store, { ...commit('c3', 'c', 0), views: saved('row', 0).views ?? [] })
      expect(calls).toEqual(['transactWriteItems', 'transactWriteItems', 'transactWriteItems'])
    })

    it('events and their snapshot are one transaction, stored together or not at all', async () => {
      const { store, calls } = await open()
      const withSnapshot = (id: string): Commit => ({
        id,
        appends: commit(id, 'a', 0, [1, 2]).appends.map((one) => ({
          ...one,
          snapshot: { stateVersion: '1', state: { by: id } },
        })),
      })
      const read = () =>
        store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, snapshot: { stateVersion: '1' } })
      await appendOne(store, withSnapshot('c1'))
      expect(calls).toEqual(['transactWriteItems'])
      expect(await appendOne(store, withSnapshot('c2'))).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 2 })
      expect((await read()).snapshot).toEqual({
        sequence: 2,
        commitId: 'c1',
        stateVersion: '1',
        version: 1,
        state: { by: 'c1' },
      })
    })

    it('an empty commit sends nothing', async () => {
      const { store, calls } = await open()
      expect(await appendOne(store, { id: 'c1', appends: [] })).toEqual({ kind: 'stored', positions: [] })
      expect(calls).toEqual([])
    })

    it('a known row is saved with its index values without another read', async () => {
      const { store, calls } = await open()
      const owners = (version: number, ...values: string[]) =>
        saved('row', version, { indexes: values.map((value) => ({ index: value, value: `4${value}` })) })
      await appendOne(store, owners(0, 'a', 'b'))
      await appendOne(store, owners(1, 'b', 'c'))
      expect(calls).toEqual(['transactWriteItems', 'transactWriteItems'])
      const find = (index: string) =>
        store.findViews({ name: 'balances', generation: 1, where: [{ index, is: '=', value: `4${index}` }], limit: 9 })
      expect((await Promise.all(['a', 'b', 'c'].map(find))).map(({ items }) => items.length)).toEqual([0, 1, 1])
    })

    it('a read of a row of the live generation sends one request', async () => {
      const { store, calls } = await open()
      await appendOne(store, saved('row', 0))
      calls.length = 0
      await store.readViews([{ name: 'balances', generation: 'live', id: 'row' }])
      expect(calls).toEqual(['batchGetItem'])
    })
  })

  it('all reads for decisions are consistent', async () => {
    const { store, inputs, reset } = await open()
    const row = saved('row', 0, { indexes: [{ index: 'n', value: '4x' }] })
    await store.append([commit('c1', 'a', 0), row])
    reset()
    const where = [{ index: 'n', is: '=' as const, value: '4x' }]
    await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, snapshot: { stateVersion: '1' } })
    await store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: 'k' })
    await store.readViews([{ name: 'balances', generation: 'live', id: 'row' }])
    await store.findViews({ name: 'balances', generation: 'live', where: [], limit: 1 })
    await store.findViews({ name: 'balances', generation: 1, where, limit: 1 })
    await store.viewGenerations('balances')
    await store.readCheckpoint('mailer')
    await store.readConsumers?.(['mailer'])
    await appendOne(store, commit('c2', 'a', 0))
    const reads = inputs.filter((input) => !('Item' in input)).map((input) => JSON.stringify(input))
    expect(reads.length).toBeGreaterThan(9)
    expect(reads.filter((input) => !input.includes('"ConsistentRead":true'))).toEqual([])
  })

  it.each(['never', 'always'] as const)('an app runs on the store with and without snapshots', async (snapshots) => {
    const { store, tables } = await open()
    const counter = defineAggregate({
      type: 'counter',
      events: { Counted: typed<{ by: number }>() },
      commands: { Count: typed<{ by: number }>() },
      initialState: () => ({ sum: 0 }),
      snapshots,
      stateVersion: '1',
    }).implement({
      handle: { Count: (_, { by }) => ({ type: 'Counted', data: { by } }) },
      apply: { Counted: ({ sum }, { by }) => ({ sum: sum + by }) },
    })
    const sums = defineView({
      name: 'sums',
      aggregates: [counter],
      initialView: () => ({ sum: 0 }),
      update: { Counted: ({ sum }, { data }) => ({ sum: sum + data.by }) },
      indexes: ['sum'],
    })
    const stores = [store, (await open({ as: tables, schema: false })).store]
    const apps = stores.map((one) => createApp({ store: one, aggregates: { counter }, views: { sums }, maxAttempts: 51 }))
    const count = (app: (typeof apps)[number], n: number) =>
      app.aggregates.counter.execute('a', { type: 'Count', data: { by: n } }, { idempotencyKey: `k${n}` })
    const results = await Promise.all(apps.flatMap((app) => Array.from({ length: 10 }, (_, n) => count(app, n))))
    expect(results.map(({ ok }) => ok)).toEqual(Array(20).fill(true))
    for (const app of apps) {
      const { sequence, state } = await app.aggregates.counter.load('a')
      expect([sequence, state]).toEqual([10, { sum: 45 }])
      expect((await app.views.sums.load('a'))?.view).toEqual({ sum: 45 })
      expect((await app.views.sums.find({ sum: 45 })).items.map(({ id }) => id)).toEqual(['a'])
    }
  })

  it('replay reads the events of one aggregate, of one type or of all in pages', async () => {
    const { store, tables } = await open()
    const of = <T extends string>(type: T) =>
      defineAggregate({
        type,
        events: { Counted: typed<{ by: number }>() },
        commands: { Count: typed<{ by: readonly number[] }>() },
        initialState: () => ({}),
      }).implement({
        handle: { Count: (_, { by }) => by.map((n) => ({ type: 'Counted' as const, data: { by: n } })) },
        apply: { Counted: (state) => state },
      })
    const [drop, glass] = [of('drop'), of('glass')]
    const writer = createApp({ store, aggregates: { drop, glass } }).aggregates
    const counted = (by: readonly number[]) => ({ type: 'Count', data: { by } }) as const
    for (let commit = 0; commit < 5; commit++) await writer.drop.execute('long', counted(Array<number>(90).fill(commit)))
    await writer.drop.execute('short', counted([1]))
    await writer.glass.execute('long', counted([1]))
    const reader = createApp({ store: (await open({ as: tables, schema: false })).store, aggregates: { drop, glass } })
    const seen = async (options: Parameters<typeof reader.replay>[1]) => {
      const sequences = new Map<string, number[]>()
      const { events } = await reader.replay((handed) => {
        for (const { aggregateType, aggregateId, sequence } of handed) {
          const place = `${aggregateType} ${aggregateId}`
          sequences.set(place, [...(sequences.get(place) ?? []), sequence])
        }
      }, options)
      return { events, of: Object.fromEntries(sequences) }
    }
    const long = Array.from({ length: 450 }, (_, i) => i + 1)
    expect(await seen({ aggregate: drop, id: 'long' })).toEqual({ events: 450, of: { 'drop long': long } })
    expect(await seen({ aggregate: drop })).toEqual({ events: 451, of: { 'drop long': long, 'drop short': [1] } })
    expect(await seen({})).toEqual({ events: 452, of: { 'drop long': long, 'drop short': [1], 'glass long': [1] } })
  })

  describe('throttling of requests', () => {
    it('throttled reads and writes are retried', async () => {
      const { store, next, calls } = await open({ busyTimeoutMs: 5_000 })
      next('putItem', fails(throttled()), fails(throttled()))
      next('query', fails(throttled()))
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
      expect(await dataOf(store, 'a')).toHaveLength(1)
      expect(calls).toEqual(['putItem', 'putItem', 'putItem', 'query', 'query'])
    })

    it('lasting throttling is STORE_BUSY, never a conflict, and nothing is stored', async () => {
      const { store, next } = await open({ busyTimeoutMs: 60 })
      next('putItem', ...Array(99).fill(fails(throttled())))
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_BUSY', certain: true })
    })

    it('throttling after a retry of the SDK is uncertain because the first try may have succeeded', async () => {
      const { store, next } = await open({ busyTimeoutMs: 0 })
      next('putItem', fails(throttled(3)))
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_BUSY', certain: false })
    })

    it.each([['ThrottlingError'], ['ProvisionedThroughputExceeded'], ['TransactionConflict']])(
      'a transaction cancelled by %s is retried',
      async (reason) => {
        const { store, next, calls } = await open({ busyTimeoutMs: 5_000 })
        next('transactWriteItems', fails(canceled('None', reason)), fails(canceled(reason, 'None')))
        expect((await appendOne(store, commit('c1', 'a', 0, [1, 2]))).kind).toBe('stored')
        expect(calls).toEqual(['transactWriteItems', 'transactWriteItems', 'transactWriteItems'])
      },
    )

    it('throttling next to a failed condition is a conflict and not retried', async () => {
      const { store, next, calls } = await open()
      await appendOne(store, commit('c1', 'a', 0, [1, 2]))
      calls.length = 0
      next('transactWriteItems', fails(canceled('TransactionConflict', 'ConditionalCheckFailed')))
      const outcome = await appendOne(store, commit('c2', 'a', 0, [1, 2]))
      expect(outcome).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 2 })
      expect(calls.filter((call) => call === 'transactWriteItems')).toHaveLength(1)
    })

    it('a single event that is blocked by a transaction is retried', async () => {
      const { store, next } = await open({ busyTimeoutMs: 5_000 })
      next('putItem', fails(new TransactionConflictException({ message: '', ...refused })))
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('unprocessed keys of a batch read are requested again', async () => {
      const { store, next, calls, tables } = await open({ busyTimeoutMs: 5_000 })
      await store.append([saved('a', 0), saved('b', 0)])
      const key = (id: string) => ({ Pk: { S: 'view/1/balances' }, Sk: bytes(id) })
      const nothing = async () => ({ UnprocessedKeys: { [tables.views]: { Keys: [key('a'), key('b')] } } })
      const half = async (send: () => Promise<unknown>, input: { RequestItems: Record<string, { Keys: unknown[] }> }) => {
        input.RequestItems[tables.views]?.Keys.pop()
        return { ...((await send()) as object), UnprocessedKeys: { [tables.views]: { Keys: [key('b')] } } }
      }
      calls.length = 0
      next('batchGetItem', nothing, half as never)
      const ids = ['a', 'b'].map((id) => ({ name: 'balances', generation: 1, id }))
      expect((await store.readViews(ids)).map((row) => row?.view)).toEqual([{ id: 'a' }, { id: 'b' }])
      expect(calls).toEqual(['batchGetItem', 'batchGetItem', 'batchGetItem'])
    })
  })

  describe('an unknown outcome', () => {
    const lost = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET', $metadata: { attempts: 1 } })
    const broken = new InternalServerError({ message: '', $metadata: { httpStatusCode: 500, attempts: 1 } })

    it.each([
      ['a lost connection', lost],
      ['an internal error', broken],
    ])('a commit that is lost after %s is uncertain, and a repeat of it is recognised', async (_, error) => {
      const { store, next } = await open()
      const sent = [commit('c1', 'a', 0), commit('c2', 'b', 0, [1, 2])]
      const after = async (send: () => Promise<unknown>) => {
        await send()
        throw error
      }
      next('putItem', after)
      next('transactWriteItems', after)
      for (const outcome of await store.append(sent))
        expect(failure(outcome)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: false })
      expect((await store.append(sent)).map(({ kind }) => kind)).toEqual(['repeated', 'repeated'])
      expect(await dataOf(store, 'b')).toEqual([1, 2])
    })

    it('a commit that never arrived is uncertain, and a repeat of it is stored', async () => {
      const { store, next } = await open()
      next('putItem', fails(lost))
      expect(failure(await appendOne(store, commit('c1', 'a', 0))).certain).toBe(false)
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('a commit without a connection or credentials fails for certain', async () => {
      const { store, next } = await open()
      next('putItem', fails(Object.assign(new Error('connect'), { code: 'ECONNREFUSED', $metadata: { attempts: 1 } })))
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
      next('putItem', fails(Object.assign(new Error('Could not load'), { name: 'CredentialsProviderError' })))
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
    })

    it.each([
      ['a lone event', () => commit('c1', 'a', 0)],
      ['a transaction', () => ({ ...commit('c1', 'a', 0, [1, 2]), key: { idempotencyKey: 'k', commandHash: 'h' } })],
      ['a checkpoint', () => ({ id: 'c1', appends: [], checkpoint: { name: 'mailer', fence: 1, position: '1' } })],
    ])('a commit of %s that the SDK repeats by itself is recognised as its own', async (_, make: () => Commit) => {
      const { store, raw } = await open()
      await store.acquireLease({ name: 'mailer', holder: 'one', ttlMs: 60_000 })
      let attempts = 0
      raw.middlewareStack.add(
        (send) => async (request) => {
          const first = ++attempts === 1
          const answer = await send(request)
          if (first) throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError', code: 'ECONNRESET' })
          return answer
        },
        { step: 'finalizeRequest', priority: 'low', name: 'loseTheFirstAnswer' },
      )
      const outcome = await appendOne(store, make())
      expect(attempts).toBeGreaterThan(1)
      expect(['stored', 'repeated']).toContain(outcome.kind)
      expect((await store.append([make()]))[0]?.kind).toBe('repeated')
    })

    it('a read with a lost answer is retried', async () => {
      const { store, next } = await open({ busyTimeoutMs: 5_000 })
      await appendOne(store, commit('c1', 'a', 0))
      next('query', fails(lost), fails(broken))
      expect(await dataOf(store, 'a')).toHaveLength(1)
      next('query', fails(lost), fails(lost), fails(lost))
      await expect(dataOf(store, 'a')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    })
  })

  describe('a refusal', () => {
    it("a refusal that shows the commit's own event is a repeat without another read", async () => {
      const { store, calls } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      calls.length = 0
      expect(await appendOne(store, commit('c1', 'a', 0))).toEqual({ kind: 'repeated', positions: [] })
      expect(calls).toEqual(['putItem'])
    })

    it('a refusal that names one of several conditions is reported in the order of the port', async () => {
      const { store, next } = await open()
      const key = { idempotencyKey: 'k', commandHash: 'h' }
      await appendOne(store, { ...commit('c1', 'a', 0), key })
      next('transactWriteItems', fails(canceled('None', 'ConditionalCheckFailed')))
      expect(await appendOne(store, { ...commit('c2', 'a', 0), key })).toEqual({ kind: 'conflict', on: 'key' })
      next('transactWriteItems', fails(canceled('ConditionalCheckFailed', 'None')))
      expect(await appendOne(store, { ...commit('c1', 'a', 0), key })).toEqual({ kind: 'repeated', positions: [] })
    })

    it('a refusal whose reason cannot be read is uncertain', async () => {
      const { store, next } = await open({ busyTimeoutMs: 0 })
      await appendOne(store, commit('c1', 'a', 0, [1, 2]))
      next('transactWriteItems', fails(canceled('None', 'ConditionalCheckFailed')))
      next('getItem', fails(throttled()))
      expect(failure(await appendOne(store, commit('c1', 'a', 0, [1, 2])))).toMatchObject({ code: 'STORE_BUSY', certain: false })
      expect((await appendOne(store, commit('c1', 'a', 0, [1, 2]))).kind).toBe('repeated')
    })

    it('a refusal whose reason is gone is retried', async () => {
      const { store, next, calls } = await open()
      next('putItem', fails(new ConditionalCheckFailedException({ message: '', ...refused })))
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
      expect(calls.filter((call) => call === 'putItem')).toHaveLength(2)
    })

    it("a refusal of a part by DynamoDB's validation is not a conflict", async () => {
      const { store, next } = await open()
      next('transactWriteItems', fails(canceled('ValidationError', 'TransactionConflict')))
      expect(failure(await appendOne(store, commit('c1', 'a', 0, [1, 2])))).toMatchObject({ code: 'STORE_FAILED', certain: true })
    })

    it('a refusal by IAM names IAM', async () => {
      const { store, next } = await open()
      next('putItem', fails(Object.assign(new Error('no'), { name: 'AccessDeniedException', ...refused })))
      const failed = failure(await appendOne(store, commit('c1', 'a', 0)))
      expect(failed).toMatchObject({ code: 'STORE_FAILED', certain: true, message: expect.stringContaining('IAM') })
    })
  })

  describe('limits are checked before a request is sent', () => {
    const view = (id: string, values = 0): ViewWrite => ({
      ...{ name: 'balances', generation: 1, id, expectedVersion: 0, view: {} },
      indexes: Array.from({ length: values }, (_, i) => ({ index: `i${i}`, value: '4x' })),
    })

    it('a commit above 100 items is refused with a count of its parts', async () => {
      const { store, calls } = await open()
      const key = { idempotencyKey: 'k', commandHash: 'h' }
      const many = (id: string, count: number) =>
        commit(
          id,
          id,
          0,
          Array.from({ length: count }, (_, i) => i),
        )
      const full = { ...many('c1', 94), key, views: [view('a', 2), view('b')] }
      const over = { ...many('c2', 95), key, views: [view('c', 2), view('d')] }
      const outcomes = await store.append([full, over])
      expect(outcomes[0]?.kind).toBe('stored')
      const message = failure(outcomes[1] as never).message
      expect(message).toContain('101 items')
      expect(message).toContain('(key: 1, event: 95, generation: 1, view: 2, index value: 2); the limit is 100')
      expect(calls).toEqual(['transactWriteItems'])
    })

    it.each([
      ['400,000 bytes of an event', () => commit('c', 'a', 0, ['x'.repeat(400_001)]), 'the limit is 400,000'],
      [
        '400 KB of a view',
        () => ({ id: 'c', appends: [], views: [{ ...view('a'), view: 'x'.repeat(409_600) }] }),
        '409,600 (400 KB)',
      ],
      ['4 MB of a transaction', () => commit('c', 'a', 0, Array(11).fill('x'.repeat(390_000))), '4,194,304 (4 MB)'],
      ['1,024 bytes of a sort key', () => ({ id: 'c', appends: [], views: [view('x'.repeat(1_025))] }), '1,024'],
      ['2,048 bytes of a partition key', () => commit('c', 'x'.repeat(2_050), 0), '2,048'],
    ])('a commit above %s is refused with its limit', async (_, make: () => Commit, named) => {
      const { store, calls } = await open()
      const failed = failure(await appendOne(store, make()))
      expect(failed).toMatchObject({ code: 'STORE_LIMIT', certain: true, message: expect.stringContaining(named) })
      expect(calls).toEqual([])
    })

    it('a commit just below the limits is stored', async () => {
      const { store } = await open()
      const text = 'x'.repeat(399_900)
      const long = '漢'.repeat(255)
      const { appends } = commit('c1', long, 0, [text])
      const events = appends.map((one) => ({
        ...one,
        aggregateType: long,
        events: one.events.map((e) => ({ ...e, type: long, version: long })),
      }))
      expect((await appendOne(store, { id: 'c1', appends: events })).kind).toBe('stored')
      const most = Array.from({ length: 10 }, () => 'x'.repeat(399_900))
      expect((await appendOne(store, commit('c2', 'b', 0, most))).kind).toBe('stored')
      const read: unknown[] = []
      for (let more = true; more; ) {
        const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'b', after: read.length })
        read.push(...page.events.map(({ data }) => data))
        more = page.more
      }
      expect(read.length).toBe(10)
      expect(read.every((data, i) => data === most[i])).toBe(true)
    })
  })

  describe('an aggregate of more than a page of 1 MB', () => {
    it('an aggregate of several megabytes is read in pages, and only the last one reports no more', async () => {
      const { store, calls } = await open()
      const text = 'x'.repeat(250_000)
      for (let i = 0; i < 24; i++) await appendOne(store, commit(`c${i}`, 'a', i, [text]))
      calls.length = 0
      const sequences: number[][] = []
      for (let after = 0, more = true; more; ) {
        const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after })
        sequences.push(page.events.map(({ sequence }) => sequence))
        after = page.events.at(-1)?.sequence ?? after
        more = page.more
      }
      expect(sequences.flat()).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
      expect(sequences.length).toBeGreaterThan(1)
      expect(calls.length).toBeGreaterThan(3)
      expect(new Set(calls)).toEqual(new Set(['query']))
    })
  })

  describe('idempotency keys', () => {
    const keyed = (id: string, at: number, commandHash = 'h'): Commit => ({
      ...commit(id, 'a', at),
      key: { idempotencyKey: 'k', commandHash },
    })
    const read = (store: Store) => store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: 'k' })
    const storedKey = async ({ raw, tables }: Awaited<ReturnType<typeof open>>) =>
      (await raw.getItem({ TableName: tables.meta, Key: { Pk: { S: 'key/account:a' }, Sk: { S: 'k' } } })).Item

    it('idempotency keys expire after 30 days or idempotencyTtlSeconds', async () => {
      for (const [idempotencyTtlSeconds, seconds] of [
        [undefined, 2_592_000],
        [60, 60],
      ] as const) {
        const opened = await open(idempotencyTtlSeconds === undefined ? {} : { idempotencyTtlSeconds })
        await appendOne(opened.store, keyed('c1', 0))
        const expiresIn = Number((await storedKey(opened))?.ExpiresAt?.N) - Date.now() / 1_000
        expect(Math.abs(expiresIn - seconds)).toBeLessThan(10)
      }
    })

    it('idempotencyTtlSeconds: Infinity keeps keys forever', async () => {
      const opened = await open({ idempotencyTtlSeconds: Number.POSITIVE_INFINITY })
      await appendOne(opened.store, keyed('c1', 0))
      expect((await storedKey(opened))?.ExpiresAt).toBeUndefined()
    })

    it('expired keys are free even before DynamoDB has deleted them', async () => {
      const { store, raw, tables } = await open()
      await appendOne(store, keyed('c1', 0))
      expect(await appendOne(store, keyed('c2', 1))).toEqual({ kind: 'conflict', on: 'key' })
      await raw.updateItem({
        TableName: tables.meta,
        Key: { Pk: { S: 'key/account:a' }, Sk: { S: 'k' } },
        UpdateExpression: 'SET ExpiresAt = :past',
        ExpressionAttributeValues: { ':past': { N: '1' } },
      })
      expect(await read(store)).toBeUndefined()
      expect((await appendOne(store, keyed('c3', 1, 'new'))).kind).toBe('stored')
      expect(await read(store)).toMatchObject({ commandHash: 'new', commitId: 'c3' })
    })
  })

  describe('the tables', () => {
    it('tables are made as printSchema() and tableDefinitions() say', async () => {
      const { store, raw, tables } = await open({ streams: true })
      const printed = JSON.parse(store.printSchema())
      expect(printed).toEqual(tableDefinitions({ tables, streams: true }))
      for (const definition of tableDefinitions({ tables, streams: true })) {
        const { Table } = await raw.describeTable({ TableName: definition.TableName })
        expect(Table).toMatchObject({
          TableStatus: 'ACTIVE',
          KeySchema: definition.KeySchema,
          BillingModeSummary: { BillingMode: definition.BillingMode },
          ...(definition.StreamSpecification && { StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' } }),
        })
        const byName = (a: { AttributeName?: string | undefined }, b: { AttributeName?: string | undefined }) =>
          String(a.AttributeName).localeCompare(String(b.AttributeName))
        expect(Table?.AttributeDefinitions?.sort(byName)).toEqual(definition.AttributeDefinitions.sort(byName))
        const indexes = Table?.GlobalSecondaryIndexes?.map(({ IndexName, KeySchema, Projection }) => ({
          IndexName,
          KeySchema,
          Projection,
        }))
        expect(indexes).toEqual(definition.GlobalSecondaryIndexes)
        const expiry = await raw.describeTimeToLive({ TableName: definition.TableName })
        expect(expiry.TimeToLiveDescription?.AttributeName).toBe(definition.TimeToLiveSpecification?.AttributeName)
      }
    })

    it('the page of the store shows the tables as printSchema() prints them', () => {
      const page = readFileSync(`${root}docs/reference/stores/dynamodb-tables.md`, 'utf8')
      expect(page).toContain(`\`\`\`json\n${dynamoDbStore(dynamoDb(url)).printSchema()}\`\`\``)
    })

    it('tables of the crate are adopted with their items, and missing parts are added', async () => {
      const { store, raw, tables } = await open({ schema: false })
      const definition = { AttributeName: 'AggregateTypeAndId', AttributeType: 'S' } as const
      const hash = { AttributeName: 'AggregateTypeAndId', KeyType: 'HASH' } as const
      await raw.createTable({
        TableName: tables.events,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [definition, { AttributeName: 'AggregateIdSequence', AttributeType: 'N' }],
        KeySchema: [hash, { AttributeName: 'AggregateIdSequence', KeyType: 'RANGE' }],
      })
      await raw.createTable({
        TableName: tables.snapshots,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [definition],
        KeySchema: [hash],
      })
      await expect(store.readIds({ aggregateType: 'account', limit: 1 })).rejects.toMatchObject({
        code: 'SCHEMA_MISSING',
        message: expect.stringContaining('FirstEvents'),
      })
      await store.createSchema()
      await appendOne(store, commit('c1', 'a', 0))
      expect(await store.readIds({ aggregateType: 'account', limit: 9 })).toEqual({ items: ['a'], more: false })
    })

    it('tables with other keys are refused by name', async () => {
      const { store, raw, tables } = await open({ schema: false })
      await raw.createTable({
        TableName: tables.views,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'ViewId', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'ViewId', KeyType: 'HASH' }],
      })
      await expect(store.createSchema()).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining(tables.views),
      })
    })

    it('tables of a newer package version stay unchanged', async () => {
      const { store, raw, tables } = await open()
      await raw.putItem({ TableName: tables.meta, Item: { Pk: { S: 'schema' }, Sk: { S: '-' }, SchemaVersion: { N: '99' } } })
      await expect(store.createSchema()).rejects.toMatchObject({
        code: 'SCHEMA_TOO_NEW',
        message: expect.stringContaining('version 99'),
      })
    })

    it('createSchema() waits while another process makes the tables', async () => {
      const { store, client, tables } = await open({ schema: false })
      const spied = new Proxy(client, {
        get: (target, name) =>
          name === 'createTable'
            ? async (input: Parameters<DynamoDB['createTable']>[0]) => {
                await target.createTable(input)
                throw new ResourceInUseException({ message: '', ...refused })
              }
            : Reflect.get(target, name),
      })
      await dynamoDbStore(spied, { tables }).createSchema()
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })
  })

  describe('rows of the Rust crate', () => {
    const crateEvent = (type: string, id: string, sequence: number) => ({
      AggregateTypeAndId: { S: `${type}:${id}` },
      AggregateIdSequence: { N: String(sequence) },
      AggregateType: { S: type },
      AggregateId: { S: id },
      EventVersion: { S: '1.0' },
      EventType: { S: 'Opened' },
      Payload: bytes(`{"n":${sequence}}`),
      Metadata: bytes('{"time":"now"}'),
    })
    const snapshotOf = async (store: Store) =>
      (await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, snapshot: { stateVersion: '1' } }))
        .snapshot
    const withSnapshot = (id: string, at: number): Commit => ({
      id,
      appends: commit(id, 'a', at).appends.map((one) => ({ ...one, snapshot: { stateVersion: '1', state: { at } } })),
    })

    it('events of the crate are read and continued with items that the crate can read', async () => {
      const { store, raw, tables } = await open()
      for (const n of [1, 2]) await raw.putItem({ TableName: tables.events, Item: crateEvent('account', 'a', n) })
      const { events } = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 })
      expect(events[1]).toEqual({
        ...{ id: 'account/a/2', type: 'Opened', version: '1.0', data: { n: 2 }, metadata: { time: 'now' }, sequence: 2 },
        ...{ aggregateType: 'account', aggregateId: 'a', commitId: '', recordedAt: '1970-01-01T00:00:00.000Z' },
      })
      expect((await appendOne(store, commit('c1', 'a', 2))).kind).toBe('stored')
      const Key = { AggregateTypeAndId: { S: 'account:a' }, AggregateIdSequence: { N: '3' } }
      const { Item } = await raw.getItem({ TableName: tables.events, Key })
      expect(Item).toMatchObject({
        ...crateEvent('account', 'a', 3),
        EventType: { S: 'MoneyDeposited' },
        Payload: {},
        Metadata: {},
      })
      expect(new TextDecoder().decode(Item?.Payload?.B)).toBe('{"amount":1}')
    })

    it('snapshots of the crate are ignored, and their versions continue', async () => {
      const { store, raw, tables } = await open()
      const crate = {
        ...{ AggregateTypeAndId: { S: 'account:a' }, AggregateType: { S: 'account' }, AggregateId: { S: 'a' } },
        ...{ CurrentSequence: { N: '8' }, CurrentSnapshot: { N: '4' }, Payload: bytes('{"wrong":true}') },
      }
      await raw.putItem({ TableName: tables.snapshots, Item: crate })
      expect(await snapshotOf(store)).toBeUndefined()
      await appendOne(store, withSnapshot('c1', 0))
      expect(await snapshotOf(store)).toMatchObject({ sequence: 1, version: 5, state: { at: 0 } })
      await raw.updateItem({
        TableName: tables.snapshots,
        Key: { AggregateTypeAndId: { S: 'account:a' } },
        UpdateExpression: 'SET CurrentSequence = :further',
        ExpressionAttributeValues: { ':further': { N: '2' } },
      })
      expect(await snapshotOf(store)).toBeUndefined()
      await raw.putItem({ TableName: tables.snapshots, Item: crate })
      expect(await snapshotOf(store)).toBeUndefined()
    })

    it('events of a type with a colon never belong to another aggregate', async () => {
      const { store, raw, tables } = await open()
      for (const n of [1, 2]) await raw.putItem({ TableName: tables.events, Item: crateEvent('bank:account', 'a', n) })
      const read = (aggregateType: string, aggregateId: string) => store.readAggregate({ aggregateType, aggregateId, after: 0 })
      expect((await read('bank:account', 'a')).events).toHaveLength(2)
      expect(await read('bank', 'account:a')).toEqual({ events: [], more: false })
      for (const at of [0, 2]) {
        const outcome = await appendOne(store, { id: 'c1', appends: [append('c1', 'bank', 'account:a', at, [1])] })
        expect(failure(outcome)).toMatchObject({
          code: 'STORE_FAILED',
          certain: true,
          message: expect.stringContaining("bank:account 'a'"),
        })
      }
      expect((await read('bank:account', 'a')).events).toHaveLength(2)
    })
  })

  describe('a lease', () => {
    const take = (store: Store, holder: string, ttlMs = 60_000) => store.acquireLease({ name: 'mailer', holder, ttlMs })

    it('a lease expires only for a process that has watched it for its whole time, on any clock', async () => {
      const { store, tables } = await open()
      const other = await open({ as: tables, schema: false })
      await take(store, 'one', 60)
      await new Promise((resolve) => setTimeout(resolve, 80))
      vi.useFakeTimers({ now: Date.now() + 3_600_000, toFake: ['Date'] })
      const first = await take(other.store, 'two')
      vi.useRealTimers()
      expect(first).toMatchObject({ acquired: false, holder: 'one' })
      expect(await store.renewLease({ name: 'mailer', fence: 1, ttlMs: 60 })).toBe(true)
      await new Promise((resolve) => setTimeout(resolve, 80))
      expect(await take(other.store, 'two')).toMatchObject({ acquired: false, holder: 'one' })
      await new Promise((resolve) => setTimeout(resolve, 80))
      expect(await take(other.store, 'two')).toMatchObject({ acquired: true, fence: 2 })
    })

    it('a drain takes over the lease of a dead function, even in a new process', async () => {
      const { store, tables } = await open()
      const light = defineAggregate({
        type: 'light',
        events: { Lit: typed<{ by: string }>() },
        commands: { Light: typed<{ by: string }>() },
        initialState: () => ({}),
      }).implement({ handle: { Light: (_, data) => ({ type: 'Lit', data }) }, apply: { Lit: (state) => state } })
      const seen: string[] = []
      const log = defineSubscription({ name: 'log', aggregates: [light], handle: ({ id }) => void seen.push(id) })
      await store.acquireLease({ name: 'subscription/log', holder: 'dead', ttlMs: 200 })
      const other = await open({ as: tables, schema: false })
      const options = { aggregates: { light }, subscriptions: { log }, following: { leaseMs: 200 } }
      const app = createApp({ store: other.store, ...options })
      await app.aggregates.light.execute('l', { type: 'Light', data: { by: 'ann' } })
      expect(await app.drain({ budgetMs: 30_000 })).toEqual({ caughtUp: true, events: 1 })
      expect(seen).toEqual(['light/l/1'])
    })

    it('a lease that was acquired with a lost answer is acquired again with a greater fence', async () => {
      const { store, next } = await open()
      next('updateItem', async (send) => {
        await send()
        throw new ConditionalCheckFailedException({ message: '', ...refused })
      })
      expect(await take(store, 'one')).toMatchObject({ acquired: true, fence: 2 })
    })

    it('a checkpoint alone is one UpdateItem because it shares the item of its lease', async () => {
      const { store, calls } = await open()
      await take(store, 'one')
      calls.length = 0
      await appendOne(store, { id: 'p1', appends: [], checkpoint: { name: 'mailer', fence: 1, position: '7' } })
      expect(calls).toEqual(['updateItem'])
    })
  })

  describe('generations', () => {
    it('generations are kept in 64 copies so that commits rarely collide on them', async () => {
      const { store, raw, tables, inputs, reset } = await open()
      await store.addViewGeneration({ name: 'balances', generation: 2, viewVersion: '2' })
      const { Items } = await raw.scan({
        TableName: tables.meta,
        FilterExpression: 'begins_with(Pk, :pk)',
        ExpressionAttributeValues: { ':pk': { S: 'generations/' } },
      })
      expect(Items).toHaveLength(64)
      expect(new Set(Items?.map((item) => item.Generations?.S)).size).toBe(1)
      expect(new Set(Items?.map((item) => item.Pk?.S)).size).toBe(64)
      reset()
      await store.append(Array.from({ length: 50 }, (_, i) => saved(`row-${i}`, 0, { generation: 2 })))
      const checked = JSON.stringify(inputs).match(/generations\/\d+/g) ?? []
      expect(new Set(checked).size).toBeGreaterThan(10)
    })

    it('an interrupted removal hides its generation, and the next removal completes it', async () => {
      const { store, next, raw, tables } = await open()
      const generation = { name: 'balances', generation: 2 }
      await store.addViewGeneration({ ...generation, viewVersion: '2' })
      await store.append(['a', 'b'].map((id) => saved(id, 0, { generation: 2, indexes: [{ index: 'n', value: '4x' }] })))
      next('batchWriteItem', async (send) => send(), fails(Object.assign(new Error('stop'), refused)))
      await expect(store.removeViewGeneration(generation)).rejects.toMatchObject({ code: 'STORE_FAILED' })
      expect(await store.viewGenerations('balances')).toEqual([])
      expect(await store.addViewGeneration({ ...generation, viewVersion: '3' })).toBe(false)
      expect(await store.removeViewGeneration(generation)).toBe(true)
      expect((await raw.scan({ TableName: tables.views })).Items).toEqual([])
      expect(await store.addViewGeneration({ ...generation, viewVersion: '3' })).toBe(true)
    })

    it('removal deletes all of many rows, even if DynamoDB leaves some unprocessed', async () => {
      const { store, next, raw, tables } = await open({ busyTimeoutMs: 5_000 })
      const generation = { name: 'balances', generation: 2 }
      await store.addViewGeneration({ ...generation, viewVersion: '2' })
      await store.append(
        Array.from({ length: 130 }, (_, i) =>
          saved(`row-${i}`, 0, { generation: 2, indexes: [{ index: 'n', value: `4${i % 7}` }] }),
        ),
      )
      const unprocessed = async (_: unknown, input: { RequestItems: object }) => ({ UnprocessedItems: input.RequestItems })
      next('batchWriteItem', unprocessed as never, unprocessed as never)
      expect(await store.removeViewGeneration(generation)).toBe(true)
      expect((await raw.scan({ TableName: tables.views })).Items).toEqual([])
    })
  })

  describe('finding views', () => {
    const walk = async (store: Store, limit: number, descending: boolean) => {
      const found: (string | undefined)[] = []
      for (let after: { id: string; value?: string } | undefined; ; ) {
        const orderBy = { index: 'owner', descending }
        const page = await store.findViews({
          name: 'balances',
          generation: 1,
          where: [],
          orderBy,
          limit,
          ...(after && { after }),
        })
        found.push(...page.items.map(({ id }) => id))
        if (page.next === undefined) return found
        after = page.next
      }
    }

    it('findViews orders values that differ only beyond the length of a key', async () => {
      const { store } = await open()
      const start = '漢'.repeat(90)
      const values = ['b', 'a', '', 'c', 'a'].map((end) => `4${start}${end}`)
      const rows = [...values, '4a', `4${'漢'.repeat(85)}`, '4\u{1f600}'].map((value, i) => ({ id: `row-${i}`, value }))
      await store.append(rows.map(({ id, value }) => indexed(id, value)))
      const upwards = ['row-5', 'row-6', 'row-2', 'row-1', 'row-4', 'row-0', 'row-3', 'row-7']
      const downwards = ['row-7', 'row-3', 'row-0', 'row-1', 'row-4', 'row-2', 'row-6', 'row-5']
      for (const limit of [1, 2, 3, 9]) {
        expect(await walk(store, limit, false)).toEqual(upwards)
        expect(await walk(store, limit, true)).toEqual(downwards)
      }
      const where = [{ index: 'owner', is: '=' as const, value: values[1] as string }]
      const found = await store.findViews({ name: 'balances', generation: 1, where, limit: 1 })
      expect(found).toMatchObject({ items: [{ id: 'row-1' }], next: { id: 'row-1' } })
      const rest = await store.findViews({ name: 'balances', generation: 1, where, limit: 1, after: { id: 'row-1' } })
      expect(rest.items.map(({ id }) => id)).toEqual(['row-4'])
    })

    it('findViews finds a row by its new value when both values share a key', async () => {
      const { store } = await open()
      const [before, after] = ['a', 'b'].map((end) => `4${'x'.repeat(300)}${end}`) as [string, string]
      await appendOne(store, indexed('row', before))
      expect((await appendOne(store, saved('row', 1, { indexes: [{ index: 'owner', value: after }] }))).kind).toBe('stored')
      const find = async (value: string) =>
        (await store.findViews({ name: 'balances', generation: 1, where: [{ index: 'owner', is: '=', value }], limit: 9 })).items
          .length
      expect([await find(before), await find(after)]).toEqual([0, 1])
    })

    it('findViews returns descending pages when a value has more rows than a page', async () => {
      const { store } = await open()
      const rows = Array.from({ length: 60 }, (_, i) => ({
        id: `row-${String(i).padStart(2, '0')}`,
        value: `4${i < 30 ? 'a' : i < 55 ? 'b' : 'c'}`,
      }))
      await store.append(rows.map(({ id, value }) => indexed(id, value)))
      const ids = rows.map(({ id }) => id)
      const expected = [...ids.slice(55), ...ids.slice(30, 55), ...ids.slice(0, 30)]
      for (const limit of [1, 7, 24, 25, 60]) expect(await walk(store, limit, true)).toEqual(expected)
    })

    it('findViews ignores an index entry that its row no longer has', async () => {
      const { store, raw, tables } = await open()
      await appendOne(store, indexed('row', '4now'))
      const entry = {
        Pk: { S: 'index/1/8/balances/owner' },
        Sk: bytes('4then\0row'),
        ViewId: { S: 'row' },
        Value: { S: '4then' },
      }
      await raw.putItem({ TableName: tables.views, Item: entry })
      expect(await walk(store, 1, false)).toEqual(['row'])
    })

    it('a view with corrupt JSON is STORE_CORRUPT and named', async () => {
      const { store, raw, tables } = await open()
      await appendOne(store, saved('row', 0))
      await raw.updateItem({
        TableName: tables.views,
        Key: { Pk: { S: 'view/1/balances' }, Sk: bytes('row') },
        UpdateExpression: 'SET Payload = :bad',
        ExpressionAttributeValues: { ':bad': { S: '{"a' } },
      })
      await expect(store.readViews([{ name: 'balances', generation: 1, id: 'row' }])).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining("row 'row' of view 'balances'"),
      })
    })
  })

  describe('a server', () => {
    it('a server that is down is STORE_UNAVAILABLE', async () => {
      const nowhere = new DynamoDB({
        endpoint: 'http://127.0.0.1:1',
        region: 'local',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
        maxAttempts: 1,
      })
      const store = dynamoDbStore(nowhere, { busyTimeoutMs: 0 })
      await expect(dataOf(store, 'a')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
    })

    it("a server that never answers is noticed with the time limit of the store's page", async () => {
      const silent = createServer(() => {}).listen(0, '127.0.0.1')
      await once(silent, 'listening')
      const { port } = silent.address() as AddressInfo
      const client = new DynamoDB({
        endpoint: `http://127.0.0.1:${port}`,
        region: 'local',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
        maxAttempts: 1,
        requestHandler: { connectionTimeout: 1_000, requestTimeout: 50, throwOnRequestTimeout: true },
      })
      try {
        const store = dynamoDbStore(client, { busyTimeoutMs: 0 })
        await expect(dataOf(store, 'a')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
        const outcome = failure(await appendOne(store, commit('c1', 'a', 0)))
        expect(outcome).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: false })
      } finally {
        client.destroy()
        silent.close()
        silent.closeAllConnections()
      }
    })
  })
})
