import { type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'
import type { CommitOutcome, Store } from 'cqrs-es/store'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tables } from '../conformance/reused.ts'
import { freshDatabase } from '../servers/fresh.ts'
import { unselected } from '../servers/stores.ts'
import { append } from './commits.ts'

let url: string
let direct: pg.Pool
const pools: pg.Pool[] = []
beforeAll(async () => {
  if (unselected('postgres')) return
  url = await freshDatabase('postgres')
  direct = poolWith()
})
afterAll(() => Promise.all(pools.map((pool) => pool.end())))

/** A pool whose every session begins with these statements. */
function poolWith(statements = '', user?: string): pg.Pool {
  const connectionString = user === undefined ? url : Object.assign(new URL(url), { username: user }).href
  const onConnect = (client: pg.ClientBase) => client.query(statements)
  const pool = new pg.Pool({ connectionString, max: 3, onConnect } as pg.PoolConfig)
  pool.on('error', () => {})
  pools.push(pool)
  return pool
}

let schemas = 0

/** A schema of its own, made by a session without settings. */
async function newSchema(options: PostgresStoreOptions = {}) {
  const schema = `settings_${++schemas}`
  const store = postgresStore(direct, { schema, ...options })
  await store.createSchema()
  return { schema, store }
}

const id = 'Zoë/😀'
const aggregate = { aggregateType: 'account', aggregateId: id, after: 0 }
const view = { name: 'balances', generation: 1, id, view: { owner: id, at: '2026-01-02' }, sequence: 2 }

/** Each method of the port that reads, on what `write` has stored. */
const reads: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  readAggregate: (store) => store.readAggregate(aggregate),
  'readAggregate with a snapshot': (store) => store.readAggregate({ ...aggregate, snapshot: { stateVersion: '1' } }),
  'readAggregate of nothing': (store) => store.readAggregate({ ...aggregate, aggregateId: 'nothing' }),
  readIds: (store) => store.readIds({ aggregateType: 'account', limit: 9 }),
  'readIds of nothing': (store) => store.readIds({ aggregateType: 'nothing', limit: 9 }),
  readKey: (store) => store.readKey({ aggregateType: 'account', aggregateId: id, idempotencyKey: 'k' }),
  'readKey of nothing': (store) => store.readKey({ aggregateType: 'account', aggregateId: id, idempotencyKey: 'nothing' }),
  readViews: (store) => store.readViews([{ name: 'balances', generation: 'live', id }]),
  'readViews of nothing': (store) => store.readViews([{ name: 'balances', generation: 'live', id: 'nothing' }]),
  findViews: (store) =>
    store.findViews({ name: 'balances', generation: 'live', where: [{ index: 'owner', is: '=', value: id }], limit: 9 }),
  'findViews of nothing': (store) => store.findViews({ name: 'nothing', generation: 'live', where: [], limit: 9 }),
  viewGenerations: (store) => store.viewGenerations('balances'),
  'viewGenerations of nothing': (store) => store.viewGenerations('nothing'),
  readCheckpoint: (store) => store.readCheckpoint('mailer'),
  readConsumers: async (store) => (await store.readConsumers?.(['nothing', 'mailer']))?.map((one) => one.checkpoint),
  'readCheckpoint of nothing': (store) => store.readCheckpoint('nothing'),
  readFeed: (store) => store.readFeed({ limit: 9, only: [{ aggregateType: 'account' }] }),
  lastPosition: (store) => store.lastPosition(),
  endPosition: (store) => store.endPosition(),
}

/** Each method that writes. */
const writes: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  append: async (store) => {
    const [outcome] = await store.append([{ id: 'other', appends: [append('other', 'account', 'other', 0, [{}])] }])
    if (outcome?.kind === 'failed') throw outcome.cause
  },
  acquireLease: (store) => store.acquireLease({ name: 'other', holder: id, ttlMs: 60_000 }),
  renewLease: (store) => store.renewLease({ name: 'mailer', fence: 9, ttlMs: 60_000 }),
  releaseLease: (store) => store.releaseLease({ name: 'mailer', fence: 9 }),
  addViewGeneration: (store) => store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' }),
  switchViewGeneration: (store) => store.switchViewGeneration({ name: 'v', from: 1, to: 2 }),
  removeViewGeneration: (store) => store.removeViewGeneration({ name: 'v', generation: 2 }),
  transact: async (store) => {
    const outcome = await store.transact?.({ id: 't', checkpoint: { name: 'mailer', fence: 9, position: '1' } }, async () => {})
    if (outcome?.kind === 'failed') throw outcome.cause
  },
}

/** One commit with all its parts, and another of the same aggregate that is in conflict. */
async function write(store: Store): Promise<readonly CommitOutcome[]> {
  const lease = await store.acquireLease({ name: 'mailer', holder: 'me', ttlMs: 60_000 })
  const fence = lease.acquired ? lease.fence : 0
  expect(await store.renewLease({ name: 'mailer', fence, ttlMs: 60_000 })).toBe(true)
  await store.addViewGeneration({ name: 'balances', generation: 1, viewVersion: '1' })
  const data = [{ text: `a\\b'c"ü${id}`, at: '2026-01-02T03:04:05.678Z', number: 0.1, none: null }, '2026-01-02']
  const first = { ...append('c1', 'account', id, 0, data), snapshot: { stateVersion: '1', state: { owner: id } } }
  const whole = {
    id: 'c1',
    appends: [first],
    key: { idempotencyKey: 'k', commandHash: 'h' },
    views: [{ ...view, expectedVersion: 0, indexes: [{ index: 'owner', value: id }] }],
    checkpoint: { name: 'mailer', fence, position: '1' },
  }
  return store.append([whole, { id: 'c2', appends: [append('c2', 'account', id, 1, [{}])] }])
}

async function readAll(store: Store) {
  const answers: Record<string, unknown> = {}
  for (const [name, read] of Object.entries(reads)) answers[name] = await read(store)
  return answers
}

describe.skipIf(unselected('postgres'))('the Postgres store', () => {
  const harmless: readonly string[] = [
    'client_encoding = SQL_ASCII',
    'standard_conforming_strings = off',
    "backslash_quote = 'off'",
    "DateStyle = 'SQL, DMY'",
    'IntervalStyle = sql_standard',
    'IntervalStyle = iso_8601',
    'bytea_output = escape',
    "search_path = ''",
    'search_path = shadow, pg_temp',
    "TimeZone = 'Asia/Kathmandu'",
    "timezone_abbreviations = 'India'",
    'default_transaction_deferrable = on',
    'statement_timeout = 60000',
    'lock_timeout = 60000',
    'idle_in_transaction_session_timeout = 60000',
    'idle_session_timeout = 60000',
    'transaction_timeout = 60000',
    'row_security = off',
    'synchronous_commit = off',
    'extra_float_digits = -15',
    'session_replication_role = replica',
    'jit = on; SET jit_above_cost = 0; SET jit_optimize_above_cost = 0; SET jit_inline_above_cost = 0',
    'plan_cache_mode = force_generic_plan',
    'plan_cache_mode = force_custom_plan',
    'enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off',
    'enable_seqscan = off; SET enable_sort = off; SET enable_hashagg = off; SET enable_nestloop = off',
    'debug_parallel_query = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0',
    'work_mem = 64',
    'from_collapse_limit = 1; SET join_collapse_limit = 1',
    'constraint_exclusion = on',
    'transform_null_equals = on',
    'array_nulls = off',
    'xmlbinary = hex',
    'xmloption = document',
    'quote_all_identifiers = on',
    'check_function_bodies = off',
    'default_table_access_method = heap',
    'client_min_messages = error',
    'client_min_messages = debug1',
    "lc_messages = 'C'",
    'allow_system_table_mods = on',
    'plpgsql.variable_conflict = use_column',
    'plpgsql.variable_conflict = use_variable',
    "plpgsql.extra_errors = 'all'",
    'restrict_nonsystem_relation_kind = view',
  ]

  let expected: Record<string, unknown>
  let outcomes: readonly CommitOutcome[]
  beforeAll(async () => {
    const { store } = await newSchema()
    outcomes = await write(store)
    expected = await readAll(store)
    // Tables that a statement without a schema would find first.
    await direct.query('CREATE SCHEMA shadow')
    for (const table of ['events', 'state_snapshots', 'views', 'leases', 'checkpoints', 'idempotency_keys'])
      await direct.query(`CREATE TABLE shadow.${table} (nothing text)`)
  })

  test('a commit is stored and read back without settings', () => {
    expect(outcomes).toEqual([
      { kind: 'stored', positions: ['1', '2'] },
      { kind: 'conflict', on: 'sequence', actualSequence: 2 },
    ])
    expect(expected).toMatchObject({
      readAggregate: { events: [{ aggregateId: id }, { data: '2026-01-02' }], more: false },
      'readAggregate with a snapshot': { snapshot: { state: { owner: id } }, events: [] },
      readIds: { items: [id] },
      findViews: { items: [{ id }] },
      readFeed: { position: '2' },
    })
  })

  test.each(harmless)('the setting %s changes no result', async (setting) => {
    const schema = `settings_${++schemas}`
    const store = postgresStore(poolWith(`SET ${setting}`), { schema })
    await store.createSchema()
    expect(await write(store)).toEqual(outcomes)
    expect(await readAll(store)).toEqual(expected)
    expect(await readAll(postgresStore(direct, { schema }))).toEqual(expected)
    for (const call of Object.values(writes)) await call(store)
  })

  const everyCall = { ...reads, ...writes }

  test.each(['LATIN1', 'WIN1252', 'EUC_JP', 'SJIS'])('client_encoding = %s is refused by every call', async (encoding) => {
    const { schema, store } = await newSchema()
    await write(store)
    const hostile = postgresStore(poolWith(`SET client_encoding = ${encoding}`), { schema })
    for (const [name, call] of Object.entries(everyCall))
      await expect(call(hostile), name).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('client_encoding'),
      })
    expect(await readAll(store)).toEqual(expected)
  })

  test.each(['repeatable read', 'serializable'])(
    'default_transaction_isolation = %s is refused where a transaction needs the latest rows',
    async (isolation) => {
      const { schema, store } = await newSchema()
      await write(store)
      const hostile = postgresStore(poolWith(`SET default_transaction_isolation = '${isolation}'`), { schema })
      const { append, acquireLease, addViewGeneration, switchViewGeneration, removeViewGeneration } = writes
      const { readFeed, lastPosition, endPosition, ...single } = reads
      const refused = {
        append,
        acquireLease,
        addViewGeneration,
        switchViewGeneration,
        removeViewGeneration,
        readFeed,
        lastPosition,
        endPosition,
      }
      for (const [name, call] of Object.entries(refused))
        await expect(call?.(hostile), name).rejects.toMatchObject({
          code: 'STORE_FAILED',
          message: expect.stringContaining('default_transaction_isolation'),
        })
      for (const [name, read] of Object.entries(single)) expect(await read(hostile), name).toEqual(expected[name])
    },
  )

  test('default_transaction_read_only is refused by writes and named', async () => {
    const { schema, store } = await newSchema()
    await write(store)
    const hostile = postgresStore(poolWith('SET default_transaction_read_only = on'), { schema })
    const { renewLease, releaseLease, removeViewGeneration, switchViewGeneration, transact, ...others } = writes
    for (const [name, call] of Object.entries(others))
      await expect(call(hostile), name).rejects.toMatchObject({
        code: 'STORE_READ_ONLY',
        message: expect.stringContaining('default_transaction_read_only'),
      })
    expect(await readAll(hostile)).toEqual(expected)
  })

  test.each(tables)('row-level security on %s is refused by every call', async (table) => {
    const { schema, store } = await newSchema()
    await write(store)
    const role = `limited_${process.pid}_${schemas}`
    await direct.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role};
      GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO ${role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role}`)
    const limited = postgresStore(poolWith('', role), { schema })
    expect(await readAll(limited)).toEqual(expected)
    await direct.query(
      `ALTER TABLE ${schema}.${table} ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON ${schema}.${table} USING (false)`,
    )
    for (const [name, call] of Object.entries(everyCall))
      await expect(call(limited), name).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringMatching(/row-level security/i),
      })
    await direct.query(`ALTER ROLE ${role} BYPASSRLS`)
    expect(await readAll(limited)).toEqual(expected)
    await direct.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })

  test('an idle_in_transaction_session_timeout that ends a transaction is named', async () => {
    const { schema, store } = await newSchema()
    const lease = await store.acquireLease({ name: 'totals', holder: 'me', ttlMs: 60_000 })
    // Long enough for the statements before the function, also on a busy machine.
    const pool = poolWith('SET idle_in_transaction_session_timeout = 500')
    const ended = new Promise((resolve) => pool.once('connect', (client) => client.once('end', () => resolve(undefined))))
    const checkpoint = { name: 'totals', fence: lease.acquired ? lease.fence : 0, position: '1' }
    const outcome = await postgresStore(pool, { schema }).transact?.({ id: 'c1', checkpoint }, async () => {
      await ended
    })
    expect(outcome).toMatchObject({
      kind: 'failed',
      certain: true,
      cause: { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('idle_in_transaction_session_timeout') },
    })
    expect(await store.readCheckpoint('totals')).toBeUndefined()
  })

  describe('an altered schema', () => {
    const alterations: readonly (readonly [string, string, RegExp])[] = [
      ['the position sequence has a CACHE', 'ALTER SEQUENCE $.events_position_seq CACHE 20', /CACHE 1 INCREMENT 1 NO CYCLE/],
      ['positions are not drawn one by one', 'ALTER SEQUENCE $.events_position_seq INCREMENT 5', /CACHE 1 INCREMENT 1 NO CYCLE/],
      ['positions are drawn backwards', 'ALTER SEQUENCE $.events_position_seq INCREMENT -1', /CACHE 1 INCREMENT 1 NO CYCLE/],
      ['positions start again', 'ALTER SEQUENCE $.events_position_seq CYCLE', /CACHE 1 INCREMENT 1 NO CYCLE/],
      ['the trigger is disabled', 'ALTER TABLE $.events DISABLE TRIGGER events_lock_horizon', /ENABLE ALWAYS TRIGGER/],
      ['all triggers are disabled', 'ALTER TABLE $.events DISABLE TRIGGER ALL', /ENABLE ALWAYS TRIGGER/],
      ['the trigger is for the origin alone', 'ALTER TABLE $.events ENABLE TRIGGER events_lock_horizon', /ENABLE ALWAYS TRIGGER/],
      [
        'the trigger is for replicas alone',
        'ALTER TABLE $.events ENABLE REPLICA TRIGGER events_lock_horizon',
        /ENABLE ALWAYS TRIGGER/,
      ],
      ['the trigger is dropped', 'DROP TRIGGER events_lock_horizon ON $.events', /createSchema\(\)/],
      ['a crash would empty the events', 'ALTER TABLE $.events SET UNLOGGED', /ALTER TABLE .*events" SET LOGGED/],
    ]

    test.each(alterations)('readers of the log refuse a schema in which %s', async (_, sql, message) => {
      const { schema, store } = await newSchema()
      await write(store)
      await direct.query(sql.replaceAll('$', schema))
      const refused = { code: 'STORE_FAILED', message: expect.stringMatching(message) }
      await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject(refused)
      await expect(store.lastPosition()).rejects.toMatchObject(refused)
      await expect(store.endPosition()).rejects.toMatchObject(refused)
    })

    test('the advice of the error repairs the log', async () => {
      const { schema, store } = await newSchema()
      await write(store)
      await direct.query(`ALTER SEQUENCE ${schema}.events_position_seq CACHE 20 INCREMENT 2 CYCLE`)
      await direct.query(`ALTER TABLE ${schema}.events DISABLE TRIGGER ALL`)
      for (let tries = 0; tries < 2; tries++) {
        const error = (await store.readFeed({ limit: 1 }).catch((caught: unknown) => caught)) as Error
        const [, statement = ''] = /Fix it with: \((ALTER [^,)]*)/.exec(error.message) ?? []
        await direct.query(statement)
      }
      expect(await readAll(store)).toEqual(expected)
      await direct.query(`DROP TRIGGER events_lock_horizon ON ${schema}.events`)
      await expect(store.lastPosition()).rejects.toThrow('createSchema()')
      await store.createSchema()
      expect(await readAll(store)).toEqual(expected)
    })

    test('a writer refuses positions that a CACHE of the sequence drew ahead', async () => {
      const { schema, store } = await newSchema()
      await direct.query(`ALTER SEQUENCE ${schema}.events_position_seq CACHE 20`)
      const session = new pg.Client({ connectionString: url })
      await session.connect()
      const cached = postgresStore(session, { schema })
      const write = async (id: string, at: number) => cached.append([{ id, appends: [append(id, 'account', 'a', at, [{}])] }])
      expect(await write('c0', 0)).toMatchObject([{ kind: 'stored', positions: ['1'] }])
      const message = expect.stringContaining('CACHE 1 INCREMENT 1 NO CYCLE')
      expect(await write('c1', 1)).toMatchObject([{ kind: 'failed', certain: true, cause: { code: 'STORE_FAILED', message } }])
      await direct.query(`ALTER SEQUENCE ${schema}.events_position_seq CACHE 1`)
      await session.end()
      expect((await store.readFeed({ limit: 9 })).events).toHaveLength(1)
    })

    test.each([
      ['its sequence belongs to no column', 'ALTER SEQUENCE $.events_position_seq OWNED BY NONE'],
      ['its sequence goes on at a higher number', 'ALTER SEQUENCE $.events_position_seq RESTART WITH 1000'],
      ['its tables have statistics and storage of their own', 'ALTER TABLE $.events SET (fillfactor = 50)'],
    ])('readers of the log accept a schema in which %s', async (_, sql) => {
      const { schema, store } = await newSchema()
      await write(store)
      await direct.query(sql.replaceAll('$', schema))
      expect(await store.readFeed({ limit: 9, only: [{ aggregateType: 'account' }] })).toMatchObject({
        events: [{ position: '1' }, { position: '2' }],
      })
    })
  })
})
