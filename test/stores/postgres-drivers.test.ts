import { createServer, connect as dial } from 'node:net'
import { PGlite, type PGliteInterface } from '@electric-sql/pglite'
import { createApp } from 'cqrs-es'
import { type PostgresClient, type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'
import type { Store } from 'cqrs-es/store'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, describe, expect, test } from 'vitest'
import { freshDatabase } from '../servers/fresh.ts'
import { unselected } from '../servers/stores.ts'
import { counter } from '../support/counter.ts'
import { appendOne, commit, failure, readLog } from './commits.ts'
import { use } from './use-tables.ts'

const closing: (() => Promise<unknown>)[] = []
afterAll(() => Promise.all(closing.map((close) => close())))

function poolOf(connectionString: string, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 4, ...options })
  pool.on('error', () => {})
  closing.push(() => pool.end())
  return pool
}

/** A pool whose values of these types are read in this way. */
const reading = (url: string, parse: (oid: number) => ((text: string) => unknown) | undefined): pg.Pool => {
  const getTypeParser = (oid: number, format: never) => parse(oid) ?? pg.types.getTypeParser(oid, format)
  return poolOf(url, { types: { getTypeParser } as pg.CustomTypesConfig })
}

async function database(events = 0) {
  const url = await freshDatabase('postgres')
  const store = postgresStore(poolOf(url))
  await store.createSchema()
  if (events > 0)
    await appendOne(
      store,
      commit(
        'c1',
        'Åsa ',
        0,
        Array.from({ length: events }, (_, i) => i),
      ),
    )
  return { url, store }
}

const aggregate = { aggregateType: 'account', aggregateId: 'Åsa ', after: 0 }

async function all(store: Store) {
  const data: unknown[] = []
  for (let after = 0, more = true; more; after = data.length) {
    const page = await store.readAggregate({ ...aggregate, after })
    data.push(...page.events.map((event) => event.data))
    more = page.more
  }
  return data
}

describe.skipIf(unselected('postgres'))('the Postgres store', () => {
  const everyType = (parse: (text: string) => unknown) => (oid: number) => (oid === pg.types.builtins.TEXT ? undefined : parse)

  test.each<[string, (oid: number) => ((text: string) => unknown) | undefined]>([
    ['booleans as 1 and 0', (oid) => (oid === 16 ? (text) => (text === 't' ? 1 : 0) : undefined)],
    ["booleans as 't' and 'f'", (oid) => (oid === 16 ? (text) => text : undefined)],
    ['numbers as bigints', (oid) => ([20, 21, 23].includes(oid) ? BigInt : undefined)],
    ['dates as numbers', (oid) => ([1082, 1114, 1184].includes(oid) ? (text) => Date.parse(text) : undefined)],
    ['JSON as text', (oid) => ([114, 3802].includes(oid) ? (text) => text : undefined)],
    ['every type but text as undefined', everyType(() => undefined)],
  ])('1,051 events of an aggregate and of the log are read when a driver returns %s', async (_, parse) => {
    const { url } = await database(1_051)
    const store = postgresStore(reading(url, parse))
    expect(await all(store)).toEqual(Array.from({ length: 1_051 }, (_, i) => i))
    expect(await readLog(store)).toHaveLength(1_051)
    expect(await store.readFeed({ limit: 1_000 })).toMatchObject({ position: '1000', more: true })
    expect(await store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).toBe(true)
    expect(await store.switchViewGeneration({ name: 'v', from: 1, to: 2 })).toBe(true)
    expect(await store.removeViewGeneration({ name: 'v', generation: 2 })).toBe(false)
    await store.createSchema()
  })

  describe('drivers that change values', () => {
    const overPostgresJs = (options: postgres.Options<Record<string, postgres.PostgresType>>) => (url: string) => {
      const sql = postgres(url, { onnotice: () => {}, max: 2, ...options })
      closing.push(() => sql.end())
      return { query: async (text, values) => ({ rows: await sql.unsafe(text, values) }) } satisfies PostgresClient
    }
    const value = (from: (value: unknown) => unknown) => overPostgresJs({ transform: { value: { from } } })
    const parsing = (parse: (text: string) => unknown) => (url: string) =>
      reading(url, (oid) => (oid === pg.types.builtins.TEXT ? parse : undefined))
    const answering = (change: (rows: Record<string, unknown>[]) => unknown) => (url: string) => {
      const pool = poolOf(url)
      return {
        query: async (text: string, values?: unknown[]) => change((await pool.query(text, values)).rows),
      } as PostgresClient
    }

    const drivers: readonly (readonly [string, (url: string) => PostgresClient, RegExp])[] = [
      [
        'writes columns in camel case',
        overPostgresJs({ transform: postgres.camel }),
        /"(aggregate_type|aggregate_id|log_end|command_hash)".*"(aggregateType|aggregateId|logEnd|commandHash)"/,
      ],
      ['writes columns in Pascal case', overPostgresJs({ transform: postgres.pascal }), /it is called "[A-Z]/],
      ['writes columns in kebab case', overPostgresJs({ transform: postgres.kebab }), /it is called "[a-z]+-/],
      ['leaves columns out', overPostgresJs({ transform: { row: { from: () => ({}) } } }), /found none/],
      ['trims texts', value((text) => (typeof text === 'string' ? text.trim() : text)), /kind/],
      ['writes texts in lower case', value((text) => (typeof text === 'string' ? text.toLowerCase() : text)), /kind/],
      ['reads texts as numbers', parsing((text) => Number(text)), /number|text/],
      [
        'reads texts as JSON where they are',
        parsing((text) => {
          try {
            return JSON.parse(text)
          } catch {
            return text
          }
        }),
        /as (object|number)/,
      ],
      ['gives bytes for texts', parsing((text) => Buffer.from(text)), /as object/],
      [
        'gives rows as arrays',
        (url) => {
          const pool = poolOf(url)
          return { query: (text, values = []) => pool.query({ text, values, rowMode: 'array' }) }
        },
        /array mode/,
      ],
      ['answers with the rows alone', answering((rows) => rows), /fullResults/],
      ['answers nothing', answering(() => undefined), /must resolve to an object with "rows"/],
    ]

    test.each(drivers)('the store refuses to read through a driver that %s', async (_, clientOf, message) => {
      const { url } = await database(3)
      const store = postgresStore(clientOf(url))
      const refused = { code: 'STORE_FAILED', message: expect.stringMatching(message) }
      await expect(store.readAggregate(aggregate)).rejects.toMatchObject(refused)
      await expect(store.readFeed({ limit: 9 })).rejects.toMatchObject({ code: 'STORE_FAILED' })
      const app = createApp({ store, aggregates: { counter } })
      await expect(
        app.aggregates.counter.execute('c', { type: 'Count', data: { by: 1 } }).then(() => app.aggregates.counter.load('c')),
      ).rejects.toMatchObject({ code: expect.stringMatching(/^(STORE_FAILED|OUTCOME_UNKNOWN)$/) })
    })

    test('the store refuses to read through PGlite with its own parser for texts', { timeout: 180_000 }, async () => {
      const database = await PGlite.create()
      closing.push(() => database.close())
      const store = postgresStore(database)
      await store.createSchema()
      await appendOne(store, commit('c1', 'Åsa ', 0, [1, 2]))
      const parsing = (parsers: PGliteInterface['parsers']): PostgresClient => ({
        query: (text, values) => database.query(text, values, { parsers }),
      })
      expect(await all(postgresStore(parsing({ 16: (text: string) => (text === 't' ? 1 : 0), 20: BigInt })))).toEqual([1, 2])
      const upper = postgresStore(parsing({ 25: (text: string) => text.toUpperCase() }))
      await expect(upper.readAggregate(aggregate)).rejects.toMatchObject({ code: 'STORE_FAILED' })
      await expect(upper.readFeed({ limit: 9 })).rejects.toMatchObject({ code: 'STORE_FAILED' })
    })
  })

  describe('prepared statements', () => {
    const schemas = ['one', 'two'].map((end) => `a_schema_whose_name_is_very_long_in_${end}`)

    test('prepared statements of schemas with a common prefix stay apart on one connection', async () => {
      const pool = poolOf(await freshDatabase('postgres'), { max: 1 })
      const stores = schemas.map((schema) => postgresStore(pool, { schema, preparedStatements: true }))
      for (const store of stores) await store.createSchema()
      for (const [i, store] of stores.entries()) await appendOne(store, commit('c1', `a${i}`, 0))
      for (const [i, store] of stores.entries()) {
        expect((await store.readFeed({ limit: 9 })).events.map(({ aggregateId }) => aggregateId)).toEqual([`a${i}`])
        const request = { aggregateType: 'account', aggregateId: `a${i}`, after: 0, snapshot: { stateVersion: '1' } }
        expect((await store.readAggregate(request)).events).toHaveLength(1)
      }
      const { rows } = await pool.query('SELECT name FROM pg_prepared_statements ORDER BY name')
      const names = rows.map(({ name }) => name as string)
      expect(new Set(names).size).toBe(6)
      for (const name of names) expect(name.length).toBeLessThan(63)
    })
  })

  describe('createSchema() on an existing schema', () => {
    const tables = [
      'snapshots',
      'idempotencyKeys',
      'views',
      'viewIndexes',
      'viewGenerations',
      'checkpoints',
      'leases',
      'schemaVersion',
    ]

    test.each(tables)('createSchema() adds what is missing when tables.%s is changed on an existing schema', async (table) => {
      const { url, store } = await database()
      await use(store, 'a')
      const renamed = postgresStore(poolOf(url), { tables: { [table]: 'renamed' } as PostgresStoreOptions['tables'] & {} })
      await renamed.createSchema()
      await use(renamed, 'b')
      await use(store, 'c')
      expect((await readLog(renamed)).map(({ aggregateId }) => aggregateId)).toEqual(['a', 'b', 'c'])
    })

    test('createSchema() makes a separate log when tables.events is changed', async () => {
      const { url, store } = await database()
      await use(store, 'a')
      const renamed = postgresStore(poolOf(url), { tables: { events: 'renamed' } })
      await renamed.createSchema()
      await appendOne(renamed, commit('b', 'b', 0))
      expect((await readLog(renamed)).map(({ aggregateId }) => aggregateId)).toEqual(['b'])
      expect((await readLog(store)).map(({ aggregateId }) => aggregateId)).toEqual(['a'])
    })

    test.each([
      'DROP TABLE state_snapshots',
      'DROP TABLE views',
      'DROP TABLE leases',
      'DROP FUNCTION events_append_v1',
      'DROP FUNCTION events_check_v1 CASCADE',
      'DROP TRIGGER events_lock_horizon ON events',
      'ALTER TABLE state_snapshots DROP COLUMN vouched_sequence',
      'DROP SEQUENCE events_position_seq CASCADE',
    ])('createSchema() adds what is missing after %s', async (sql) => {
      const { url, store } = await database()
      await appendOne(store, commit('c1', 'before', 0))
      await poolOf(url).query(sql)
      await store.createSchema()
      await use(store, 'a')
      expect((await readLog(store)).map(({ aggregateId }) => aggregateId)).toEqual(['before', 'a'])
    })

    test('createSchema() leaves a table of another program with the same name unchanged', async () => {
      const { url, store } = await database()
      await use(store, 'a')
      const pool = poolOf(url)
      await pool.query('CREATE TABLE mine (id text)')
      const taken = postgresStore(pool, { tables: { views: 'mine' } })
      await expect(taken.createSchema()).rejects.toThrow('"mine" already exists')
      await use(store, 'b')
    })
  })

  test('a connection that the server closes at start-up is STORE_UNAVAILABLE', async () => {
    const { url, store } = await database()
    const lease = await store.acquireLease({ name: 'totals', holder: 'me', ttlMs: 60_000 })
    const pool = poolOf(await endingWhenReady(url), { max: 1 })
    const checkpoint = { name: 'totals', fence: lease.acquired ? lease.fence : 0, position: '1' }
    const ending = postgresStore(pool)
    const outcome = await ending.transact?.({ id: 'c1', checkpoint }, async () => {})
    expect(outcome).toMatchObject({ kind: 'failed', certain: true, cause: { code: 'STORE_UNAVAILABLE' } })
    await expect(ending.readCheckpoint('totals')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(failure(await appendOne(ending, commit('c2', 'a', 0)))).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await store.readCheckpoint('totals')).toBeUndefined()
  })
})

/** The address of a proxy that ends each connection as a server does that is told to stop, in one piece with the message that it is ready. */
async function endingWhenReady(url: string): Promise<string> {
  const to = new URL(url)
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
  const fields = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')
  const length = Buffer.alloc(4)
  length.writeInt32BE(fields.length + 4)
  const fatal = Buffer.concat([Buffer.from('E'), length, fields])
  const proxy = createServer((client) => {
    const server = dial(Number(to.port), to.hostname)
    client.pipe(server)
    server.on('data', (data) => {
      if (data.includes(ready)) client.end(Buffer.concat([data, fatal]))
      else client.write(data)
    })
    for (const socket of [client, server]) socket.on('error', () => socket.destroy())
    client.on('close', () => server.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  closing.push(() => new Promise((resolve) => proxy.close(resolve)))
  const address = proxy.address()
  return Object.assign(new URL(url), { port: String(typeof address === 'object' ? address?.port : 0) }).href
}
