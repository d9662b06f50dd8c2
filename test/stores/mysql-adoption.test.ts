import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { createApp } from 'cqrs-es'
import { type MysqlStoreOptions, mysqlStore } from 'cqrs-es/mysql'
import { comparePositions, type Position, type Store, type StoredEvent } from 'cqrs-es/store'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ddl, mysqlMixedIds, mysqlRows, type SqlRows } from '../fixtures/rust/rows.ts'
import { mysqlStatements as crate } from '../fixtures/rust/statements.ts'
import { bundledProgram } from '../program.ts'
import { appendOne, commit, dataOf, failure, readLog } from './commits.ts'
import { counter, payloadIn, rustFormat } from './crate-counter.ts'
import { type MysqlServerName, mysqlServers, newDatabase, noMysql, type TestMysql } from './mysql-database.ts'

let server: MysqlServerName
const opened: TestMysql[] = []
afterAll(() => Promise.all(opened.map((database) => database.close())))

const eventColumns = ['aggregate_type', 'aggregate_id', 'sequence', 'event_type', 'event_version', 'payload', 'metadata'] as const
const snapshotColumns = ['aggregate_type', 'aggregate_id', 'last_sequence', 'current_snapshot', 'payload'] as const

async function fresh(rest = ''): Promise<TestMysql> {
  const database = await newDatabase(server, rest)
  opened.push(database)
  return database
}

/** A database with the crate's tables and the rows that it wrote. */
async function crateDatabase({ rest = 'CHARACTER SET utf8mb4', rows = mysqlRows(), alter = '' } = {}): Promise<TestMysql> {
  const database = await fresh(rest)
  await database.sql(ddl('mysql') + alter)
  await insert(database, 'events', eventColumns, rows.events)
  await insert(database, 'snapshots', snapshotColumns, rows.snapshots)
  return database
}

async function insert({ sql }: TestMysql, table: string, columns: readonly string[], rows: readonly object[]) {
  for (const row of rows)
    await sql(
      `INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => '?')})`,
      ...columns.map((column) => String(Reflect.get(row, column))),
    )
}

async function adopt(database: TestMysql, options: MysqlStoreOptions = { foreignWriters: true }) {
  const store = mysqlStore(database.pool(), { ...rustFormat, ...options })
  await store.createSchema()
  return store
}

/** Positions grow, and each aggregate's events come as 1, 2, 3 … */
function expectOrder(events: readonly StoredEvent[]) {
  const next = new Map<string, number>()
  for (const [i, event] of events.entries()) {
    const place = `${event.aggregateType}/${event.aggregateId}`
    expect(event.sequence, place).toBe((next.get(place) ?? 0) + 1)
    next.set(place, event.sequence)
    const before = events[i - 1]?.position
    if (before !== undefined && event.position !== undefined) expect(comparePositions(before, event.position)).toBeLessThan(0)
  }
}

const foreign = (aggregateId: string, sequence: number) =>
  ['counter', aggregateId, String(sequence), 'Counted', '1.0', '{"Counted":9}', '{"by":"rust"}'] as const

describe.skipIf(noMysql).each(mysqlServers)("the Rust crate's tables, on $name", (on) => {
  beforeAll(() => {
    server = on.server
  })

  it.each([
    'CHARACTER SET utf8mb4',
    'CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci',
    'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin',
  ])('tables of the crate with %s are adopted, and every row is read in order', async (rest) => {
    const { events } = mysqlRows()
    const seen = await readLog(await adopt(await crateDatabase({ rest }), { payloadFormat: 'json' }))
    expect(seen.length).toBe(events.length)
    expectOrder(seen)
    for (const row of events) {
      const found = seen.find((event) => event.id === `${row.aggregate_type}/${row.aggregate_id}/${row.sequence}`)
      expect(found).toMatchObject({ type: row.event_type, version: row.event_version, metadata: JSON.parse(row.metadata) })
      expect(found?.data).toEqual(payloadIn(row.payload))
      expect(found?.recordedAt).toBe('1970-01-01T00:00:00.000Z')
    }
  })

  it('tables of the crate in latin1 are adopted, and ids may then be any text', async () => {
    const rows = mysqlRows()
    const idOf = (row: SqlRows['events'][number]) => `${row.aggregate_type}/${row.aggregate_id}`
    const others = new Set(rows.events.filter((row) => !/^[ -~]*$/.test(JSON.stringify(row))).map(idOf))
    const plain = { ...rows, events: rows.events.filter((row) => !others.has(idOf(row))), snapshots: [] }
    const store = await adopt(await crateDatabase({ rest: 'CHARACTER SET latin1', rows: plain }), { payloadFormat: 'json' })
    expectOrder(await readLog(store))
    expect((await appendOne(store, commit('c1', '漢字\u{1f600}', 0))).kind).toBe('stored')
    expect(await dataOf(store, '漢字\u{1f600}')).toHaveLength(1)
  })

  it('tables of the crate in MyISAM become InnoDB for transactions', async () => {
    const alter = 'ALTER TABLE events ENGINE = MyISAM; ALTER TABLE snapshots ENGINE = MyISAM;'
    const database = await crateDatabase({
      rest: 'CHARACTER SET latin1',
      alter,
      rows: { events: [], snapshots: [], order_view: [] },
    })
    await adopt(database, { foreignWriters: true, tables: { snapshots: 'snapshots' } })
    const engines = await database.sql(
      'SELECT DISTINCT engine AS e FROM information_schema.tables WHERE table_schema = ?',
      database.name,
    )
    expect(engines.filter(({ e }) => e !== null)).toEqual([{ e: 'InnoDB' }])
  })

  it('tables of the crate are adopted in the order of their older column `timestamp`', async () => {
    const alter = 'ALTER TABLE events ADD COLUMN timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP;'
    const database = await crateDatabase({ alter, rows: { events: [], snapshots: [], order_view: [] } })
    const times = [
      ['b', 1, 20],
      ['b', 2, 10],
      ['a', 1, 30],
      ['c', 1, 15],
      ['a', 2, 40],
    ] as const
    for (const [id, sequence, second] of times) {
      await database.sql(crate.insertEvent, ...foreign(id, sequence))
      await database.sql(
        `UPDATE events SET timestamp = '2026-01-01 00:00:${second}' WHERE aggregate_id = '${id}' AND sequence = ${sequence}`,
      )
    }
    const seen = await readLog(await adopt(database))
    expect(seen.map((event) => event.id)).toEqual(['counter/c/1', 'counter/b/1', 'counter/b/2', 'counter/a/1', 'counter/a/2'])
  })

  it('tables with an aggregate under several ids are refused by name and stay unchanged', async () => {
    const database = await crateDatabase({ rows: mysqlMixedIds() })
    const before = await database.sql('SHOW CREATE TABLE events')
    const adopted = adopt(database)
    await expect(adopted).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/counter\/Case \(1 events, from 2 to 2\)/),
    })
    expect(await database.sql('SHOW CREATE TABLE events')).toEqual(before)
  })

  it('tables of the crate are adopted once by concurrent processes', async () => {
    const database = await crateDatabase()
    const stores = Array.from({ length: 4 }, () => mysqlStore(database.pool(), rustFormat))
    await Promise.all(stores.map((store) => store.createSchema()))
    const [store] = stores as [Store]
    const seen = await readLog(mysqlStore(database.pool(), { inexactNumbers: 'text' }))
    expect(seen.length).toBe(mysqlRows().events.length)
    expectOrder(seen)
    await store.createSchema()
    expect(await readLog(mysqlStore(database.pool(), { inexactNumbers: 'text' }))).toEqual(seen)
  })

  it('snapshots of the crate are ignored, and their versions continue in a shared table', async () => {
    const database = await crateDatabase()
    const store = await adopt(database, { foreignWriters: true, tables: { snapshots: 'snapshots' } })
    const [stored] = mysqlRows().snapshots.filter((row) => row.aggregate_type === 'counter')
    if (stored === undefined) throw new Error('the fixture has a snapshot of a counter')
    const aggregate = { aggregateType: 'counter', aggregateId: stored.aggregate_id, after: 0 }
    for (const stateVersion of ['1', ''])
      expect((await store.readAggregate({ ...aggregate, snapshot: { stateVersion } })).snapshot).toBeUndefined()
    const { events } = await store.readAggregate(aggregate)
    const result = await createApp({ store, aggregates: { counter } }).aggregates.counter.execute(stored.aggregate_id, {
      type: 'Add',
      data: { by: 3 },
    })
    const rows = await database.sql(crate.selectSnapshot, 'counter', stored.aggregate_id)
    expect(rows).toMatchObject([{ last_sequence: events.length + 1, current_snapshot: Number(stored.current_snapshot) + 1 }])
    const { snapshot } = await store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } })
    expect(snapshot).toMatchObject({ sequence: events.length + 1, state: result.state })
    await database.sql('UPDATE snapshots SET last_sequence = last_sequence + 1 WHERE aggregate_id = ?', stored.aggregate_id)
    expect((await store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } })).snapshot).toBeUndefined()
  })

  it('statements of the crate and of the store alternate on one aggregate', async () => {
    const database = await crateDatabase()
    const store = await adopt(database)
    await database.sql(crate.session)
    const { execute } = createApp({ store, aggregates: { counter } }).aggregates.counter
    const before = (await store.readAggregate({ aggregateType: 'counter', aggregateId: 'counter-1', after: 0 })).events.length
    await execute('counter-1', { type: 'Add', data: { by: 7 } }, { metadata: { user: 'ann' } })
    await execute('counter-1', { type: 'Reset' })
    const ours = await database.sql(crate.selectLastEvents(before), 'counter', 'counter-1')
    // mysql2 has parsed them where it knows that they are JSON.
    const json = (value: unknown) => (typeof value === 'string' && /^["{]/.test(value) ? JSON.parse(value) : value)
    expect(ours.map((row) => [row.sequence, row.event_type, json(row.payload), json(row.metadata)])).toEqual([
      [before + 1, 'Added', { Added: { by: 7 } }, { user: 'ann' }],
      [before + 2, 'Reset', 'Reset', {}],
    ])
    await database.sql(crate.insertEvent, ...foreign('counter-1', before + 3))
    const added = await execute('counter-1', { type: 'Add', data: { by: 1 } })
    expect([added.sequence, added.state.value]).toEqual([before + 4, 10])
    const seen = (await readLog(store, [{ aggregateType: 'counter' }]))
      .filter((event) => event.aggregateId === 'counter-1')
      .slice(-2)
    expect(seen.map(({ type, sequence }) => [type, sequence])).toEqual([
      ['Counted', before + 3],
      ['Added', before + 4],
    ])
    expect(seen[0]).toMatchObject({ data: 9, metadata: { by: 'rust' }, commitId: '' })
    expect(seen[0]?.recordedAt).toMatch(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    const late = database.sql(crate.insertEvent, ...foreign('counter-1', before + 4))
    await expect(late).rejects.toMatchObject({ errno: 1062, sqlState: '23000' })
  })

  it('adopted columns keep a collation and an index that the crate can use', async () => {
    const database = await crateDatabase({ rest: 'CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' })
    await adopt(database, { foreignWriters: true, tables: { snapshots: 'snapshots' } })
    const columns = await database.sql(
      "SELECT column_name AS c FROM information_schema.columns WHERE table_schema = ? AND table_name IN ('events', 'snapshots') AND column_name IN ('aggregate_type', 'aggregate_id', 'event_type', 'event_version') AND collation_name LIKE '%bin'",
      database.name,
    )
    expect(columns).toEqual([])
    const [plan] = await database.sql(`EXPLAIN FORMAT=TRADITIONAL ${crate.selectEvents}`, 'counter', 'counter-1')
    expect(plan?.key).toBe('by_name')
  })
})

describe.skipIf(noMysql).each(mysqlServers)('events that another program inserts, on $name', (on) => {
  beforeAll(() => {
    server = on.server
  })

  it('tables have the indexes of the crate once foreignWriters is set, and not before', async () => {
    const database = await fresh()
    const indexed = () =>
      database.sql(
        "SELECT table_name AS t FROM information_schema.statistics WHERE table_schema = ? AND index_name = 'by_name' AND seq_in_index = 1",
        database.name,
      )
    await adopt(database, {})
    expect(await indexed()).toEqual([])
    for (let i = 0; i < 2; i++) await adopt(database)
    expect((await indexed()).length).toBe(2)
    const [plan] = await database.sql(`EXPLAIN FORMAT=TRADITIONAL ${crate.selectEvents}`, 'counter', 'counter-1')
    expect(plan?.key).toBe('by_name')
  })

  it('rows of another program stop the feed, which names one, until createSchema() orders them', async () => {
    const database = await fresh()
    const store = await adopt(database, {})
    await appendOne(store, commit('c1', 'a', 0))
    await database.sql(crate.insertEvent, ...foreign('x', 1))
    await database.sql(crate.insertEvent, ...foreign('x', 2))
    const refusal = { code: 'STORE_FAILED', message: expect.stringMatching(/counter\/x\/1' .*createSchema\(\).*foreignWriters/) }
    await expect(store.readFeed({ limit: 9 })).rejects.toMatchObject(refusal)
    await expect(store.readFeed({ limit: 9, only: [{ aggregateType: 'account' }] })).rejects.toMatchObject(refusal)
    expect((await appendOne(store, commit('c2', 'a', 1))).kind).toBe('stored')
    await store.createSchema()
    expect((await readLog(store)).map((event) => event.id)).toEqual(['account/a/1', 'account/a/2', 'counter/x/1', 'counter/x/2'])
    expect(await appendOne(store, commit('c3', 'a', 2))).toMatchObject({ positions: ['5'] })
  })

  it('a commit after an unordered row of another program fails until createSchema() orders it', async () => {
    const database = await fresh()
    const store = await adopt(database, {})
    await database.sql(crate.insertEvent, 'account', ...foreign('a', 1).slice(1))
    expect(failure(await appendOne(store, commit('c1', 'a', 1)))).toMatchObject({
      code: 'STORE_FAILED',
      certain: true,
      message: expect.stringContaining('foreignWriters'),
    })
    await store.createSchema()
    expect((await appendOne(store, commit('c1', 'a', 1))).kind).toBe('stored')
    expectOrder(await readLog(store))
  })

  it('the trigger orders rows of another program, and readers miss none', async () => {
    const database = await fresh()
    const store = await adopt(database, { foreignWriters: true })
    let writing = true
    const crateWriter = async (id: string) => {
      const connection = await database.pool().getConnection()
      const send = async (from: number, end: 'COMMIT' | 'ROLLBACK') => {
        await connection.query('START TRANSACTION')
        for (const sequence of [from, from + 1]) await connection.execute(crate.insertEvent, [...foreign(id, sequence)])
        await connection.query(end)
      }
      for (let i = 0; i < 30; i++) {
        if (i % 4 === 0) await send(i * 2 + 1, 'ROLLBACK')
        await send(i * 2 + 1, 'COMMIT')
      }
      connection.release()
    }
    const ourWriter = async (id: string) => {
      for (let i = 0; i < 40; i++) expect((await appendOne(store, commit(`${id}${i}`, id, i * 2, [1, 2]))).kind).toBe('stored')
    }
    const done = Promise.all([...['r1', 'r2', 'r3'].map(crateWriter), ...['o1', 'o2'].map(ourWriter)]).finally(() => {
      writing = false
    })
    const seen: StoredEvent[] = []
    let after: Position | undefined
    for (let behind = true; behind; ) {
      behind = writing
      const page = await store.readFeed({ limit: 5, ...(after !== undefined && { after }) })
      seen.push(...page.events)
      after = page.position
      behind ||= page.more
    }
    await done
    expect(seen.map((event) => event.id)).toEqual((await readLog(store)).map((event) => event.id))
    expectOrder(seen)
    expect(seen.length).toBe(3 * 60 + 2 * 80)
  })

  it('a row of another program with the same sequence makes a commit a conflict, not a failure', async () => {
    const database = await fresh()
    const store = await adopt(database, { foreignWriters: false })
    const connection = await database.pool().getConnection()
    await connection.query('START TRANSACTION')
    await connection.execute(crate.insertEvent, ['account', ...foreign('a', 1).slice(1)])
    const outcome = appendOne(store, commit('c1', 'a', 0))
    await new Promise((resolve) => setTimeout(resolve, 200))
    await connection.query('COMMIT')
    connection.release()
    expect(await outcome).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 1 })
  })
})

describe.skipIf(noMysql).each(mysqlServers)('the schema, on $name', (on) => {
  beforeAll(() => {
    server = on.server
  })

  let program: string
  beforeAll(async () => {
    program = await bundledProgram(fileURLToPath(new URL('mysql-make-schema.ts', import.meta.url)))
  })

  function makeSchema(databaseUrl: string): { child: ChildProcess; ended: Promise<number | null> } {
    const child = spawn(process.execPath, [program, databaseUrl], { stdio: ['ignore', 'pipe', 'inherit'] })
    return { child, ended: new Promise((resolve) => child.once('exit', resolve)) }
  }

  it('ten concurrent makers of the schema, three of them killed, leave it complete', async () => {
    const database = await crateDatabase()
    const processes = Array.from({ length: 10 }, () => makeSchema(database.url))
    for (const [i, { child }] of processes.slice(0, 3).entries())
      child.stdout?.once('data', () => setTimeout(() => child.kill('SIGKILL'), 20 + i * 60))
    const codes = await Promise.all(processes.map(({ ended }) => ended))
    expect(codes.slice(3)).toEqual(Array(7).fill(0))
    const store = mysqlStore(database.pool(), { foreignWriters: true, inexactNumbers: 'text' })
    await store.createSchema()
    const seen = await readLog(store)
    expect(seen.length).toBe(mysqlRows().events.length)
    expectOrder(seen)
    expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    expect(await database.sql('SELECT version FROM cqrs_es_schema')).toEqual([{ version: 1 }])
  })
})
