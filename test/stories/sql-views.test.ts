import { createApp, defineSqlView } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import LibSql from 'libsql'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { failureOf, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'

/** What a test needs of a database with a table of its own. */
interface Tables {
  readonly store: Parameters<typeof createApp>[0]['store']
  /** Adds one to the row of an id, on the client of a transaction. */
  readonly add: (client: never, id: string, by: number) => void | Promise<void>
  readonly empty: (client: never) => void | Promise<void>
  /** All rows: id, total, times. */
  readonly rows: () => Promise<unknown[][]>
  readonly close: () => Promise<void>
}

let names = 0
const name = () => `sql_view_${process.pid}_${++names}`

async function onPostgres(): Promise<Tables> {
  const pool = new pg.Pool({ connectionString: await serverUrl('postgres'), max: 4 })
  const schema = name()
  const store = postgresStore(pool, { schema })
  await store.createSchema()
  await pool.query(`CREATE TABLE ${schema}.mine (id text PRIMARY KEY, total int, times int)`)
  return {
    store,
    add: async (client: pg.PoolClient, id, by) => {
      const upsert = `INSERT INTO ${schema}.mine VALUES ($1, $2, 1) ON CONFLICT (id) DO UPDATE SET total = mine.total + $2, times = mine.times + 1`
      await client.query(upsert, [id, by])
    },
    empty: async (client: pg.PoolClient) => void (await client.query(`DELETE FROM ${schema}.mine`)),
    rows: async () =>
      (await pool.query(`SELECT id, total, times FROM ${schema}.mine ORDER BY id`)).rows.map((row) => Object.values(row)),
    close: async () => {
      await pool.query(`DROP SCHEMA ${schema} CASCADE`)
      await pool.end()
    },
  } as Tables
}

async function onMySql(): Promise<Tables> {
  const admin = createPool(await serverUrl('mysql'))
  const database = name()
  await admin.query(`CREATE DATABASE ${database}`)
  const url = new URL(await serverUrl('mysql'))
  url.pathname = database
  const pool = createPool(url.href)
  const store = mysqlStore(pool)
  await store.createSchema()
  await pool.query('CREATE TABLE mine (id varchar(50) PRIMARY KEY, total int, times int)')
  type Client = Pick<typeof pool, 'execute'>
  return {
    store,
    add: async (client: Client, id: string, by: number) => {
      const upsert = 'INSERT INTO mine VALUES (?, ?, 1) ON DUPLICATE KEY UPDATE total = total + ?, times = times + 1'
      await client.execute(upsert, [id, by, by])
    },
    empty: async (client: Client) => void (await client.execute('DELETE FROM mine')),
    rows: async () =>
      ((await pool.query('SELECT id, total, times FROM mine ORDER BY id'))[0] as object[]).map((row) => Object.values(row)),
    close: async () => {
      await pool.end()
      await admin.query(`DROP DATABASE ${database}`)
      await admin.end()
    },
  } as unknown as Tables
}

async function onSqlite(): Promise<Tables> {
  const database = new LibSql(':memory:')
  const store = sqliteStore(database as unknown as SqliteDatabase)
  await store.createSchema()
  database.exec('CREATE TABLE mine (id text PRIMARY KEY, total int, times int)')
  return {
    store,
    add: (client: typeof database, id, by) => {
      client
        .prepare('INSERT INTO mine VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET total = total + ?, times = times + 1')
        .run(id, by, by)
    },
    empty: (client: typeof database) => void client.prepare('DELETE FROM mine').run(),
    rows: async () =>
      (database.prepare('SELECT id, total, times FROM mine ORDER BY id').all() as object[]).map((row) => Object.values(row)),
    close: async () => void database.close(),
  } as Tables
}

const failing = { by: 13 }

function appOn({ store, add, empty }: Tables, shallFail = () => false as boolean) {
  const mine = defineSqlView({
    name: 'mine',
    aggregates: [counter],
    update: (client: never, event) => {
      const added = add(client, event.aggregateId, event.data.by)
      const check = () => {
        if (event.data.by === failing.by && shallFail()) throw new Error('unlucky')
      }
      return added === undefined ? check() : added.then(check)
    },
    reset: (client: never) => empty(client),
  })
  return createApp({ store, aggregates: { counter }, views: { mine }, observe: () => {}, following: { pollMs: 50 } })
}

describe.each([
  ['Postgres', unselected('postgres'), onPostgres],
  ['MySQL', unselected('mysql'), onMySql],
  ['SQLite', unselected('sqlite'), onSqlite],
] as const)('a sqlView on %s', (_, skipped, open) => {
  test.skipIf(skipped)('a sqlView has each event once, together with its checkpoint, and commands can wait for it', async () => {
    const tables = await open()
    const [app, other] = [appOn(tables), appOn(tables)]
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.drain()
    expect(await tables.rows()).toEqual([['a', 3, 2]])
    await other.start()
    await app.aggregates.counter.execute('a', count(3), { waitFor: ['mine'] })
    await app.aggregates.counter.execute('b', count(4), { waitFor: ['mine'] })
    expect(await tables.rows()).toEqual([
      ['a', 6, 3],
      ['b', 4, 1],
    ])
    await Promise.all([app.drain(), other.drain()])
    expect((await tables.rows()).length).toBe(2)
    await Promise.all([app.close(), other.close()])
    await tables.close()
  })

  test.skipIf(skipped)('a sqlView stops at an event that update refuses, with all before it and nothing of it', async () => {
    const tables = await open()
    let broken = true
    const app = appOn(tables, () => broken)
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.aggregates.counter.execute('a', countEach(13, 4))
    await app.drain()
    expect(await tables.rows()).toEqual([['a', 3, 2]])
    expect(await failureOf(app.views.mine.caughtUp())).toMatchObject({
      code: 'STOPPED',
      eventId: 'counter/a/3',
      message: expect.stringContaining('unlucky'),
    })
    broken = false
    await app.views.mine.resume()
    await app.views.mine.caughtUp()
    expect(await tables.rows()).toEqual([['a', 20, 4]])
    await app.close()
    await tables.close()
  })

  test.skipIf(skipped)('a sqlView is rebuilt through reset', async () => {
    const tables = await open()
    const app = appOn(tables)
    for (let i = 0; i < 700; i++) await app.aggregates.counter.execute(`c${i % 2}`, count(1))
    await app.drain()
    const done: boolean[] = []
    await app.views.mine.rebuild({ onProgress: (progress) => done.push(progress.done) })
    expect(await tables.rows()).toEqual([
      ['c0', 350, 350],
      ['c1', 350, 350],
    ])
    expect(done.at(-1)).toBe(true)
    expect((await failureOf(app.views.mine.rebuild({ id: 'c0' } as never))).code).toBe('VALIDATION')
    await app.close()
    await tables.close()
  })
})

describe('the definition of a sqlView', () => {
  const right = { name: 'mine', aggregates: [counter], update: () => {}, reset: () => {} }
  test.each([
    [{ reset: undefined }, 'reset must be a function'],
    [{ update: 1 }, 'update must be a function'],
    [{ name: '' }, 'must not be empty'],
    [{ aggregates: [] }, 'needs at least one aggregate'],
    [{ rest: () => {} }, "no option 'rest'"],
  ])('defineSqlView refuses %j', (wrong, words) => {
    expect(thrownBy(() => defineSqlView({ ...right, ...wrong } as never))).toMatchObject({
      code: 'DEFINITION',
      message: expect.stringContaining(words),
    })
  })

  test('createApp refuses a sqlView on a store without transactions for it', () => {
    const build = () => createApp({ store: memoryStore(), aggregates: { counter }, views: { mine: defineSqlView(right) } })
    expect(thrownBy(build).message).toContain("the view 'mine' is made by defineSqlView, which needs a store")
  })
})

describe('a rebuild of a sqlView', () => {
  async function onTable(reset = (client: SqliteDatabase) => client.exec('DELETE FROM mine')) {
    const db = new LibSql(':memory:')
    db.exec('CREATE TABLE mine (id text)')
    const store = sqliteStore(db)
    await store.createSchema()
    let resets = 0
    const mine = defineSqlView({
      name: 'mine',
      aggregates: [counter],
      update: (client: typeof db, event) => void client.prepare('INSERT INTO mine VALUES (?)').run(event.aggregateId),
      reset: (client: typeof db) => {
        resets++
        reset(client as never)
      },
    })
    const app = createApp({ store, aggregates: { counter }, views: { mine }, observe: () => {} })
    const rows = () => db.prepare('SELECT id FROM mine ORDER BY id').all().length
    return { app, store, rows, resets: () => resets }
  }

  test('a rebuild that was aborted before it began empties no tables later', async () => {
    const { app, rows, resets } = await onTable()
    await app.aggregates.counter.execute('a', countEach(1, 1))
    await app.drain()
    const failure = await failureOf(app.views.mine.rebuild({ signal: AbortSignal.abort(new Error('never mind')) }))
    expect(failure.message).toBe('never mind')
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    expect([resets(), rows()]).toEqual([0, 3])
  })

  test('a rebuild that gave up while another process had the lease empties no tables', async () => {
    const { app, store, rows, resets } = await onTable()
    await app.aggregates.counter.execute('a', countEach(1, 1))
    await app.drain()
    const lease = await store.acquireLease({ name: 'sql/mine', holder: 'another', ttlMs: 60_000 })
    const stop = new AbortController()
    const rebuilt = app.views.mine.rebuild({ signal: stop.signal, onProgress: () => stop.abort(new Error('never mind')) })
    expect((await failureOf(rebuilt)).message).toBe('never mind')
    await store.releaseLease({ name: 'sql/mine', fence: lease.acquired ? lease.fence : 0 })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    expect([resets(), rows()]).toEqual([0, 3])
  })

  test('a sqlView continues when reset throws, and only the caller receives the error', async () => {
    let isBroken = true
    const { app, rows } = await onTable((client) => {
      if (isBroken) throw new Error('no permission')
      client.exec('DELETE FROM mine')
    })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    expect((await failureOf(app.views.mine.rebuild())).message).toBe('no permission')
    await app.aggregates.counter.execute('a', count(1))
    expect(await app.drain()).toMatchObject({ caughtUp: true, events: 1 })
    expect(rows()).toBe(2)
    isBroken = false
    await app.views.mine.rebuild()
    expect(rows()).toBe(2)
  })

  test('a rebuild empties the tables although a concurrent one gives up', async () => {
    const { app, rows, resets } = await onTable()
    await app.aggregates.counter.execute('a', countEach(1, 1))
    await app.drain()
    const stop = new AbortController()
    const first = failureOf(app.views.mine.rebuild({ signal: stop.signal }))
    const second = app.views.mine.rebuild()
    stop.abort(new Error('never mind'))
    expect((await first).message).toBe('never mind')
    await second
    expect(resets()).toBeGreaterThan(0)
    expect(rows()).toBe(2)
  })
})

describe('an update that is not done when it returns', () => {
  /** As query builders do it: nothing happens until somebody waits for it. */
  // biome-ignore lint/suspicious/noThenProperty: it is what is tested.
  const lazily = (run: () => void) => ({ then: (done: () => void) => Promise.resolve().then(run).then(done) })

  test.each([
    ['a promise', async (run: () => void) => run()],
    ['a thenable', lazily],
  ] as const)('an update that returns %s is refused on SQLite, and no later event is processed', async (_, how) => {
    const db = new LibSql(':memory:')
    db.exec('CREATE TABLE mine (id text)')
    const store = sqliteStore(db)
    await store.createSchema()
    const update = (client: typeof db, { sequence }: { sequence: number }) =>
      how(() => void client.prepare('INSERT INTO mine VALUES (?)').run(String(sequence)))
    const mine = defineSqlView({ name: 'mine', aggregates: [counter], update: update as never, reset: () => {} })
    const app = createApp({ store, aggregates: { counter }, views: { mine }, observe: () => {} })
    await app.aggregates.counter.execute('a', countEach(1, 1, 1))
    expect(await app.drain()).toMatchObject({ caughtUp: false })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(db.prepare('SELECT id FROM mine').all()).toEqual([])
    expect((await failureOf(app.views.mine.caughtUp())).message).toContain('must be synchronous')
    await app.close()
  })

  test.skipIf(unselected('postgres'))('an update that returns a thenable is awaited on Postgres', async () => {
    const tables = await onPostgres()
    const mine = defineSqlView({
      name: 'mine',
      aggregates: [counter],
      update: ((client: never, event: { aggregateId: string; data: { by: number } }) => ({
        // biome-ignore lint/suspicious/noThenProperty: it is what is tested.
        then: (...next: [() => void, (error: unknown) => void]) =>
          Promise.resolve(tables.add(client, event.aggregateId, event.data.by)).then(...next),
      })) as never,
      reset: () => {},
    })
    const app = createApp({ store: tables.store, aggregates: { counter }, views: { mine }, observe: () => {} })
    await app.aggregates.counter.execute('a', countEach(1, 2))
    expect(await app.drain()).toMatchObject({ caughtUp: true, events: 2 })
    expect(await tables.rows()).toEqual([['a', 3, 2]])
    await app.close()
    await tables.close()
  })
})
