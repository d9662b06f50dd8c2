import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import type { CommitOutcome, Store } from 'cqrs-es/store'
import { afterAll, describe, expect, test } from 'vitest'
import { append, appendOne, commit, failure } from './commits.ts'
import { drivers } from './sqlite-drivers.ts'

const folder = mkdtempSync(join(tmpdir(), 'cqrs-es-sqlite-settings-'))
let files = 0
const newFile = () => join(folder, `${++files}.db`)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const id = 'Zoë/😀'
const aggregate = { aggregateType: 'account', aggregateId: id, after: 0 }

/** A commit with all its parts, one in conflict, a lease and a generation. */
async function write(store: Store): Promise<readonly CommitOutcome[]> {
  const lease = await store.acquireLease({ name: 'mailer', holder: 'me', ttlMs: 60_000 })
  const fence = lease.acquired ? lease.fence : 0
  expect(await store.renewLease({ name: 'mailer', fence, ttlMs: 60_000 })).toBe(true)
  await store.addViewGeneration({ name: 'balances', generation: 1, viewVersion: '1' })
  const first = { ...append('c1', 'account', id, 0, [{ text: 'x'.repeat(3_000) }, 2]), snapshot: { stateVersion: '1', state: 2 } }
  const view = { name: 'balances', generation: 1, id, expectedVersion: 0, view: { owner: id }, sequence: 2 }
  const whole = {
    id: 'c1',
    appends: [first],
    key: { idempotencyKey: 'k', commandHash: 'h' },
    views: [{ ...view, indexes: [{ index: 'owner', value: id }] }],
    checkpoint: { name: 'mailer', fence, position: '1' },
  }
  const ids = ['B', 'a', 'b']
  const others = ids.map((other) => ({ id: other, appends: [append(other, 'account', other, 0, [1])] }))
  return store.append([whole, { id: 'c2', appends: [append('c2', 'account', id, 1, [{}])] }, ...others])
}

async function readAll(store: Store) {
  return {
    aggregate: await store.readAggregate(aggregate),
    snapshot: await store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } }),
    ids: await store.readIds({ aggregateType: 'account', limit: 9 }),
    key: await store.readKey({ aggregateType: 'account', aggregateId: id, idempotencyKey: 'k' }),
    views: await store.readViews([{ name: 'balances', generation: 'live', id }]),
    found: await store.findViews({
      name: 'balances',
      generation: 'live',
      where: [{ index: 'owner', is: '=', value: id }],
      limit: 9,
    }),
    generations: await store.viewGenerations('balances'),
    checkpoint: await store.readCheckpoint('mailer'),
    feed: await store.readFeed({ limit: 9 }),
    last: await store.lastPosition(),
  }
}

describe.each(drivers)('the SQLite store on $name', (driver) => {
  const open = async (before = '', file = newFile(), options = {}) => {
    const db = driver.open(file, options)
    if (before !== '') db.exec(before)
    const store = sqliteStore(db, { busyTimeoutMs: 40 })
    await store.createSchema()
    return { db, store, file }
  }

  const harmless: readonly string[] = [
    'PRAGMA case_sensitive_like = ON',
    'PRAGMA read_uncommitted = ON',
    'PRAGMA recursive_triggers = ON',
    'PRAGMA foreign_keys = ON',
    'PRAGMA defer_foreign_keys = ON',
    'PRAGMA writable_schema = ON',
    'PRAGMA ignore_check_constraints = ON',
    'PRAGMA journal_mode = DELETE',
    'PRAGMA journal_mode = TRUNCATE',
    'PRAGMA journal_mode = PERSIST',
    'PRAGMA synchronous = OFF',
    'PRAGMA reverse_unordered_selects = ON',
    'PRAGMA automatic_index = OFF',
    'PRAGMA cell_size_check = ON',
    'PRAGMA secure_delete = ON',
    'PRAGMA temp_store = MEMORY',
    'PRAGMA trusted_schema = OFF',
    'PRAGMA legacy_alter_table = ON',
    'PRAGMA cache_size = 10',
    'PRAGMA cache_spill = OFF',
    'PRAGMA mmap_size = 1000000',
    'PRAGMA threads = 2',
    'PRAGMA wal_autocheckpoint = 1',
    'PRAGMA auto_vacuum = FULL',
    'PRAGMA full_column_names = ON',
    'PRAGMA short_column_names = OFF',
    'PRAGMA short_column_names = OFF; PRAGMA full_column_names = ON',
    'PRAGMA empty_result_callbacks = ON',
    'CREATE TEMP TABLE events (other); CREATE TEMP TABLE views (other); CREATE TEMP TABLE view_indexes (other); CREATE TEMP TABLE leases (other)',
  ]

  test.each(harmless)('the setting %s changes no result', async (setting) => {
    const plain = await open()
    const outcomes = await write(plain.store)
    const expected = await readAll(plain.store)
    expect(outcomes.map(({ kind }) => kind)).toEqual(['stored', 'conflict', 'stored', 'stored', 'stored'])
    const before = await open(setting)
    expect(await write(before.store)).toEqual(outcomes)
    expect(await readAll(before.store)).toEqual(expected)
    const after = await open()
    after.db.exec(setting)
    expect(await write(after.store)).toEqual(outcomes)
    expect(await readAll(after.store)).toEqual(expected)
    const { file } = before
    before.db.close()
    expect(await readAll((await open('', file)).store)).toEqual(expected)
  })

  test('locking_mode = EXCLUSIVE changes no result, and other connections get STORE_BUSY', async () => {
    const plain = await open()
    const outcomes = await write(plain.store)
    const { db, store, file } = await open()
    db.exec('PRAGMA locking_mode = EXCLUSIVE')
    expect(await write(store)).toEqual(outcomes)
    expect(await readAll(store)).toEqual(await readAll(plain.store))
    const other = sqliteStore(driver.open(file), { busyTimeoutMs: 40 })
    expect(failure(await appendOne(other, commit('c9', 'a', 1)))).toMatchObject({ code: 'STORE_BUSY', certain: true })
  })

  test('bigints of the driver change no result', async () => {
    const plain = await open()
    const outcomes = await write(plain.store)
    const { store } = await open('', newFile(), { safeIntegers: true })
    expect(await write(store)).toEqual(outcomes)
    expect(await readAll(store)).toEqual(await readAll(plain.store))
  })

  test('PRAGMA synchronous follows durability at each commit', async () => {
    const { db, store } = await open()
    for (const [i, setting] of ['OFF', 'NORMAL', 'EXTRA'].entries()) {
      db.exec(`PRAGMA synchronous = ${setting}`)
      await appendOne(store, commit(`c${i}`, 'a', i))
      expect(Number(Object.values(db.prepare('PRAGMA synchronous').all()[0] as object)[0])).toBe(2)
    }
  })

  test('query_only is refused by writes and named', async () => {
    const { db, store } = await open()
    await write(store)
    const expected = await readAll(store)
    db.exec('PRAGMA query_only = ON')
    const refused = { code: 'STORE_READ_ONLY', message: expect.stringContaining('query_only') }
    expect(failure(await appendOne(store, commit('c9', 'a', 1)))).toMatchObject({ ...refused, certain: true })
    await expect(store.acquireLease({ name: 'l', holder: 'h', ttlMs: 1 })).rejects.toMatchObject(refused)
    await expect(store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).rejects.toMatchObject(refused)
    expect(await readAll(store)).toEqual(expected)
  })

  test.each(['OFF', 'MEMORY'])('journal_mode = %s is refused by writes and named', async (mode) => {
    const { db, store } = await open()
    await write(store)
    const expected = await readAll(store)
    db.exec(`PRAGMA journal_mode = ${mode}`)
    const refused = { code: 'STORE_FAILED', message: expect.stringContaining(`journal_mode = ${mode.toLowerCase()}`) }
    expect(failure(await appendOne(store, commit('c9', 'a', 1)))).toMatchObject({ ...refused, certain: true })
    await expect(store.acquireLease({ name: 'l', holder: 'h', ttlMs: 1 })).rejects.toMatchObject(refused)
    expect(await readAll(store)).toEqual(expected)
    db.exec('PRAGMA journal_mode = WAL')
    expect((await appendOne(store, commit('c9', 'a', 1))).kind).toBe('stored')
  })

  test('count_changes is refused by writes and named', async () => {
    const { file } = await open()
    const db = driver.open(file)
    db.exec('PRAGMA count_changes = ON')
    const store = sqliteStore(db, { busyTimeoutMs: 10_000 })
    const refused = { code: 'STORE_FAILED', message: expect.stringContaining('count_changes') }
    expect(failure(await appendOne(store, commit('c9', 'a', 0)))).toMatchObject({ ...refused, certain: true })
    await expect(store.acquireLease({ name: 'l', holder: 'h', ttlMs: 1 })).rejects.toMatchObject(refused)
    db.close()
    expect(await sqliteStore(driver.open(file)).readFeed({ limit: 9 })).toMatchObject({ events: [] })
  })

  test('a database in memory is writable, but refused without a journal', async () => {
    const { db, store } = await open('', ':memory:')
    expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    db.exec('PRAGMA journal_mode = OFF')
    expect(failure(await appendOne(store, commit('c2', 'a', 1))).message).toContain('journal_mode = off')
  })

  test('a file in UTF-16 is refused by reads and writes, also with a printed schema', async () => {
    const db = driver.open(newFile())
    db.exec("PRAGMA encoding = 'UTF-16'")
    db.exec(sqliteStore(driver.open(':memory:')).printSchema())
    const store = sqliteStore(db)
    const refused = { code: 'STORE_FAILED', message: expect.stringContaining('encoding UTF-16') }
    await expect(store.readAggregate(aggregate)).rejects.toMatchObject(refused)
    await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject(refused)
    expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...refused, certain: true })
  })

  /** The same database through a driver that makes something else of each row. */
  const through = (db: SqliteDatabase, change: (row: Record<string, unknown>) => unknown): Store =>
    sqliteStore({
      exec: (sql) => db.exec(sql),
      prepare: (sql) => {
        const statement = db.prepare(sql)
        return {
          all: (...values) => statement.all(...values).map((row) => change({ ...(row as object) })),
          run: (...values) => statement.run(...values),
        }
      },
    })

  const changes: readonly (readonly [string, (row: Record<string, unknown>) => unknown, RegExp])[] = [
    ['arrays', (row) => Object.values(row), /not an object.*returnArrays/],
    ['columns in capitals', (row) => mapped(row, (name, value) => [name.toUpperCase(), value]), /called "[A-Z_]+"/],
    [
      'numbers as objects',
      (row) => mapped(row, (name, value) => [name, Number.isInteger(value) ? { value } : value]),
      /whole number/,
    ],
    [
      'integers as booleans',
      (row) => mapped(row, (name, value) => [name, Number.isInteger(value) ? value === 1 : value]),
      /whole number/,
    ],
  ]

  test.each(changes)('a driver that returns rows as %s is refused by reads and writes', async (_, change, message) => {
    const { db, store } = await open()
    const outcomes = await write(store)
    const changed = through(db, change)
    const refused = { code: 'STORE_FAILED', message: expect.stringMatching(message) }
    for (const read of [
      () => changed.readAggregate(aggregate),
      () => changed.readKey({ aggregateType: 'account', aggregateId: id, idempotencyKey: 'k' }),
      () => changed.readViews([{ name: 'balances', generation: 'live', id }]),
      () => changed.readCheckpoint('mailer'),
      () => changed.readFeed({ limit: 9 }),
      () => changed.lastPosition(),
      () => changed.acquireLease({ name: 'mailer', holder: 'other', ttlMs: 1 }),
      () => changed.createSchema(),
    ])
      await expect(read()).rejects.toMatchObject(refused)
    expect(failure(await appendOne(changed, commit('c9', 'a', 1)))).toMatchObject({ ...refused, certain: true })
    expect(outcomes.length).toBe(5)
  })
})

const mapped = (
  row: Record<string, unknown>,
  change: (name: string, value: unknown) => [string, unknown],
): Record<string, unknown> => Object.fromEntries(Object.entries(row).map(([name, value]) => change(name, value)))
