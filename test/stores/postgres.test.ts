import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PGlite, PGlite as PGliteDatabase } from '@electric-sql/pglite'
import type * as neonTypes from '@neondatabase/serverless'
import { neon } from '@neondatabase/serverless'
import { createApp, defineAggregate, noData, typed } from 'cqrs-es'
import { type PostgresClient, type PostgresListener, type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'
import { comparePositions, type Position, type Store } from 'cqrs-es/store'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, describe, expect, expectTypeOf, it } from 'vitest'
import { freshDatabase } from '../servers/fresh.ts'
import { startPgBouncer } from '../servers/pgbouncer.ts'
import { startPostgres } from '../servers/postgres.ts'
import { unselected } from '../servers/stores.ts'
import { append, appendOne, commit, failure } from './commits.ts'
import { smokeTests } from './smoke.ts'

const closing: (() => Promise<unknown>)[] = []
afterAll(() => Promise.all(closing.map((close) => close())))

function poolOf(connectionString: string, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 8, ...options })
  pool.on('error', () => {})
  closing.push(() => pool.end())
  return pool
}

async function open(options: PostgresStoreOptions = {}, poolOptions: pg.PoolConfig = {}) {
  const url = await freshDatabase('postgres')
  const pool = poolOf(url, poolOptions)
  const store = postgresStore(pool, options)
  await store.createSchema()
  return { url, pool, store }
}

const counterAccount = defineAggregate({
  type: 'account',
  events: { MoneyDeposited: typed<unknown>() },
  commands: { DepositMoney: noData },
  initialState: () => ({}),
}).implement({
  handle: { DepositMoney: () => ({ type: 'MoneyDeposited', data: {} }) },
  apply: { MoneyDeposited: (state) => state },
})

/** What the crate, or anybody else, does: an event by plain SQL. */
const insert = (client: pg.ClientBase | pg.Pool, id: string, sequence: number) =>
  client.query(
    "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) VALUES ('account', $1, $2, 'E', '1.0', '{}', '{}')",
    [id, sequence],
  )

const idsFrom = async (store: Store, after?: Position) => {
  const page = await store.readFeed({ limit: 100, ...(after !== undefined && { after }) })
  return { ids: page.events.map(({ aggregateId }) => aggregateId), position: page.position, more: page.more }
}

describe.skipIf(unselected('postgres'))('the Postgres store', () => {
  describe('as a store', () => {
    smokeTests(async () => (await open()).store)
  })

  describe('with a driver that reads types in its own way', () => {
    const types = { getTypeParser: () => (text: string) => `read by us: ${text}` } as unknown as pg.CustomTypesConfig
    const parser = (oid: number) => (oid === 25 ? pg.types.getTypeParser(oid) : types.getTypeParser(oid))
    smokeTests(async () => (await open({}, { types: { getTypeParser: parser } as pg.CustomTypesConfig })).store)
  })

  describe('on a single client', () => {
    smokeTests(async () => {
      const client = new pg.Client({ connectionString: await freshDatabase('postgres') })
      await client.connect()
      closing.push(() => client.end())
      const store = postgresStore(client)
      await store.createSchema()
      return store
    })
  })

  describe('on postgres.js, in three lines', () => {
    smokeTests(async () => {
      const sql = postgres(await freshDatabase('postgres'), { onnotice: () => {} })
      closing.push(() => sql.end())
      const store = postgresStore({ query: async (text, values) => ({ rows: await sql.unsafe(text, values) }) })
      await store.createSchema()
      return store
    })
  })

  describe('on PGlite', () => {
    let database: PGlite | undefined
    let schemas = 0
    afterAll(() => database?.close())
    smokeTests(async () => {
      database ??= new PGliteDatabase()
      const store = postgresStore(database, { schema: `smoke_${++schemas}` })
      await store.createSchema()
      return store
    })
  })

  describe('in a transaction with a checkpoint', () => {
    async function withTable() {
      const opened = await open()
      await opened.pool.query('CREATE TABLE balances (id text PRIMARY KEY, balance integer NOT NULL)')
      const { store, pool } = opened
      const lease = async (holder = 'one') => {
        const answer = await store.acquireLease({ name: 'balances', holder, ttlMs: 60_000 })
        return answer.acquired ? answer.fence : 0
      }
      const fence = await lease()
      const move = (position: string, id = `c${position}`, with_: number = fence) => ({
        id,
        checkpoint: { name: 'balances', fence: with_, position },
      })
      const state = async () => ({
        balances: (await pool.query('SELECT id, balance FROM balances ORDER BY id')).rows.map(({ id, balance }) => [id, balance]),
        position: (await store.readCheckpoint('balances'))?.position,
        taken: pool.totalCount - pool.idleCount,
      })
      return { ...opened, lease, fence, move, state }
    }
    const put = (id: string, balance: number) => async (client: unknown) => {
      await (client as pg.PoolClient).query('INSERT INTO balances VALUES ($1, $2)', [id, balance])
    }
    const nothing = { balances: [], position: undefined, taken: 0 }

    it('rows of the user and the checkpoint are committed together', async () => {
      const { store, move, state } = await withTable()
      const during: unknown[] = []
      const outcome = await store.transact?.(move('1'), async (client) => {
        await put('a', 5)(client)
        during.push(await state())
      })
      expect(outcome).toEqual({ kind: 'stored', positions: [] })
      expect(during).toEqual([{ ...nothing, taken: 1 }])
      expect(await state()).toEqual({ balances: [['a', 5]], position: '1', taken: 0 })
      expect(await store.transact?.(move('1'), put('b', 6))).toEqual({ kind: 'repeated', positions: [] })
      expect((await state()).balances).toEqual([['a', 5]])
    })

    it('an error of the function passes through, stores nothing and keeps the connection usable', async () => {
      const { pool, store, move, state } = await withTable()
      const error = new Error('no such account')
      const failing = async (client: unknown) => {
        await put('a', 5)(client)
        throw error
      }
      await expect(store.transact?.(move('1'), failing)).rejects.toBe(error)
      const twice = async (client: unknown) => {
        await put('a', 5)(client)
        await put('a', 6)(client)
      }
      await expect(store.transact?.(move('1'), twice)).rejects.toMatchObject({ code: '23505', constraint: 'balances_pkey' })
      expect(await state()).toEqual(nothing)
      expect(pool.totalCount).toBeLessThanOrEqual(2)
      expect((await store.transact?.(move('1'), put('a', 7)))?.kind).toBe('stored')
      expect(await state()).toEqual({ balances: [['a', 7]], position: '1', taken: 0 })
    })

    it('a stale fence stores nothing', async () => {
      const { store, lease, fence, move, state } = await withTable()
      await store.releaseLease({ name: 'balances', fence })
      expect(await store.transact?.(move('1'), put('a', 5))).toEqual({ kind: 'conflict', on: 'fence' })
      await lease('two')
      expect(await store.transact?.(move('1'), put('a', 5))).toEqual({ kind: 'conflict', on: 'fence' })
      expect(await state()).toEqual(nothing)
    })

    it('a running function keeps its lease', async () => {
      const { store, lease, fence, move, state } = await withTable()
      await store.renewLease({ name: 'balances', fence, ttlMs: 1 })
      let taken: Promise<number> | undefined
      const outcome = await store.transact?.(move('1'), async (client) => {
        await put('a', 5)(client)
        taken = lease('two')
        await expect(Promise.race([taken, new Promise((resolve) => setTimeout(resolve, 100, 'waits'))])).resolves.toBe('waits')
      })
      expect(outcome?.kind).toBe('stored')
      expect(await taken).toBe(fence + 1)
      expect((await state()).balances).toEqual([['a', 5]])
    })

    it('a transaction is READ COMMITTED on any connection', async () => {
      const { url, store, move } = await withTable()
      const strict = postgresStore(poolOf(url, { options: '-c default_transaction_isolation=serializable' }))
      const levels: unknown[] = []
      const look = async (client: unknown) => {
        levels.push((await (client as pg.PoolClient).query('SHOW transaction_isolation')).rows[0]?.transaction_isolation)
      }
      expect((await strict.transact?.(move('1'), look))?.kind).toBe('stored')
      expect((await store.transact?.(move('2'), look))?.kind).toBe('stored')
      expect(levels).toEqual(['read committed', 'read committed'])
    })

    it('a connection that ends midway is a certain failure and leaves the pool', async () => {
      const { pool, store, move, state } = await withTable()
      const lose = async (client: unknown) => {
        await put('a', 5)(client)
        const { rows } = await (client as pg.PoolClient).query('SELECT pg_backend_pid() AS pid')
        const isLost = new Promise((resolve) => (client as pg.PoolClient).once('end', resolve))
        await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
        await isLost
      }
      const outcome = await store.transact?.(move('1'), lose)
      expect(failure(outcome as never)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
      const loseAndGoOn = async (client: unknown) => {
        await lose(client)
        await put('b', 6)(client)
      }
      await expect(store.transact?.(move('1'), loseAndGoOn)).rejects.toThrow('connection error')
      expect(await state()).toEqual(nothing)
      expect((await store.transact?.(move('1'), put('a', 7)))?.kind).toBe('stored')
    })

    /** The connection breaks when this statement was run. */
    const losing = (pool: pg.Pool, lost: RegExp) => {
      const connect = pool.connect.bind(pool) as () => Promise<pg.PoolClient>
      return {
        query: pool.query.bind(pool),
        connect: async () => {
          const client = await connect()
          const query = async (text: string, values?: unknown[]) => {
            const answer = await client.query(text, values)
            if (lost.test(text)) throw new Error('Connection terminated unexpectedly')
            return answer
          }
          return { query, release: (error?: boolean) => client.release(error) }
        },
      }
    }

    it('a COMMIT with a lost answer is uncertain, and a repeat recognises it', async () => {
      const { pool, store, move, state } = await withTable()
      const outcome = await postgresStore(losing(pool, /^COMMIT/)).transact?.(move('1'), put('a', 5))
      expect(failure(outcome as never)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: false })
      expect(await store.transact?.(move('1'), put('b', 6))).toEqual({ kind: 'repeated', positions: [] })
      expect(await state()).toEqual({ balances: [['a', 5]], position: '1', taken: 0 })
    })

    it.each([/^BEGIN/, /FOR NO KEY UPDATE/, /INSERT INTO .*checkpoints/])('a lost answer to %s is certain', async (lost) => {
      const { pool, move, state } = await withTable()
      const outcome = await postgresStore(losing(pool, lost)).transact?.(move('1'), put('a', 5))
      expect(failure(outcome as never)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
      expect(await state()).toEqual(nothing)
    })

    it('a connection that does not answer is not returned to the pool', async () => {
      const { url, move } = await withTable()
      const pool = poolOf(url, { query_timeout: 100 })
      const hang = (client: unknown) => (client as pg.PoolClient).query('SELECT pg_sleep(1)') as Promise<never>
      await expect(postgresStore(pool).transact?.(move('1'), hang)).rejects.toThrow('Query read timeout')
      expect(pool.totalCount).toBe(0)
    })

    it('a refused COMMIT is certain', async () => {
      const { pool, store, move, state } = await withTable()
      await pool.query('ALTER TABLE balances ADD FOREIGN KEY (balance) REFERENCES cqrs_es_schema DEFERRABLE INITIALLY DEFERRED')
      expect(failure((await store.transact?.(move('1'), put('a', 55))) as never)).toMatchObject({ certain: true })
      expect(await state()).toEqual(nothing)
    })

    it('a function that ends its transaction or continues an aborted one fails with advice', async () => {
      const { store, move, state } = await withTable()
      for (const end of ['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN'])
        await expect(
          store.transact?.(move('1'), (client) => (client as pg.PoolClient).query(end) as never),
        ).rejects.toMatchObject({
          code: 'STORE_FAILED',
          message: expect.stringContaining('ended its transaction'),
        })
      const swallow = async (client: unknown) => {
        await (client as pg.PoolClient).query('SELECT 1 / 0').catch(() => {})
      }
      const outcome = await store.transact?.(move('1'), swallow)
      expect(failure(outcome as never)).toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('use a savepoint'),
        certain: true,
      })
      expect(await state()).toEqual(nothing)
    })

    it('a timeout of the pool is certain', async () => {
      const { url, move } = await withTable()
      const pool = poolOf(url, { max: 1, connectionTimeoutMillis: 50 })
      const held = await pool.connect()
      const outcome = await postgresStore(pool).transact?.(move('1'), put('a', 5))
      expect(failure(outcome as never)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
      held.release()
    })

    it('transact works behind PgBouncer in transaction mode', async () => {
      const { url, move, state } = await withTable()
      const pooler = await startPgBouncer(url)
      closing.push(() => pooler.stop())
      const pooled = new URL(pooler.url)
      pooled.pathname = new URL(url).pathname
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, i) => postgresStore(poolOf(pooled.href)).transact?.(move('1', `c${i}`), put(`a${i}`, i))),
      )
      expect(outcomes.map((outcome) => outcome?.kind)).toEqual(Array(8).fill('stored'))
      expect((await state()).balances.length).toBe(8)
    })

    it('transact passes the transaction of PGlite to the function', async () => {
      const database = new PGliteDatabase()
      closing.push(() => database.close())
      const store = postgresStore(database)
      await store.createSchema()
      await database.exec('CREATE TABLE balances (id text PRIMARY KEY, balance integer NOT NULL)')
      await store.acquireLease({ name: 'balances', holder: 'one', ttlMs: 60_000 })
      const checkpoint = (position: string) => ({ name: 'balances', fence: 1, position })
      expect((await store.transact?.({ id: 'c1', checkpoint: checkpoint('1') }, put('a', 5)))?.kind).toBe('stored')
      const error = new Error('no such account')
      const failing = async (client: unknown) => {
        await put('b', 6)(client)
        throw error
      }
      await expect(store.transact?.({ id: 'c2', checkpoint: checkpoint('2') }, failing)).rejects.toBe(error)
      expect((await database.query('SELECT id FROM balances')).rows).toEqual([{ id: 'a' }])
      expect(await store.readCheckpoint('balances')).toEqual({ position: '1', fence: 1 })
    })

    it('transact refuses a client without a pool', async () => {
      const { url, fence, move } = await withTable()
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      closing.push(() => client.end())
      const query: PostgresClient['query'] = async () => ({ rows: [] })
      for (const single of [client, { query }, Object.assign(query, { query, transaction: async () => [] })])
        await expect(postgresStore(single).transact?.(move('1', 'c1', fence), () => {})).rejects.toMatchObject({
          code: 'DEFINITION',
          message: expect.stringContaining('a Pool'),
        })
    })
  })

  describe('with a listener', () => {
    async function listening(options: PostgresStoreOptions = {}) {
      const url = await freshDatabase('postgres')
      const listener = new pg.Client({ connectionString: url })
      await listener.connect()
      closing.push(() => listener.end())
      const pool = poolOf(url)
      const store = postgresStore(pool, { listener, ...options })
      await store.createSchema()
      return { url, pool, listener, store }
    }

    /** Watches; from the first wake-up on, which says that the server listens, each is counted. */
    async function watch(store: Store) {
      let wakes = -1
      const stop = store.watch?.(() => {
        wakes++
      })
      await until(() => wakes === 0)
      return { stop: () => stop?.(), wakes: () => wakes, wokenTimes: (times: number) => until(() => wakes >= times) }
    }

    async function until(holds: () => boolean) {
      while (!holds()) await pause(10)
    }

    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

    const channelsOf = async (client: pg.Client) =>
      (await client.query('SELECT pg_listening_channels() AS channel')).rows.map(({ channel }) => channel as string)

    /** A store whose messages wait until they are let through, and may fail. */
    function withMessages(pool: pg.Pool, options: PostgresStoreOptions, answer: () => Promise<unknown>) {
      let messages = 0
      const client: PostgresClient = {
        query: async (text, values) => {
          if (!text.includes('pg_notify')) return pool.query(text, values)
          messages++
          await answer()
          return { rows: [] }
        },
      }
      return { store: postgresStore(client, options), messages: () => messages }
    }

    it('a watcher is woken once per append and by nothing else', async () => {
      const { pool, listener, store } = await listening()
      const { wakes, wokenTimes, stop } = await watch(store)
      expect(store.capabilities.push).toBe(true)
      await listener.query('LISTEN others')
      await pool.query("SELECT pg_notify('others', '')")
      await appendOne(store, commit('c1', 'a', 0, [1, 2, 3]))
      await wokenTimes(1)
      expect((await appendOne(store, commit('c2', 'a', 0))).kind).toBe('conflict')
      const view = { name: 'balances', generation: 1, id: 'a', expectedVersion: 0, view: {} }
      expect((await appendOne(store, { id: 'c3', appends: [], views: [view] })).kind).toBe('stored')
      const other = postgresStore(pool, { schema: 'other', notify: true })
      await other.createSchema()
      await appendOne(other, commit('c4', 'a', 0))
      await pause(50)
      expect(wakes()).toBe(1)
      await appendOne(store, commit('c1', 'a', 0, [1, 2, 3]))
      await wokenTimes(2)
      stop()
    })

    it('watchers are woken by writers behind PgBouncer with and without a listener', async () => {
      const { url, listener, store } = await listening()
      const pooler = await startPgBouncer(url)
      closing.push(() => pooler.stop())
      const pooled = new URL(pooler.url)
      pooled.pathname = new URL(url).pathname
      const { wokenTimes, stop } = await watch(store)
      const writer = postgresStore(poolOf(pooled.href), { notify: true })
      expect([writer.capabilities.push, writer.watch]).toEqual([false, undefined])
      await appendOne(writer, commit('c1', 'a', 0))
      await wokenTimes(1)
      stop()
      const both = postgresStore(poolOf(pooled.href), { listener })
      const watched = await watch(both)
      await appendOne(both, commit('c2', 'a', 1))
      await watched.wokenTimes(1)
      watched.stop()
    })

    it('the store sends no notification without a listener or with `notify: false`', async () => {
      const { pool, listener } = await listening()
      for (const options of [{}, { listener, notify: false }]) {
        const { store, messages } = withMessages(pool, options, async () => {})
        expect((await appendOne(store, commit(crypto.randomUUID(), crypto.randomUUID(), 0))).kind).toBe('stored')
        expect(messages()).toBe(0)
      }
    })

    it('an append does not wait for its notification, and one pending one serves all later commits', async () => {
      const { pool } = await listening()
      let letThrough = () => {}
      const answer = () =>
        new Promise<void>((resolve) => {
          letThrough = resolve
        })
      const { store, messages } = withMessages(pool, { notify: true }, answer)
      for (let i = 0; i < 10; i++) expect((await appendOne(store, commit(`c${i}`, 'a', i))).kind).toBe('stored')
      expect(messages()).toBe(1)
      letThrough()
      await until(() => messages() === 2)
      letThrough()
      await pause(20)
      expect(messages()).toBe(2)
      await appendOne(store, commit('last', 'a', 10))
      expect(messages()).toBe(3)
    })

    it('a failed notification is ignored and the next one is sent', async () => {
      const { pool } = await listening()
      const { store, messages } = withMessages(pool, { notify: true }, () => Promise.reject(new Error('lost')))
      for (let i = 0; i < 3; i++) {
        expect((await appendOne(store, commit(`c${i}`, 'a', i))).kind).toBe('stored')
        await pause(5)
      }
      expect(messages()).toBe(3)
    })

    it('a listener that loses its connection without watchers does not end the process', async () => {
      const { pool, listener } = await listening()
      const ended = new Promise((resolve) => listener.once('end', () => resolve('ended')))
      const { rows } = await listener.query('SELECT pg_backend_pid() AS pid')
      await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
      expect(await ended).toBe('ended')
    })

    it('the listener listens only while there are watchers and leaves nothing behind', async () => {
      const { listener, store } = await listening()
      const handlers = () => [listener.listenerCount('notification'), listener.listenerCount('error')]
      const before = handlers()
      const [one, two] = [await watch(store), store.watch?.(() => {})]
      const [channel = '', ...others] = await channelsOf(listener)
      expect(channel).toMatch(/^cqrs_es_[0-9a-f]{8}$/)
      expect(others).toEqual([])
      one.stop()
      one.stop()
      expect(await channelsOf(listener)).toEqual([channel])
      two?.()
      expect(await channelsOf(listener)).toEqual([])
      expect(handlers()).toEqual(before)
      const again = await watch(store)
      await appendOne(store, commit('c1', 'a', 0))
      await again.wokenTimes(1)
      expect([one.wakes(), again.wakes()]).toEqual([0, 1])
      again.stop()
    })

    it('a listener that has lost its connection only stops wake-ups', async () => {
      const { pool, listener, store } = await listening()
      const { wakes, stop } = await watch(store)
      const { rows } = await listener.query('SELECT pg_backend_pid() AS pid')
      await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid])
      await pause(50)
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
      stop()
      const stopAgain = store.watch?.(() => {})
      await pause(50)
      stopAgain?.()
      await pause(20)
      expect(wakes()).toBe(0)
    })
  })

  it('postgresStore takes the documented clients by their types', () => {
    expectTypeOf<pg.Pool>().toExtend<PostgresClient>()
    expectTypeOf<pg.Client>().toExtend<PostgresClient>()
    expectTypeOf<pg.PoolClient>().toExtend<PostgresClient>()
    expectTypeOf<PGlite>().toExtend<PostgresClient>()
    expectTypeOf<neonTypes.Pool>().toExtend<PostgresClient>()
    expectTypeOf<neonTypes.Client>().toExtend<PostgresClient>()
    expectTypeOf<pg.Client>().toExtend<PostgresListener>()
    expectTypeOf<neonTypes.Client>().toExtend<PostgresListener>()
    expectTypeOf<pg.Pool>().not.toExtend<PostgresListener>()
    expectTypeOf<neonTypes.NeonQueryFunction<false, true>>().toExtend<PostgresClient>()
  })

  it('postgresStore refuses other clients, unknown options and invalid names', async () => {
    const client: PostgresClient = { query: async () => ({ rows: [] }) }
    const build = (options: unknown) => () => postgresStore(client, options as PostgresStoreOptions)
    expect(() => postgresStore(null as never)).toThrow('expects a Pool or Client of pg')
    expect(() => postgresStore({ execute() {} } as never)).toThrow('has no method "query"')
    expect(build({ shema: 'bank' })).toThrow('shema')
    expect(build({ schema: 'bank"; DROP TABLE events; --' })).toThrow('schema must be a name')
    expect(build({ schema: 'x'.repeat(41) })).toThrow('up to 40 letters')
    expect(build({ tables: { events: 'my events' } })).toThrow('tables.events must be a name')
    expect(build({ tables: { event: 'events' } })).toThrow('event')
    expect(build({ tables: { events: 'log', snapshots: 'log' } })).toThrow("the table name 'log' is used twice")
    expect(build({ payloadFormat: 'bson' })).toThrow("'json', 'serde-enum' or")
    expect(build({ preparedStatements: 'yes' })).toThrow('must be true or false')
    expect(build({ notify: 'yes' })).toThrow('must be true or false')
    expect(build({ listener: null })).toThrow('has no method "query"')
    expect(build({ listener: { query() {}, on() {} } })).toThrow('has no method "removeListener"')
    expect(build({ listener: new pg.Pool() })).toThrow('not a Pool')
    expect(() => postgresStore(neon('postgres://ann:x@example.com/bank', { fullResults: true }))).not.toThrow()
  })

  it('stores with other tables or schemas stay apart', async () => {
    const { pool, store } = await open()
    const names = ['events', 'snapshots', 'idempotencyKeys', 'views', 'viewIndexes', 'viewGenerations', 'checkpoints', 'leases']
    const tables = Object.fromEntries([...names, 'schemaVersion'].map((name) => [name, `bank_${name}`]))
    const other = postgresStore(pool, { tables })
    const third = postgresStore(pool, { schema: 'bank' })
    await Promise.all([other.createSchema(), third.createSchema()])
    await appendOne(store, commit('c1', 'a', 0, [1, 2]))
    expect(await appendOne(other, commit('c2', 'a', 0))).toEqual({ kind: 'stored', positions: ['1'] })
    expect((await appendOne(third, commit('c3', 'b', 0))).kind).toBe('stored')
    expect([(await idsFrom(store)).ids, (await idsFrom(other)).ids, (await idsFrom(third)).ids]).toEqual([
      ['a', 'a'],
      ['a'],
      ['b'],
    ])
  })

  describe('round trips', () => {
    async function counting(options: PostgresStoreOptions = {}) {
      const { pool, store } = await open(options)
      let calls = 0
      const client: PostgresClient = {
        query: (...query: Parameters<PostgresClient['query']>) => {
          calls++
          return pool.query(...query)
        },
      }
      const counted = postgresStore(client, options)
      const callsOf = async (work: () => Promise<unknown>) => {
        calls = 0
        await work()
        return calls
      }
      return { store, counted, callsOf }
    }

    it('a commit, a batch and a conflict cost one query each', async () => {
      const { counted, callsOf } = await counting()
      const { fence } = (await counted.acquireLease({ name: 'mailer', holder: 'me', ttlMs: 60_000 })) as { fence: number }
      const [first] = commit('c1', 'a', 0, [1, 2, 3]).appends
      const whole = {
        id: 'c1',
        appends: [{ ...(first as ReturnType<typeof append>), snapshot: { stateVersion: '1', state: {} } }],
        key: { idempotencyKey: 'k', commandHash: 'h' },
        views: [{ name: 'v', generation: 1, id: 'a', expectedVersion: 0, view: {}, indexes: [{ index: 'i', value: '0' }] }],
        checkpoint: { name: 'mailer', fence, position: '1' },
      }
      expect(await callsOf(() => counted.append([whole]))).toBe(1)
      const batch = Array.from({ length: 100 }, (_, i) => commit(`b${i}`, `b${i}`, 0))
      expect(await callsOf(() => counted.append(batch))).toBe(1)
      expect(await callsOf(() => counted.append([commit('late', 'a', 1)]))).toBe(1)
      expect(await callsOf(() => counted.append([whole]))).toBe(1)
      const chain = [commit('d1', 'a', 3), commit('d2', 'a', 4), commit('d3', 'a', 5)]
      expect(await callsOf(() => counted.append(chain))).toBe(1)
      const mixed = [...batch.map((_, i) => commit(`e${i}`, `b${i}`, 1)), commit('stale', 'a', 1)]
      expect(await callsOf(() => counted.append(mixed))).toBe(2)
    })

    it('each read costs one query', async () => {
      const { counted, callsOf } = await counting()
      await counted.append([commit('c1', 'a', 0)])
      const aggregate = { aggregateType: 'account', aggregateId: 'a', after: 0 }
      expect(await callsOf(() => counted.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } }))).toBe(1)
      expect(
        await callsOf(() => counted.readViews([1, 2, 3].map((i) => ({ name: 'v', generation: 'live' as const, id: String(i) })))),
      ).toBe(1)
      expect(await callsOf(() => counted.findViews({ name: 'v', generation: 'live', where: [], limit: 5 }))).toBe(1)
      expect(await callsOf(() => counted.readFeed({ limit: 5 }))).toBe(1)
      expect(await callsOf(() => counted.acquireLease({ name: 'l', holder: 'h', ttlMs: 1 }))).toBe(1)
      expect(await callsOf(async () => counted.readConsumers?.(['l', 'm', 'n']))).toBe(1)
    })
  })

  describe('commit order of the log', () => {
    /** A reader who asks for what is behind the last position it has seen. */
    const naive = async (pool: pg.Pool, after: string) =>
      (await pool.query('SELECT position::text, aggregate_id FROM events WHERE position > $1 ORDER BY position', [after]))
        .rows as {
        position: string
        aggregate_id: string
      }[]

    it('a reader waits for an open writer with a lower position', async () => {
      const { pool, store } = await open()
      await appendOne(store, commit('c0', 'before', 0))
      const slow = await pool.connect()
      await slow.query('BEGIN')
      await insert(slow, 'slow', 1)
      await appendOne(store, commit('c1', 'fast', 0))

      const first = await idsFrom(store)
      expect(first).toEqual({ ids: ['before'], position: '1', more: false })
      expect(await store.lastPosition()).toBe('1')
      const naiveFirst = await naive(pool, '0')
      await slow.query('COMMIT')
      slow.release()
      expect((await idsFrom(store, first.position)).ids).toEqual(['slow', 'fast'])
      const naiveSecond = await naive(pool, naiveFirst.at(-1)?.position ?? '0')
      expect(
        [...naiveFirst, ...naiveSecond].map((row) => row.aggregate_id),
        'what a naive reader misses',
      ).not.toContain('slow')
    })

    it('a transaction that began earlier may append later', async () => {
      const { pool, store } = await open()
      const early = await pool.connect()
      await early.query('BEGIN')
      await early.query('SELECT * FROM events')
      await appendOne(store, commit('c1', 'a', 0))
      const first = await idsFrom(store)
      await insert(early, 'early', 1)
      await appendOne(store, commit('c2', 'b', 0))
      expect(first.ids).toEqual(['a'])
      expect((await idsFrom(store, first.position)).ids).toEqual([])
      await early.query('COMMIT')
      early.release()
      expect((await idsFrom(store, first.position)).ids).toEqual(['early', 'b'])
    })

    it('positions of a rolled back writer stay empty, and no reader waits for them', async () => {
      const { pool, store } = await open()
      const slow = await pool.connect()
      await slow.query('BEGIN')
      await insert(slow, 'slow', 1)
      await appendOne(store, commit('c1', 'a', 0))
      await slow.query('ROLLBACK')
      slow.release()
      expect(await idsFrom(store)).toEqual({ ids: ['a'], position: '2', more: false })
    })

    it('the log stays in order when lock numbers wrap around', async () => {
      const { pool, store } = await open()
      await pool.query("SELECT setval('events_position_seq', 2147483646)")
      const slow = await pool.connect()
      await slow.query('BEGIN')
      await insert(slow, 'slow', 1)
      for (const id of ['a', 'b', 'c']) await appendOne(store, commit(id, id, 0))
      expect(await idsFrom(store)).toEqual({ ids: [], position: '2147483646', more: false })
      // The lock of this one has a small number again.
      const later = await pool.connect()
      await later.query('BEGIN')
      await insert(later, 'later', 1)
      await appendOne(store, commit('d', 'd', 0))
      await slow.query('COMMIT')
      slow.release()
      const passed = await idsFrom(store, '2147483646' as Position)
      await later.query('COMMIT')
      later.release()
      expect(passed).toEqual({ ids: ['slow', 'a', 'b', 'c'], position: '2147483650', more: false })
      expect((await idsFrom(store, passed.position)).ids).toEqual(['later', 'd'])
    })

    it('concurrent writers with rollbacks are read in order, unlike by a naive reader', async () => {
      const { pool, store } = await open({}, { max: 12 })
      let writing = true
      const writer = async (name: number) => {
        for (let i = 0; i < 40; i++) {
          const client = await pool.connect()
          await client.query('BEGIN')
          await insert(client, `${name}-${i}`, 1)
          await client.query('SELECT pg_sleep(random() * 0.004)')
          await client.query(i % 5 === 0 ? 'ROLLBACK' : 'COMMIT')
          client.release()
          await appendOne(store, commit(`${name}-${i}`, `ours-${name}-${i}`, 0, [1, 2]))
        }
      }
      const read = async (step: (after: string) => Promise<{ ids: readonly string[]; after: string }>) => {
        const seen: string[] = []
        for (let after = '0', last = false; !last; ) {
          last = !writing
          const page = await step(after)
          seen.push(...page.ids)
          after = page.after
        }
        return seen
      }
      const writers = Promise.all(Array.from({ length: 8 }, (_, i) => writer(i))).finally(() => {
        writing = false
      })
      const [ours, naives] = await Promise.all([
        read(async (after) => {
          const page = await store.readFeed({ limit: 1_000, ...(after !== '0' && { after: after as Position }) })
          return { ids: page.events.map(({ id }) => id), after: page.position ?? '0' }
        }),
        read(async (after) => {
          const rows = await naive(pool, after)
          return { ids: rows.map((row) => row.aggregate_id), after: rows.at(-1)?.position ?? after }
        }),
        writers,
      ])
      const { rows } = await pool.query(
        "SELECT 'account/' || aggregate_id || '/' || sequence AS id FROM events ORDER BY position",
      )
      expect(ours).toEqual(rows.map((row) => row.id))
      expect(ours.length).toBe(8 * 40 * 2 + 8 * 32)
      expect(naives.length, 'what a naive reader has seen').toBeLessThan(ours.length)
    })

    it('a copy restored into another cluster is read in order', async () => {
      const { pool, store } = await open()
      for (const id of ['a', 'b', 'c']) await appendOne(store, commit(id, id, 0))
      const { position } = await idsFrom(store)
      const copy = await open()
      const { rows } = await pool.query('SELECT row_to_json(event) AS event FROM events AS event ORDER BY aggregate_id DESC')
      for (const row of rows)
        await copy.pool.query('INSERT INTO events SELECT * FROM json_populate_record(NULL::events, $1)', [row.event])
      await copy.pool.query("SELECT setval('events_position_seq', $1, true)", [position])
      expect(await idsFrom(copy.store)).toEqual({ ids: ['a', 'b', 'c'], position, more: false })
      expect(await idsFrom(copy.store, position)).toEqual({ ids: [], position, more: false })
      await appendOne(copy.store, commit('d', 'd', 0))
      expect((await idsFrom(copy.store, position)).ids).toEqual(['d'])
      await appendOne(store, commit('d', 'd', 0))
      await appendOne(store, commit('e', 'e', 0))
      await expect(copy.store.readFeed({ limit: 1, after: '5' as Position })).rejects.toMatchObject({ code: 'STORE_BEHIND' })
    })

    it('a writer without triggers is read in order', async () => {
      const { pool, store } = await open()
      const slow = await pool.connect()
      await slow.query("BEGIN; SET LOCAL session_replication_role = 'replica'")
      await insert(slow, 'slow', 1)
      await appendOne(store, commit('c1', 'fast', 0))
      expect((await idsFrom(store)).ids).toEqual([])
      await slow.query('COMMIT')
      slow.release()
      expect((await idsFrom(store)).ids).toEqual(['slow', 'fast'])
    })

    it('a standby refuses to read the log', async () => {
      const server = await startPostgres()
      closing.push(() => server.stop())
      const first = poolOf(server.url)
      await postgresStore(first).createSchema()
      await server.kill()
      await writeFile(join(server.data, 'standby.signal'), '')
      await server.start()
      const store = postgresStore(poolOf(server.url))
      await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject({ code: 'STORE_READ_ONLY' })
      await expect(store.lastPosition()).rejects.toMatchObject({ code: 'STORE_READ_ONLY' })
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_READ_ONLY', certain: true })
    })
  })

  it('events are read in order wherever their rows lie', async () => {
    const { pool, store } = await open()
    for (let i = 0; i < 30; i++) await appendOne(store, commit(`c${i}`, `a${i % 3}`, Math.floor(i / 3)))
    await pool.query('CREATE TEMP TABLE shuffled AS SELECT * FROM events ORDER BY md5(position::text)')
    await pool.query('DELETE FROM events')
    await pool.query('INSERT INTO events SELECT * FROM shuffled')
    const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a1', after: 0 })
    expect(page.events.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    const feed = (await store.readFeed({ limit: 50 })).events.map(({ position }) => position as Position)
    expect(feed).toEqual([...feed].sort(comparePositions))
    expect(feed.length).toBe(30)
  })

  it('a page of large events ends early', async () => {
    const { store } = await open()
    const noise = () => Array.from({ length: 40_000 }, () => Math.random().toString(36).slice(2)).join('')
    for (let i = 0; i < 12; i++) await appendOne(store, commit(`c${i}`, 'a', i, [{ noise: noise() }]))
    const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 })
    expect(page.more).toBe(true)
    expect(page.events.length).toBeGreaterThan(3)
    expect(page.events.length).toBeLessThan(12)
    const feed = await store.readFeed({ limit: 100 })
    expect([feed.more, feed.events.length < 12, feed.position]).toEqual([true, true, feed.events.at(-1)?.position])
  })

  it('small aggregates are read whole next to a huge one, in pages bounded by bytes', async () => {
    const { pool, store } = await open()
    const noise = () => Array.from({ length: 40_000 }, () => Math.random().toString(36).slice(2)).join('')
    for (let i = 0; i < 12; i++) await appendOne(store, commit(`huge${i}`, 'huge', i, [{ noise: noise() }]))
    const small = Array.from({ length: 50 }, (_, i) => `small-${i}`)
    await store.append(small.map((id) => commit(id, id, 0, [{ id }])))
    const answers: unknown[] = []
    const noting = postgresStore({
      query: async (text, values) => {
        const answer = await pool.query(text, values)
        answers.push(answer.rows)
        return answer
      },
    })
    const read = (aggregateId: string) => noting.readAggregate({ aggregateType: 'account', aggregateId, after: 0 })
    const [first, huge, ...others] = await Promise.all(['small-0', 'huge', ...small.slice(1), 'unknown'].map(read))
    expect([first, ...others.slice(0, -1)].map((page) => [page?.events.map(({ data }) => data), page?.more])).toEqual(
      small.map((id) => [[{ id }], false]),
    )
    expect(others.at(-1)).toEqual({ events: [], more: false })
    expect(huge?.more).toBe(true)
    expect(huge?.events.length).toBeGreaterThan(3)
    expect(answers.length).toBe(2)
    for (const rows of answers) expect(JSON.stringify(rows).length).toBeLessThan(6_000_000)
  })

  it('a thousand aggregates are read in a few calls, of which a corrupt one fails alone', async () => {
    const { pool, store } = await open()
    const ids = Array.from({ length: 1_000 }, (_, i) => `a-${i}`)
    await store.append(ids.map((id) => commit(id, id, 0, [{ id }])))
    await pool.query('ALTER TABLE events ALTER COLUMN payload TYPE text')
    await pool.query(`UPDATE events SET payload = '{"a' WHERE aggregate_id = 'a-500'`)
    let calls = 0
    const counting = postgresStore({
      query: (text, values) => {
        calls++
        return pool.query(text, values)
      },
    })
    const pages = await Promise.allSettled(
      ids.map((aggregateId) => counting.readAggregate({ aggregateType: 'account', aggregateId, after: 0 })),
    )
    expect(pages.flatMap(({ status }, at) => (status === 'rejected' ? [at] : []))).toEqual([500])
    expect(pages[500]).toMatchObject({ reason: { code: 'DESERIALIZATION' } })
    expect(pages[999]).toMatchObject({ value: { events: [{ data: { id: 'a-999' } }], more: false } })
    expect(calls).toBeLessThan(20)
  })

  it('a caller that gives up does not disturb the others that are read with it', async () => {
    const { store } = await open()
    await store.append(['a', 'b', 'c'].map((id) => commit(id, id, 0)))
    const { account } = createApp({ store, aggregates: { account: counterAccount } }).aggregates
    const leaving = new AbortController()
    const commands = ['a', 'b', 'c'].map((id) =>
      account.execute(id, { type: 'DepositMoney' }, id === 'b' ? { signal: leaving.signal } : {}),
    )
    leaving.abort(new Error('gone'))
    const [a, b, c] = await Promise.allSettled(commands)
    expect([a, b, c]).toMatchObject([{ value: { sequence: 2 } }, { status: 'rejected' }, { value: { sequence: 2 } }])
  })

  it('a connection that dies under a gathered read costs no caller anything', async () => {
    const { pool, store } = await open()
    const ids = Array.from({ length: 30 }, (_, i) => `a-${i}`)
    await store.append(ids.map((id) => commit(id, id, 0)))
    let dead = 2
    const dying = postgresStore({
      query: (text, values) =>
        dead-- > 0
          ? Promise.reject(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
          : pool.query(text, values),
    })
    const { account } = createApp({ store: dying, aggregates: { account: counterAccount } }).aggregates
    const loaded = await Promise.all(ids.map((id) => account.load(id)))
    expect(loaded.map(({ sequence }) => sequence)).toEqual(ids.map(() => 1))
  })

  it('positions are in list order, whatever the order of the keys', async () => {
    const { store } = await open()
    const ids = ['m', 'z', 'a', 'Z', 'é', '\u{1f600}', '\uff5e', 'b']
    const outcomes = await store.append([
      ...ids.map((id) => commit(id, id, 0)),
      { id: 'both', appends: [append('both', 'account', 'z', 1, [1, 2]), append('both', 'account', 'a', 1, [3])] },
    ])
    const log = await idsFrom(store)
    expect(log.ids).toEqual([...ids, 'z', 'z', 'a'])
    const positions = outcomes.flatMap((outcome) => (outcome.kind === 'stored' ? outcome.positions : []))
    expect(positions).toEqual([...positions].sort(comparePositions))
    expect(positions.length).toBe(11)
  })

  it('an id with a lone surrogate or NUL is refused, and the others of its batch are stored', async () => {
    const { store } = await open()
    const ids = ['a', 'b\ud800', '"\\{},NULL', 'c\0', 'NULL', '\n\t ']
    const outcomes = await store.append(ids.map((id, i) => commit(`c${i}`, id, 0)))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['stored', 'failed', 'stored', 'failed', 'stored', 'stored'])
    expect(outcomes[1]).toMatchObject({ certain: true })
    expect((await idsFrom(store)).ids).toEqual(['a', '"\\{},NULL', 'NULL', '\n\t '])
  })

  it('the store works with the documented grants and can do nothing more', async () => {
    const { url, pool, store } = await open()
    const role = `writer_${process.pid}`
    await pool.query(`CREATE ROLE ${role} LOGIN`)
    closing.push(async () => {})
    await pool.query(`REVOKE ALL ON SCHEMA public FROM PUBLIC; ${grants(role)}`)
    const limited = poolOf(Object.assign(new URL(url), { username: role }).toString())
    const mine = postgresStore(limited)
    await mine.createSchema()
    expect((await appendOne(mine, commit('c1', 'a', 0))).kind).toBe('stored')
    expect(await mine.acquireLease({ name: 'l', holder: 'h', ttlMs: 1_000 })).toMatchObject({ acquired: true, fence: 1 })
    await mine.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })
    await mine.append([{ id: 'v', appends: [], views: [{ name: 'v', generation: 2, id: 'a', expectedVersion: 0, view: {} }] }])
    await mine.removeViewGeneration({ name: 'v', generation: 2 })
    expect((await mine.readFeed({ limit: 1 })).events.length).toBe(1)
    await expect(limited.query('DELETE FROM events')).rejects.toMatchObject({ code: '42501' })
    await expect(limited.query("UPDATE events SET payload = '{}'")).rejects.toMatchObject({ code: '42501' })
    await pool.query(`REVOKE INSERT ON events FROM ${role}`)
    expect(failure(await appendOne(mine, commit('c2', 'a', 1)))).toMatchObject({ code: 'STORE_FAILED', certain: true })
    expect(failure(await appendOne(mine, commit('c3', 'a', 1))).message).toContain('lacks a privilege')
    expect((await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 1 })).events).toEqual([])
    await pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })

  it('a database in another encoding is refused', async () => {
    const { pool, url } = await open()
    const name = `latin_${process.pid}`
    await pool.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0`)
    const latin = postgresStore(poolOf(Object.assign(new URL(url), { pathname: `/${name}` }).toString()))
    await expect(latin.createSchema()).rejects.toThrow(
      'has the encoding LATIN1. The store needs a database that was created with UTF8',
    )
  })

  it('printSchema() prints one statement that makes the schema', async () => {
    const pool = poolOf(await freshDatabase('postgres'))
    const store = postgresStore(pool, { schema: 'bank' })
    await pool.query(store.printSchema())
    await pool.query(store.printSchema())
    expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
  })

  describe('query plans', () => {
    /** Runs the whole port on filled tables and gives the plan of every statement, those inside of functions too. */
    async function plans(prepare: (pool: pg.Pool) => Promise<unknown>) {
      const { pool, store: filling } = await open({}, { max: 1 })
      await prepare(pool)
      const client = await pool.connect()
      const seen: string[] = []
      client.on('notice', ({ message }) => seen.push(message ?? ''))
      await client.query(
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET client_min_messages = log",
      )
      client.release()
      await wholePort(filling)
      return seen.filter((message) => message.includes('Query Text:'))
    }

    const tables = 'events|state_snapshots|idempotency_keys|views|view_indexes|view_generations|checkpoints|leases'
    const scan = new RegExp(`Seq Scan on (public\\.)?(${tables})\\b`)

    it.each([
      ['filled and analysed', fill],
      ['still empty', async () => {}],
    ])('every statement uses an index on tables that are %s', async (_, prepare) => {
      const all = await plans(prepare)
      expect(all.length).toBeGreaterThan(40)
      expect(all.filter((plan) => scan.test(plan)).join('\n')).toBe('')
      for (const table of tables.split('|'))
        expect(
          all.some((plan) => new RegExp(`Index.* on (public\\.)?${table}\\b`).test(plan)),
          table,
        ).toBe(true)
    })
  })
})

/** As on the page of the store. */
const grants = (role: string) => `
GRANT USAGE ON SCHEMA public TO ${role};
GRANT SELECT, INSERT ON events, idempotency_keys TO ${role};
GRANT SELECT, INSERT, UPDATE, DELETE ON state_snapshots, views, view_indexes, view_generations TO ${role};
GRANT SELECT, INSERT, UPDATE ON checkpoints, leases TO ${role};
GRANT SELECT ON cqrs_es_schema TO ${role};
GRANT SELECT, USAGE ON SEQUENCE events_position_seq TO ${role};`

async function fill(pool: pg.Pool): Promise<void> {
  await pool.query(`
INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, commit_id)
SELECT 'account', 'f' || i / 10, i % 10 + 1, 'E', '1.0', '{}', '{}', 'f' FROM generate_series(0, 19999) AS i;
INSERT INTO state_snapshots SELECT 'account', 'f' || i, 10, 1, '{}', '1', 10 FROM generate_series(0, 1999) AS i;
INSERT INTO idempotency_keys SELECT 'account', 'f' || i, 'k', 'h', 'f', 1, 1 FROM generate_series(0, 1999) AS i;
INSERT INTO views SELECT name, 1, 'f' || i, 1, '{"n":1}', 1 FROM generate_series(0, 4999) AS i, unnest(ARRAY['balances', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) AS name;
INSERT INTO view_indexes SELECT name, 1, 'f' || i, x, sha256(convert_to(length(name) || ':' || name || x, 'UTF8')), '4' || i % 100
FROM generate_series(0, 1999) AS i, unnest(ARRAY['n', 'm']) AS x, unnest(ARRAY['balances', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) AS name;
INSERT INTO view_generations SELECT 'v' || i, 1, '1', 'live' FROM generate_series(0, 999) AS i;
INSERT INTO checkpoints SELECT 'c' || i, '1', 1, 'f' FROM generate_series(0, 999) AS i;
INSERT INTO leases SELECT 'c' || i, 'h', 1, now() FROM generate_series(0, 999) AS i;
ANALYZE;`)
}

/** Calls everything that the port has, in the ways that make different statements. */
async function wholePort(store: Store): Promise<void> {
  const taken = await store.acquireLease({ name: 'mailer', holder: 'h', ttlMs: 60_000 })
  const fence = taken.acquired ? taken.fence : 0
  const row = (id: string, at: number, value: string) => ({
    ...{ name: 'balances', generation: 1, id, expectedVersion: at, view: { at }, indexes: [{ index: 'n', value }] },
  })
  const whole = (id: string, at: number, position: string) => ({
    id,
    appends: [{ ...append(id, 'account', 'a', at, [1, 2]), snapshot: { stateVersion: '1', state: {} } }],
    key: { idempotencyKey: id, commandHash: 'h' },
    views: [row('a', at / 2, '4a'), row(`b${at}`, 0, '4b')],
    checkpoint: { name: 'mailer', fence, position },
  })
  for (const [at, id] of [
    [0, 'one'],
    [2, 'two'],
    [2, 'two'],
    [2, 'late'],
  ] as const)
    await store.append([whole(id, at, id)])
  const aggregate = { aggregateType: 'account', aggregateId: 'a', after: 0 }
  await store.readAggregate(aggregate)
  await store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } })
  await store.readIds({ aggregateType: 'account', limit: 5 })
  await store.readKey({ ...aggregate, idempotencyKey: 'one' })
  await store.readViews([{ name: 'balances', generation: 'live', id: 'a' }])
  const find = { name: 'balances', generation: 'live' as const, limit: 5 }
  const conditions = [
    { index: 'n', is: '=' as const, value: '4a' },
    { index: 'm', is: '>' as const, value: '4' },
  ]
  for (const where of [[], conditions.slice(0, 1), conditions])
    for (const order of [{}, { orderBy: { index: 'n' } }, { orderBy: { index: 'n', descending: true } }])
      for (const after of [{}, { after: { id: 'a', value: '4a' } }]) await store.findViews({ ...find, where, ...order, ...after })
  await store.addViewGeneration({ name: 'balances', generation: 2, viewVersion: '2' })
  await store.switchViewGeneration({ name: 'balances', from: 1, to: 2 })
  await store.removeViewGeneration({ name: 'balances', generation: 1 })
  await store.viewGenerations('balances')
  await store.readFeed({ limit: 5 })
  await store.readFeed({ limit: 5, only: [{ aggregateType: 'account', eventTypes: ['E'] }] })
  await store.lastPosition()
  await store.readCheckpoint('mailer')
  await store.renewLease({ name: 'mailer', fence, ttlMs: 1_000 })
  await store.releaseLease({ name: 'mailer', fence })
}
