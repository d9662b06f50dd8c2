import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import { DeserializationError, type Position, type Store } from 'cqrs-es/store'
import { afterAll, describe, expect, expectTypeOf, it } from 'vitest'
import { toStoreError } from '../../src/sqlite/errors.ts'
import { findViewsStatement } from '../../src/sqlite/find-views.ts'
import * as statements from '../../src/sqlite/statements.ts'
import { appendOne, commit, dataOf, failure } from './commits.ts'
import { smokeTests } from './smoke.ts'
import { type Driver, drivers } from './sqlite-drivers.ts'

const folder = mkdtempSync(join(tmpdir(), 'cqrs-es-sqlite-'))
let files = 0
const newFile = () => join(folder, `${++files}.db`)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const first = (db: SqliteDatabase, sql: string) => Object.values(db.prepare(sql).all()[0] as object)[0]

describe.each(drivers)('the SQLite store on $name', (driver) => {
  async function open(
    options: { file?: string } & NonNullable<Parameters<typeof sqliteStore>[1]> & Parameters<Driver['open']>[1] = {},
  ) {
    const { file = newFile(), durability = 'normal', busyTimeoutMs = 40, ...rest } = options
    const db = driver.open(file, rest)
    const store = sqliteStore(db, { durability, busyTimeoutMs })
    await store.createSchema()
    return { db, store, file }
  }

  describe('as a store', () => {
    smokeTests(async () => (await open()).store)
  })

  describe('with a driver that returns bigints', () => {
    smokeTests(async () => (await open({ safeIntegers: true })).store)
  })

  it('a database in memory keeps its data', async () => {
    const { store } = await open({ file: ':memory:' })
    expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
  })

  describe('in a transaction with a checkpoint', () => {
    async function withTable() {
      const opened = await open()
      const { db, store } = opened
      db.exec('CREATE TABLE balances (id TEXT PRIMARY KEY, balance INTEGER NOT NULL)')
      const lease = async (holder = 'one') => {
        const answer = await store.acquireLease({ name: 'balances', holder, ttlMs: 60_000 })
        return answer.acquired ? answer.fence : 0
      }
      const fence = await lease()
      const move = (position: string) => ({ id: `c${position}`, checkpoint: { name: 'balances', fence, position } })
      const put = (id: string, balance: number) => () => {
        db.prepare('INSERT INTO balances VALUES (?, ?)').run(id, balance)
      }
      const state = async () => ({
        balances: db.prepare('SELECT id FROM balances ORDER BY id').all() as { id: string }[],
        position: (await store.readCheckpoint('balances'))?.position,
      })
      return { ...opened, lease, fence, move, put, state }
    }
    const nothing = { balances: [], position: undefined }

    it('rows of the user and the checkpoint are committed together', async () => {
      const { db, store, move, put, state } = await withTable()
      const outcome = await store.transact?.(move('1'), (client) => {
        expect(client).toBe(db)
        put('a', 5)()
      })
      expect(outcome).toEqual({ kind: 'stored', positions: [] })
      expect(await state()).toMatchObject({ balances: [{ id: 'a' }], position: '1' })
      expect(await store.transact?.(move('1'), put('b', 6))).toEqual({ kind: 'repeated', positions: [] })
      expect((await state()).balances).toMatchObject([{ id: 'a' }])
    })

    it('an error of the function passes through, stores nothing and is not retried', async () => {
      const { store, move, put, state } = await withTable()
      for (const error of [new Error('no such account'), Object.assign(new Error('locked'), { code: 'SQLITE_BUSY' }), 'a text']) {
        let runs = 0
        const failing = () => {
          runs++
          put('a', 5)()
          throw error
        }
        await expect(store.transact?.(move('1'), failing)).rejects.toBe(error)
        expect(runs).toBe(1)
      }
      expect(await state()).toEqual(nothing)
      expect((await store.transact?.(move('1'), put('a', 7)))?.kind).toBe('stored')
    })

    it('a stale fence stores nothing', async () => {
      const { store, lease, fence, move, put, state } = await withTable()
      await store.releaseLease({ name: 'balances', fence })
      expect(await store.transact?.(move('1'), put('a', 5))).toEqual({ kind: 'conflict', on: 'fence' })
      await lease('two')
      expect(await store.transact?.(move('1'), put('a', 5))).toEqual({ kind: 'conflict', on: 'fence' })
      expect(await state()).toEqual(nothing)
    })

    it('a function that returns a promise is refused and rolled back', async () => {
      const { store, move, put, state } = await withTable()
      const asynchronous = async () => {
        put('a', 5)()
        await Promise.resolve()
        throw new Error('too late to be heard')
      }
      await expect(store.transact?.(move('1'), asynchronous)).rejects.toMatchObject({
        code: 'DEFINITION',
        message: expect.stringContaining('must be synchronous'),
      })
      expect(await state()).toEqual(nothing)
    })

    it('a function that ends its transaction fails with advice', async () => {
      const { db, store, move, state } = await withTable()
      for (const end of ['COMMIT', 'ROLLBACK', 'COMMIT; BEGIN'])
        await expect(store.transact?.(move('1'), () => void db.exec(end))).rejects.toMatchObject({
          code: 'STORE_FAILED',
          message: expect.stringContaining('ended its transaction'),
        })
      expect(await state()).toEqual(nothing)
    })

    it('a transaction waits for another writer and then is STORE_BUSY', async () => {
      const { store, file, move, put, state } = await withTable()
      const other = driver.open(file)
      other.exec('BEGIN IMMEDIATE')
      expect(failure((await store.transact?.(move('1'), put('a', 5))) as never)).toMatchObject({
        code: 'STORE_BUSY',
        certain: true,
      })
      const waiting = store.transact?.(move('1'), put('a', 5))
      other.exec('COMMIT')
      expect((await waiting)?.kind).toBe('stored')
      expect((await state()).balances).toMatchObject([{ id: 'a' }])
    })
  })

  describe('durability and journal', () => {
    it.each([
      ['full', 2],
      ['normal', 1],
    ] as const)('durability %s sets PRAGMA synchronous = %i before the first transaction', async (durability, synchronous) => {
      const { file } = await open()
      const db = driver.open(file)
      db.exec(`PRAGMA synchronous = ${synchronous === 2 ? 1 : 2}`)
      const store = sqliteStore(db, { durability })
      await appendOne(store, commit('c1', 'a', 0))
      expect(Number(first(db, 'PRAGMA synchronous'))).toBe(synchronous)
      expect(first(db, 'PRAGMA journal_mode')).toBe('wal')
    })

    it('durability is full by default', async () => {
      const db = driver.open(newFile())
      db.exec('PRAGMA synchronous = 0')
      await sqliteStore(db).createSchema()
      expect(Number(first(db, 'PRAGMA synchronous'))).toBe(2)
    })
  })

  describe('the schema', () => {
    const dump = (db: SqliteDatabase) =>
      db.prepare("SELECT sql FROM sqlite_master WHERE name <> 'sqlite_sequence' ORDER BY name").all()

    it('the schema is made exactly as it is printed', async () => {
      const { db, store } = await open()
      const other = driver.open(newFile())
      other.exec(store.printSchema())
      expect(dump(other)).toEqual(dump(db))
      const byHand = sqliteStore(other)
      await byHand.createSchema()
      expect((await appendOne(byHand, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('the page of the store shows the schema as it is printed', async () => {
      const page = readFileSync(new URL('../../docs/reference/stores/sqlite-schema.md', import.meta.url), 'utf8')
      expect(page).toContain(`\`\`\`sql\n${(await open()).store.printSchema()}\`\`\``)
    })

    it('events of an older table are adopted as the page describes', async () => {
      const page = readFileSync(new URL('../../docs/guides/adopt-existing-tables.md', import.meta.url), 'utf8')
      const [before = '', after = ''] = (page.match(/```sql\n(ALTER TABLE[^`]*)```/)?.[1] ?? '').split(/-- call createSchema.*\n/)
      const db = driver.open(newFile())
      const columns = 'aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata'
      db.exec(
        `CREATE TABLE events (${columns}, PRIMARY KEY (aggregate_type, aggregate_id, sequence)); CREATE TABLE snapshots (x)`,
      )
      db.exec(
        `INSERT INTO events VALUES ('account', 'a', 1, 'Opened', '1.0', '{"n":1}', '{}'), ('account', 'a', 2, 'Closed', '1.0', '{}', '{}')`,
      )
      const store = sqliteStore(db)
      db.exec(before)
      await store.createSchema()
      db.exec(after)
      expect((await store.readFeed({ limit: 9 })).events.map((e) => [e.position, e.type])).toEqual([
        ['1', 'Opened'],
        ['2', 'Closed'],
      ])
      expect(await appendOne(store, commit('c1', 'a', 2))).toMatchObject({ kind: 'stored', positions: ['3'] })
    })

    it('concurrent connections make the schema once', async () => {
      const file = newFile()
      const stores = Array.from({ length: 6 }, () => sqliteStore(driver.open(file), { busyTimeoutMs: 5_000 }))
      await Promise.all(stores.flatMap((store) => [store.createSchema(), store.createSchema()]))
      const outcomes = await Promise.all(stores.map((store, i) => appendOne(store, commit(`c${i}`, 'a', 0))))
      expect(outcomes.filter((outcome) => outcome.kind === 'stored')).toHaveLength(1)
      expect(Number(first(driver.open(file), 'SELECT count(*) FROM cqrs_es_schema'))).toBe(1)
    })

    it('a missing schema fails with advice and works once it exists', async () => {
      const store = sqliteStore(driver.open(newFile()))
      const missing = { code: 'SCHEMA_MISSING', message: expect.stringContaining('createSchema()') }
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...missing, certain: true })
      await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject(missing)
      await store.createSchema()
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('the schema of a newer package version stays unchanged', async () => {
      const { db, store } = await open()
      db.exec('INSERT INTO cqrs_es_schema (version) VALUES (99)')
      await expect(store.createSchema()).rejects.toMatchObject({
        code: 'SCHEMA_TOO_NEW',
        message: expect.stringContaining('version 99'),
      })
    })

    it('the schema is not made in part when a table of that name exists', async () => {
      const db = driver.open(newFile())
      db.exec('CREATE TABLE leases (flat TEXT)')
      await expect(sqliteStore(db).createSchema()).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('leases'),
      })
      expect(dump(db)).toHaveLength(1)
    })

    it('other connections may change the schema while statements are prepared', async () => {
      const { store, file } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      driver.open(file).exec("ALTER TABLE events ADD COLUMN note TEXT NOT NULL DEFAULT 'x'")
      expect((await appendOne(store, commit('c2', 'a', 1))).kind).toBe('stored')
      expect(await dataOf(store, 'a')).toHaveLength(2)
    })

    it('a database in UTF-16 is refused because it orders texts differently', async () => {
      const db = driver.open(newFile())
      db.exec("PRAGMA encoding = 'UTF-16le'")
      await expect(sqliteStore(db).createSchema()).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('UTF-16'),
      })
    })
  })

  describe('locks of other connections', () => {
    it('locks are waited for without blocking the event loop', async () => {
      const { store, file } = await open({ busyTimeoutMs: 30_000 })
      const other = driver.open(file)
      other.exec('BEGIN IMMEDIATE')
      let turns = 0
      const spin = setInterval(() => {
        if (++turns === 5) other.exec('COMMIT')
      }, 5)
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
      clearInterval(spin)
      expect(turns).toBeGreaterThanOrEqual(5)
    })

    it('lasting locks are STORE_BUSY, never a conflict, and nothing is stored', async () => {
      const { store, file } = await open({ busyTimeoutMs: 20 })
      const other = driver.open(file)
      other.exec('BEGIN IMMEDIATE')
      const failed = failure(await appendOne(store, commit('c1', 'a', 0)))
      expect(failed).toMatchObject({ code: 'STORE_BUSY', certain: true, message: expect.stringContaining('busyTimeoutMs') })
      await expect(store.acquireLease({ name: 'm', holder: 'h', ttlMs: 1 })).rejects.toMatchObject({ code: 'STORE_BUSY' })
      expect(await dataOf(store, 'a')).toEqual([])
      other.exec('COMMIT')
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('locks delay reads and the schema in the same way without WAL', async () => {
      const { db, store, file } = await open({ busyTimeoutMs: 20 })
      db.exec('PRAGMA journal_mode = DELETE')
      const other = driver.open(file)
      other.exec('BEGIN EXCLUSIVE')
      await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject({ code: 'STORE_BUSY' })
      await expect(store.createSchema()).rejects.toMatchObject({ code: 'STORE_BUSY' })
    })

    it("a reader's lock at COMMIT without WAL leaves nothing behind", async () => {
      const { db, store, file } = await open({ busyTimeoutMs: 20 })
      db.exec('PRAGMA journal_mode = DELETE')
      const other = driver.open(file)
      other.exec('BEGIN')
      other.prepare('SELECT count(*) FROM events').all()
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_BUSY', certain: true })
      other.exec('COMMIT')
      expect((await appendOne(store, commit('c2', 'a', 0))).kind).toBe('stored')
    })

    it('the busy timeout of the driver is not used and stays unchanged', async () => {
      const { db, store, file } = await open({ busyTimeoutMs: 20 })
      db.exec('PRAGMA busy_timeout = 600000')
      const other = driver.open(file)
      other.exec('BEGIN IMMEDIATE')
      expect(failure(await appendOne(store, commit('c1', 'a', 0))).code).toBe('STORE_BUSY')
      expect(Number(first(db, 'PRAGMA busy_timeout'))).toBe(600_000)
      other.exec('COMMIT')
      await appendOne(store, commit('c1', 'a', 0))
      await dataOf(store, 'a')
      expect(Number(first(db, 'PRAGMA busy_timeout'))).toBe(600_000)
    })
  })

  it('a transaction of the user is refused and stays unchanged', async () => {
    const { db, store } = await open()
    db.exec('CREATE TABLE mine (n INTEGER); BEGIN; INSERT INTO mine VALUES (1)')
    const refusal = { code: 'STORE_FAILED', message: expect.stringContaining('A transaction of yours is open') }
    expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...refusal, certain: true })
    await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject(refusal)
    await expect(sqliteStore(db).lastPosition()).rejects.toMatchObject(refusal)
    db.exec('INSERT INTO mine VALUES (2); COMMIT')
    expect(Number(first(db, 'SELECT count(*) FROM mine'))).toBe(2)
    expect(await dataOf(store, 'a')).toEqual([])
    expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
  })

  describe('a row that SQLite refuses', () => {
    it.each(['ABORT', 'ROLLBACK', 'FAIL'])(
      'a row with %s that SQLite refuses does not affect the rest of its batch',
      async (how) => {
        const { db, store } = await open()
        db.exec(
          `CREATE TRIGGER no BEFORE INSERT ON events WHEN NEW.payload = '"bad"' BEGIN SELECT RAISE(${how}, 'no bad ones'); END`,
        )
        const bad = commit('c2', 'b', 0, ['good', 'bad'])
        const outcomes = await store.append([
          commit('c1', 'a', 0),
          bad,
          commit('c3', 'a', 1),
          commit('c4', 'b', 2),
          commit('c5', 'b', 0),
        ])
        expect(outcomes.map((o) => o.kind)).toEqual(['stored', 'failed', 'stored', 'conflict', 'stored'])
        expect(outcomes[1]).toMatchObject({
          certain: true,
          cause: { code: 'STORE_FAILED', message: expect.stringContaining('no bad ones') },
        })
        expect(await dataOf(store, 'b')).toEqual([{ amount: 1 }])
        expect((await store.readFeed({ limit: 9 })).events.map((e) => e.position)).toEqual(['1', '2', '3'])
      },
    )

    it('a row that SQLite drops silently is a failure', async () => {
      const { db, store } = await open()
      db.exec('CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END')
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_FAILED', certain: true })
    })
  })

  describe('faults of the file', () => {
    it('a full disk is STORE_FULL until there is space again', async () => {
      const { db, store } = await open()
      const pages = Number(first(db, 'PRAGMA page_count'))
      db.exec(`PRAGMA max_page_count = ${pages}`)
      const big = commit('c1', 'a', 0, ['x'.repeat(200_000)])
      expect(failure(await appendOne(store, big))).toMatchObject({ code: 'STORE_FULL', certain: true })
      const outcomes = await store.append([big, commit('c2', 'b', 0)])
      expect(outcomes.map((o) => o.kind)).toEqual(['failed', 'stored'])
      db.exec('PRAGMA max_page_count = 1000000')
      expect((await appendOne(store, big)).kind).toBe('stored')
    })

    it('a read-only file is STORE_READ_ONLY for writes and works for reads', async () => {
      const { store, file } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      const reader = sqliteStore(driver.open(file, { readonly: true }))
      expect(failure(await appendOne(reader, commit('c2', 'a', 1)))).toMatchObject({ code: 'STORE_READ_ONLY', certain: true })
      expect(await dataOf(reader, 'a')).toHaveLength(1)
    })

    it('a file that is not a database is STORE_CORRUPT', async () => {
      const file = newFile()
      writeFileSync(file, 'this is a text about databases, not one of them'.repeat(100))
      await expect(sqliteStore(driver.open(file)).createSchema()).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    })

    it('a damaged file is STORE_CORRUPT', async () => {
      const { db, store, file } = await open()
      await appendOne(store, commit('c1', 'a', 0, Array(500).fill('x'.repeat(100))))
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      const damaged = newFile()
      const bytes = readFileSync(file)
      writeFileSync(damaged, bytes.fill(0xaa, 4096))
      await expect(sqliteStore(driver.open(damaged)).readFeed({ limit: 9 })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    })

    it('a closed database is STORE_UNAVAILABLE', async () => {
      const { db, store } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      db.close()
      expect(failure(await appendOne(store, commit('c2', 'a', 1)))).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
      await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    })

    it('a deleted file in WAL mode goes unnoticed, and its data is gone with the last connection', async () => {
      const { db, store, file } = await open()
      for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
      db.close()
      expect(existsSync(file)).toBe(false)
    })

    it('a deleted file without WAL is STORE_UNAVAILABLE', async () => {
      const { db, store, file } = await open()
      db.exec('PRAGMA journal_mode = DELETE')
      rmSync(file)
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
    })
  })

  describe('pages', () => {
    const page = (store: Store, limit?: number) =>
      store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, ...(limit && { limit }) })
    const numbers = (events: readonly { readonly sequence: number }[]) => events.map(({ sequence }) => sequence)

    it('a page has up to a thousand events', async () => {
      const { store } = await open()
      await appendOne(store, commit('c1', 'a', 0, Array(1_500).fill({})))
      for (const read of [await page(store), await page(store, 1_400), await store.readFeed({ limit: 1_400 })]) {
        expect([read.events.length, read.events.at(-1)?.sequence, read.more]).toEqual([1_000, 1_000, true])
      }
    })

    it('a page has up to two million characters and at least one event', async () => {
      const { store } = await open()
      const sizes = [900_000, 900_000, 900_000, 10, 5_000_000, 20, 1_999_930, 10, 3_000, 10]
      const data = sizes.map((size) => 'x'.repeat(size))
      await appendOne(store, commit('c1', 'a', 0, data))
      const only = [{ aggregateType: 'account' }]
      const pages = { aggregate: [] as number[][], feed: [] as number[][], filtered: [] as number[][] }
      for (let after = 0, more = true; more; ) {
        const read = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after })
        for (const event of read.events) expect(event.data === data[event.sequence - 1]).toBe(true)
        pages.aggregate.push(numbers(read.events))
        after = read.events.at(-1)?.sequence ?? 0
        more = read.more
      }
      for (const [name, rest] of [
        ['feed', {}],
        ['filtered', { only }],
      ] as const) {
        for (let after: Position | undefined, more = true; more; ) {
          const read = await store.readFeed({ limit: 100, ...rest, ...(after && { after }) })
          pages[name].push(numbers(read.events))
          after = read.position
          more = read.more
        }
      }
      const expected = [[1, 2], [3, 4], [5], [6, 7], [8, 9, 10]]
      expect(pages).toEqual({ aggregate: expected, feed: expected, filtered: expected })
      expect(numbers((await page(store, 1)).events)).toEqual([1])
    })

    it.each(['data', 'metadata'] as const)('a page fetches no more large %s from the database than it returns', async (part) => {
      const { db, store } = await open()
      const { id, appends } = commit('c1', 'a', 0, Array(30).fill({}))
      const large = { [part]: { text: 'x'.repeat(500_000) } }
      await appendOne(store, {
        id,
        appends: appends.map((one) => ({ ...one, events: one.events.map((e) => ({ ...e, ...large })) })),
      })
      let taken = 0
      const prepare: SqliteDatabase['prepare'] = (sql) => {
        const statement = db.prepare(sql)
        return {
          run: (...values) => statement.run(...values),
          all: (...values) => {
            const rows = statement.all(...values)
            taken += JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? Number(value) : value)).length
            return rows
          },
        }
      }
      const measured = sqliteStore({ exec: (sql) => db.exec(sql), prepare }, { durability: 'normal' })
      for (const read of [() => page(measured), () => measured.readFeed({ limit: 30 })]) {
        taken = 0
        expect((await read()).events.length).toBe(3)
        expect(taken).toBeLessThan(2_100_000)
      }
    })

    it('pages are bounded by metadata too', async () => {
      const { store } = await open()
      const { id, appends } = commit('c1', 'a', 0, Array(9).fill({}))
      const metadata = { text: 'x'.repeat(600_000) }
      await appendOne(store, {
        id,
        appends: appends.map((one) => ({ ...one, events: one.events.map((e) => ({ ...e, metadata })) })),
      })
      const { events, more } = await page(store)
      expect([numbers(events), more, events[0]?.metadata]).toEqual([[1, 2, 3], true, metadata])
    })
  })

  describe('corrupt rows', () => {
    it('an event with corrupt JSON is named and does not affect others', async () => {
      const { db, store } = await open()
      await store.append([commit('c1', 'a', 0, [1, 2]), commit('c2', 'b', 0)])
      db.exec("UPDATE events SET payload = '{' WHERE aggregate_id = 'a' AND sequence = 2")
      const error = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 }).catch((e) => e)
      expect(error).toBeInstanceOf(DeserializationError)
      expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateType: 'account', aggregateId: 'a', sequence: 2 })
      expect(error.message).toContain('account/a/2')
      expect(await dataOf(store, 'b')).toHaveLength(1)
    })

    const snapshot = { stateVersion: '1', state: { balance: 1 } }
    const withSnapshot = () => ({ id: 'c1', appends: commit('c1', 'a', 0).appends.map((one) => ({ ...one, snapshot })) })
    const read = (store: Store) => store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, snapshot })

    it.each([
      ['whose JSON is corrupt', "UPDATE snapshots SET payload = '{'"],
      ['that another program has written', "UPDATE snapshots SET last_sequence = 7, payload = '{}'"],
    ])('a snapshot %s is ignored and replaced by the next one', async (_, damage) => {
      const { db, store } = await open()
      await appendOne(store, withSnapshot())
      db.exec(damage)
      const page = await read(store)
      expect([page.snapshot, page.events.length]).toEqual([undefined, 1])
      await appendOne(store, { id: 'c2', appends: commit('c2', 'a', 1).appends.map((one) => ({ ...one, snapshot })) })
      expect((await read(store)).snapshot).toMatchObject({ sequence: 2, version: 2 })
    })

    it('a view with corrupt JSON is STORE_CORRUPT and named', async () => {
      const { db, store } = await open()
      await appendOne(store, {
        id: 'v',
        appends: [],
        views: [{ name: 'v', generation: 1, id: 'x', expectedVersion: 0, view: 1 }],
      })
      db.exec("UPDATE views SET payload = '{'")
      const reading = store.readViews([{ name: 'v', generation: 1, id: 'x' }])
      await expect(reading).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining("row 'x' of view 'v'"),
      })
    })
  })

  it('events that another program inserts are read', async () => {
    const { db, store } = await open()
    const columns = 'aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata'
    db.exec(`INSERT INTO events (${columns}) VALUES ('account', 'a', 1, 'Opened', '1.0', '{}', '{}')`)
    const [event] = (await store.readFeed({ limit: 1 })).events
    expect(event).toMatchObject({
      position: '1',
      sequence: 1,
      commitId: '',
      recordedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
    expect(await appendOne(store, commit('c1', 'a', 0))).toMatchObject({ kind: 'conflict', on: 'sequence' })
  })

  it('a deleted view or generation leaves no index row', async () => {
    const { db, store } = await open()
    const write = { name: 'v', generation: 1, id: 'x', view: 1, indexes: [{ index: 'i', value: '4' }] }
    const rows = () => Number(first(db, 'SELECT count(*) FROM view_indexes'))
    await appendOne(store, { id: 'v1', appends: [], views: [{ ...write, expectedVersion: 0 }] })
    expect(rows()).toBe(1)
    await appendOne(store, { id: 'v2', appends: [], views: [{ ...write, expectedVersion: 1, view: null }] })
    expect(rows()).toBe(0)
    await store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })
    await appendOne(store, { id: 'v3', appends: [], views: [{ ...write, generation: 2, expectedVersion: 0 }] })
    await store.removeViewGeneration({ name: 'v', generation: 2 })
    expect([rows(), Number(first(db, 'SELECT count(*) FROM views'))]).toEqual([0, 1])
  })

  it('every statement uses an index', async () => {
    const { db } = await open()
    const byIndex = { index: 'i', is: '>=', value: '4' } as const
    const find = { name: 'v', generation: 1, where: [], limit: 9 }
    const searches = [
      find,
      { ...find, after: { id: 'a' } },
      { ...find, where: [{ ...byIndex, is: '=' } as const, { ...byIndex, index: 'j' }] },
      { ...find, where: [byIndex], orderBy: { index: 'o' }, after: { id: 'a', value: '4' } },
      { ...find, orderBy: { index: 'o', descending: true }, after: { id: 'a', value: '4' } },
    ].map((search) => findViewsStatement(search, search.generation).sql)
    const { begin, takeReadLock, readSchemaVersion, ...rest } = statements
    const plans = [...Object.values(rest), ...searches].map((sql) => {
      const values = [...sql].filter((char) => char === '?').map(() => 1)
      const rows = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values) as { detail: string }[]
      return rows.map((row) => row.detail)
    })
    expect(plans.length).toBeGreaterThan(30)
    const scans = plans
      .flat()
      .filter((step) => /\bSCAN\b/.test(step) && !/SCAN (ids|json_each|wanted VIRTUAL|CONSTANT ROW|\d+ CONSTANT)/.test(step))
    expect(scans).toEqual([])
    const plan = (sql: string) => plans[[...Object.values(rest), ...searches].indexOf(sql)]?.join('; ')
    expect(plan(statements.deleteViewIndexes)).toContain('view_name=? AND generation=? AND view_id=?')
    expect(plan(statements.readIds)?.match(/aggregate_type=\? AND aggregate_id>\?/g)).toHaveLength(2)
    expect(plan(statements.readEvents)).toContain('aggregate_id=? AND sequence>?')
    expect(plan(searches[2] ?? '')).toMatch(/index_name=\? AND value=\?/)
  })
})

describe('sqliteStore', () => {
  const [driver] = drivers as [Driver]

  it('sqliteStore refuses unknown options and invalid values', () => {
    const db = driver.open(':memory:')
    const make = (options: unknown) => () => sqliteStore(db, options as never)
    expect(make({ durable: 'full' })).toThrow(/no option .durable.\. Its options: durability, busyTimeoutMs/)
    expect(make({ durability: 'off' })).toThrow(/'full' or 'normal', not "off"/)
    expect(make({ busyTimeoutMs: -1 })).toThrow(/busyTimeoutMs/)
    expect(make({ busyTimeoutMs: '5' })).toThrow(/busyTimeoutMs/)
    expect(make({ durability: 'off' })).toThrow(expect.objectContaining({ code: 'DEFINITION' }))
  })

  it('sqliteStore refuses something else than a database and names what is missing', async () => {
    expect(() => sqliteStore(undefined as never)).toThrow(/no method "exec"/)
    expect(() => sqliteStore('file.db' as never)).toThrow(/no method "exec"/)
    expect(() => sqliteStore({ exec() {} } as never)).toThrow(/no method "prepare"/)
    const { default: Database } = await import('libsql/promise')
    const asynchronous = sqliteStore(new Database(':memory:', {}) as never)
    await expect(asynchronous.createSchema()).rejects.toMatchObject({
      code: 'DEFINITION',
      message: expect.stringContaining('synchronous'),
    })
  })

  it("errors of every driver are classified, wherever they carry SQLite's code", () => {
    const shapes = (code: string, extended: number) => [
      { code },
      { code, errno: extended },
      { code, rawCode: extended },
      { code: 'ERR_SQLITE_ERROR', errcode: extended, errstr: 'x' },
    ]
    const codesOf = (code: string, extended: number) =>
      shapes(code, extended).map((shape) => toStoreError(Object.assign(new Error('x'), shape)).code)
    expect(codesOf('SQLITE_BUSY_RECOVERY', 261)).toEqual(Array(4).fill('STORE_BUSY'))
    expect(codesOf('SQLITE_IOERR_FSYNC', 1034)).toEqual(Array(4).fill('STORE_UNAVAILABLE'))
    expect(codesOf('SQLITE_READONLY_DBMOVED', 1032)).toEqual(Array(4).fill('STORE_UNAVAILABLE'))
    expect(codesOf('SQLITE_READONLY_DIRECTORY', 1544)).toEqual(Array(4).fill('STORE_READ_ONLY'))
    expect(codesOf('SQLITE_CORRUPT_INDEX', 779)).toEqual(Array(4).fill('STORE_CORRUPT'))
    expect(codesOf('SQLITE_TOOBIG', 18)).toEqual(Array(4).fill('STORE_LIMIT'))
    expect(codesOf('SQLITE_CONSTRAINT_UNIQUE', 2067)).toEqual(Array(4).fill('STORE_FAILED'))
  })

  it('sqliteStore takes the databases of the drivers by their types', () => {
    expectTypeOf<import('libsql').Database>().toExtend<SqliteDatabase>()
    expectTypeOf<import('better-sqlite3').Database>().toExtend<SqliteDatabase>()
  })
})
