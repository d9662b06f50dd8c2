import { createApp } from 'cqrs-es'
import { type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'
import { comparePositions, type Store } from 'cqrs-es/store'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { ddl, postgresRows, type SqlRows } from '../fixtures/rust/rows.ts'
import { postgresStatements as crate } from '../fixtures/rust/statements.ts'
import { freshDatabase } from '../servers/fresh.ts'
import { unselected } from '../servers/stores.ts'
import { readLog } from './commits.ts'
import { counter, dataIn, rustFormat } from './crate-counter.ts'

const pools: pg.Pool[] = []
afterAll(() => Promise.all(pools.map((pool) => pool.end())))

const eventColumns = ['aggregate_type', 'aggregate_id', 'sequence', 'event_type', 'event_version', 'payload', 'metadata'] as const
const snapshotColumns = ['aggregate_type', 'aggregate_id', 'last_sequence', 'current_snapshot', 'payload'] as const

/** A database with the crate's tables and the rows that it wrote, in the order given. */
async function crateDatabase(events: SqlRows['events'] = postgresRows().events) {
  const pool = new pg.Pool({ connectionString: await freshDatabase('postgres'), max: 4 })
  pools.push(pool)
  await pool.query(ddl('postgres'))
  const insert = async (table: string, columns: readonly string[], row: object) =>
    pool.query(
      `INSERT INTO ${table} (${columns}) VALUES (${columns.map((_, i) => `$${i + 1}`)})`,
      columns.map((column) => Reflect.get(row, column)),
    )
  for (const row of events) await insert('events', eventColumns, row)
  for (const row of postgresRows().snapshots) await insert('snapshots', snapshotColumns, row)
  return pool
}

/** Ours in the crate's own table, for a program that is in aggregate mode. */
const shared: PostgresStoreOptions = { tables: { snapshots: 'snapshots' } }

async function adopt(pool: pg.Pool, options: PostgresStoreOptions = {}): Promise<Store> {
  const store = postgresStore(pool, { ...rustFormat, ...options })
  await store.createSchema()
  return store
}

describe.skipIf(unselected('postgres'))("the Rust crate's tables on Postgres", () => {
  it('tables of the crate are adopted: every row is read, each aggregate in order of positions', async () => {
    const { events } = postgresRows()
    const store = await adopt(await crateDatabase(), { payloadFormat: 'json' })
    const seen = await readLog(store)
    expect(seen.length).toBe(events.length)
    const next = new Map<string, number>()
    for (const [i, event] of seen.entries()) {
      const place = `${event.aggregateType}/${event.aggregateId}`
      expect(event.sequence, place).toBe((next.get(place) ?? 0) + 1)
      next.set(place, event.sequence)
      const before = seen[i - 1]?.position
      if (before !== undefined && event.position !== undefined) expect(comparePositions(before, event.position)).toBeLessThan(0)
    }
    for (const row of events) {
      const found = seen.find((event) => event.id === `${row.aggregate_type}/${row.aggregate_id}/${row.sequence}`)
      expect(found).toMatchObject({ type: row.event_type, version: row.event_version, metadata: JSON.parse(row.metadata) })
    }
  })

  it('tables of the crate are adopted in order of sequences even if the rows lie in another', async () => {
    const shuffled = [...postgresRows().events].sort((a, b) => ((a.sequence * 7919) % 101) - ((b.sequence * 7919) % 101))
    const next = new Map<string, number>()
    for (const event of await readLog(await adopt(await crateDatabase(shuffled), { payloadFormat: 'json' }))) {
      const place = `${event.aggregateType}/${event.aggregateId}`
      expect(event.sequence, place).toBe((next.get(place) ?? 0) + 1)
      next.set(place, event.sequence)
    }
  })

  it('data that serde wrapped is read back in any shape of its variant', async () => {
    const store = await adopt(await crateDatabase())
    const { events } = await store.readAggregate({ aggregateType: 'order', aggregateId: 'order-1', after: 0 })
    const rows = postgresRows().events.filter((row) => row.aggregate_type === 'order' && row.aggregate_id === 'order-1')
    expect(events.map(({ data }) => data)).toEqual(rows.map((row) => dataIn(row.payload)))
    const bare = rows.find((row) => row.payload.startsWith('"'))
    expect(events.find(({ sequence }) => sequence === bare?.sequence)?.data).toEqual({})
  })

  it('an event with an internally tagged enum is refused by name', async () => {
    const store = await adopt(await crateDatabase())
    const read = store.readAggregate({ aggregateType: 'ticket', aggregateId: firstId('ticket'), after: 0 })
    await expect(read).rejects.toMatchObject({
      code: 'DESERIALIZATION',
      message: expect.stringMatching(/ticket\/ticket-1\/1' .*\{"Created": data\}/),
    })
    const plain = await adopt(await crateDatabase(), { payloadFormat: 'json' })
    const { events } = await plain.readAggregate({ aggregateType: 'ticket', aggregateId: firstId('ticket'), after: 0 })
    expect(events[0]?.data).toHaveProperty('kind')
  })

  it('snapshots of the crate are ignored, and their versions continue in a shared table', async () => {
    const pool = await crateDatabase()
    const store = await adopt(pool, shared)
    const aggregate = { aggregateType: 'counter', aggregateId: 'aggregate-5', after: 0 }
    for (const stateVersion of ['1', '']) {
      const page = await store.readAggregate({ ...aggregate, snapshot: { stateVersion } })
      expect([page.snapshot, page.events.length]).toEqual([undefined, 5])
    }
    const app = createApp({ store, aggregates: { counter } })
    const result = await app.aggregates.counter.execute('aggregate-5', { type: 'Add', data: { by: 3 } })
    expect(result.state).toEqual({ count: 6, value: 3 })
    const { rows } = await pool.query(crate.selectSnapshot, ['counter', 'aggregate-5'])
    expect(rows).toEqual([{ ...rows[0], last_sequence: '6', current_snapshot: '2', payload: { count: 6, value: 3 } }])
    expect((await store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } })).snapshot?.sequence).toBe(6)
  })

  it('statements of the crate and of the store alternate on one aggregate', async () => {
    const pool = await crateDatabase()
    const store = await adopt(pool, shared)
    const { execute } = createApp({ store, aggregates: { counter } }).aggregates.counter
    await execute('counter-1', { type: 'Add', data: { by: 7 } }, { metadata: { user: 'ann' } })
    await execute('counter-1', { type: 'Reset' })
    const ours = await pool.query(crate.selectLastEvents(4), ['counter', 'counter-1'])
    expect(ours.rows).toEqual([
      { ...row('counter-1', 5), event_type: 'Added', payload: { Added: { by: 7 } }, metadata: { user: 'ann' } },
      { ...row('counter-1', 6), event_type: 'Reset', payload: 'Reset', metadata: {} },
    ])

    await pool.query(crate.insertEvent, ['counter', 'counter-1', 7, 'Counted', '1.0', '{"Counted": 9}', '{"by": "rust"}'])
    const snapshot = (await pool.query(crate.selectSnapshot, ['counter', 'counter-1'])).rows[0]
    expect(snapshot).toMatchObject({ last_sequence: '6', current_snapshot: '2' })
    const update = ['counter', 'counter-1', 7, 3, 2, '{"count": 99, "value": 99}']
    expect((await pool.query(crate.updateSnapshot, update)).rowCount).toBe(1)

    const added = await execute('counter-1', { type: 'Add', data: { by: 1 } })
    expect([added.sequence, added.state]).toEqual([8, { count: 8, value: 10 }])
    const theirs = (await readLog(store, [{ aggregateType: 'counter' }]))
      .filter((event) => event.aggregateId === 'counter-1')
      .slice(-2)
    expect(theirs.map(({ type, sequence }) => [type, sequence])).toEqual([
      ['Counted', 7],
      ['Added', 8],
    ])
    expect(theirs[0]).toMatchObject({ data: 9, metadata: { by: 'rust' }, commitId: '' })
    expect(Date.parse(theirs[0]?.recordedAt ?? '')).toBeGreaterThan(Date.parse('2026-01-01'))

    const late = pool.query(crate.insertEvent, ['counter', 'counter-1', 8, 'Added', '1.0', '{"Added": {"by": 1}}', '{}'])
    await expect(late).rejects.toMatchObject({ code: '23505' })
  })

  it('metadata takes only texts because the crate reads nothing else', async () => {
    const store = await adopt(await crateDatabase())
    const { execute } = createApp({ store, aggregates: { counter } }).aggregates.counter
    const refused = execute('counter-1', { type: 'Reset' }, { metadata: { attempts: 3 } })
    await expect(refused).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('"attempts"') })
    expect((await store.readAggregate({ aggregateType: 'counter', aggregateId: 'counter-1', after: 4 })).events).toEqual([])
  })

  it('several snapshot rows of one aggregate become one', async () => {
    const pool = await crateDatabase()
    await pool.query(crate.insertSnapshot, ['counter', 'counter-1', 2, 1, '{"count": 1}'])
    await pool.query(crate.insertSnapshot, ['counter', 'counter-1', 4, 1, '{"count": 2}'])
    const { execute } = createApp({ store: await adopt(pool, shared), aggregates: { counter } }).aggregates.counter
    await execute('counter-1', { type: 'Reset' })
    const { rows } = await pool.query(crate.selectSnapshot, ['counter', 'counter-1'])
    expect(rows.map((one) => [one.last_sequence, one.current_snapshot])).toEqual([['5', '2']])
  })
})

const firstId = (type: string) => postgresRows().events.find((event) => event.aggregate_type === type)?.aggregate_id ?? ''

const row = (aggregate_id: string, sequence: number) => ({
  aggregate_type: 'counter',
  aggregate_id,
  sequence: String(sequence),
  event_version: '1.0',
})
