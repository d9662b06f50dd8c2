import { readFileSync } from 'node:fs'
import { type MysqlPool, mysqlStore } from 'cqrs-es/mysql'
import type { Position, Store } from 'cqrs-es/store'
import type * as mariadb from 'mariadb'
import callbacks from 'mysql2'
import mysql from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { findViewsStatement } from '../../src/mysql/find-views.ts'
import { namesOf } from '../../src/mysql/names.ts'
import { readUnplaced } from '../../src/mysql/schema.ts'
import { statementsOf } from '../../src/mysql/statements.ts'
import { serverUrl } from '../servers/ask.ts'
import { patienceMs } from '../strength.ts'
import { appendOne, commit, dataOf, failure } from './commits.ts'
import { type MysqlServerName, mysqlServers, newDatabase, noMysql, shareOf, type TestMysql } from './mysql-database.ts'
import { smokeTests } from './smoke.ts'

let server: MysqlServerName
const opened: TestMysql[] = []
afterAll(() => Promise.all(opened.map((database) => database.close())))

async function fresh(rest = ''): Promise<TestMysql> {
  const database = await newDatabase(server, rest)
  opened.push(database)
  return database
}

async function open(pool: mysql.PoolOptions = {}, options: Parameters<typeof mysqlStore>[1] = {}) {
  const database = await fresh()
  const store = mysqlStore(database.pool(pool), options)
  await store.createSchema()
  return { database, store }
}

/** A pool each of whose connections runs a statement first. */
function poolThatBegins(database: TestMysql, sql: string): mysql.Pool {
  const pool = database.pool()
  pool.pool.on('connection', (connection) => connection.query(sql))
  return pool
}

const sqlModes = [
  'STRICT_ALL_TABLES',
  '',
  'ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_ZERO_DATE,HIGH_NOT_PRECEDENCE,PAD_CHAR_TO_FULL_LENGTH',
  'TRADITIONAL,ONLY_FULL_GROUP_BY,NO_UNSIGNED_SUBTRACTION',
]

describe.skipIf(noMysql).each(mysqlServers)('the MySQL store, on $name', (on) => {
  beforeAll(() => {
    server = on.server
  })

  describe('on mysql2', () => {
    smokeTests(async () => (await open()).store)
  })

  describe('on mariadb', () => {
    smokeTests(async () => {
      const store = mysqlStore((await fresh()).mariadbPool())
      await store.createSchema()
      return store
    })
  })

  describe('on mysql2 with settings that change how rows are handed out', () => {
    smokeTests(
      async () =>
        (
          await open({
            rowsAsArray: true,
            nestTables: true,
            namedPlaceholders: true,
            supportBigNumbers: true,
            bigNumberStrings: true,
            dateStrings: true,
            decimalNumbers: true,
            flags: ['-FOUND_ROWS'],
          })
        ).store,
    )
  })

  describe('on mariadb with settings that change how rows are handed out', () => {
    smokeTests(async () => {
      const settings = { rowsAsArray: true, nestTables: '_', namedPlaceholders: true, metaAsArray: true, foundRows: false }
      const store = mysqlStore((await fresh()).mariadbPool({ ...settings, bigIntAsNumber: true, dateStrings: true }))
      await store.createSchema()
      return store
    })
  })

  describe.each(shareOf(on.server, sqlModes))("with sql_mode '%s'", (mode) => {
    smokeTests(async () => {
      const store = mysqlStore(poolThatBegins(await fresh(), `SET SESSION sql_mode = '${mode}'`))
      await store.createSchema()
      return store
    })
  })

  describe('in a database of latin1, with other names, from connections that have selected another', () => {
    smokeTests(async () => {
      const database = await fresh('CHARACTER SET latin1')
      const elsewhere = await fresh()
      const tables = {
        events: 'Bank_Events',
        snapshots: 'bank_snapshots',
        views: 'order',
        leases: 'select',
        sequencer: 'bank_log',
      }
      const store = mysqlStore(elsewhere.pool(), { database: database.name, tables })
      await store.createSchema()
      expect(await elsewhere.sql('SHOW TABLES')).toEqual([])
      return store
    })
  })

  describe.each(['mysql2', 'mariadb'] as const)('in a transaction with a checkpoint, on %s', (driver) => {
    interface UserConnection {
      execute(sql: string, values?: unknown[]): Promise<unknown>
      query(sql: string): Promise<unknown>
    }

    async function withTable() {
      const database = await fresh()
      const store = mysqlStore(
        driver === 'mysql2' ? database.pool({ connectionLimit: 2 }) : database.mariadbPool({ connectionLimit: 2 }),
      )
      await store.createSchema()
      await database.sql('CREATE TABLE balances (id VARCHAR(20) PRIMARY KEY, balance INT NOT NULL)')
      const lease = async (holder = 'one') => {
        const answer = await store.acquireLease({ name: 'balances', holder, ttlMs: 60_000 })
        return answer.acquired ? answer.fence : 0
      }
      const fence = await lease()
      const move = (position: string) => ({ id: `c${position}`, checkpoint: { name: 'balances', fence, position } })
      const state = async () => ({
        balances: (await database.sql('SELECT id, balance FROM balances ORDER BY id')).map(({ id, balance }) => [id, balance]),
        position: (await store.readCheckpoint('balances'))?.position,
        open: (await database.sql('SELECT trx_id FROM information_schema.innodb_trx WHERE trx_rows_modified > 0')).length,
      })
      return { database, store, lease, fence, move, state }
    }
    const put = (id: string, balance: number) => async (client: unknown) => {
      await (client as UserConnection).execute('INSERT INTO balances VALUES (?, ?)', [id, balance])
    }
    const nothing = { balances: [], position: undefined, open: 0 }

    it('rows of the user and the checkpoint are committed together', async () => {
      const { store, move, state } = await withTable()
      const during: unknown[] = []
      const outcome = await store.transact?.(move('1'), async (client) => {
        await put('a', 5)(client)
        during.push(await state())
      })
      expect(outcome).toEqual({ kind: 'stored', positions: [] })
      expect(during).toMatchObject([{ balances: [], position: undefined }])
      expect(await state()).toMatchObject({ balances: [['a', 5]], position: '1' })
      expect(await store.transact?.(move('1'), put('b', 6))).toEqual({ kind: 'repeated', positions: [] })
      expect((await state()).balances).toEqual([['a', 5]])
    })

    it('an error of the function passes through, stores nothing and keeps the connection usable', async () => {
      const { store, move, state } = await withTable()
      // One with the number that the store knows for a transaction that is not its own.
      for (const error of [new Error('no such account'), Object.assign(new Error('x'), { errno: 1568 })]) {
        const failing = async (client: unknown) => {
          await put('a', 5)(client)
          throw error
        }
        await expect(store.transact?.(move('1'), failing)).rejects.toBe(error)
      }
      const twice = async (client: unknown) => {
        await put('a', 5)(client)
        await put('a', 6)(client)
      }
      for (let i = 0; i < 4; i++) await expect(store.transact?.(move('1'), twice)).rejects.toMatchObject({ errno: 1062 })
      expect(await state()).toMatchObject({ balances: [], position: undefined })
      expect((await store.transact?.(move('1'), put('a', 7)))?.kind).toBe('stored')
      expect(await state()).toMatchObject({ balances: [['a', 7]], position: '1' })
    })

    it('a stale fence stores nothing', async () => {
      const { store, lease, fence, move, state } = await withTable()
      await store.releaseLease({ name: 'balances', fence })
      expect(await store.transact?.(move('1'), put('a', 5))).toEqual({ kind: 'conflict', on: 'fence' })
      await lease('two')
      expect(await store.transact?.(move('1'), put('a', 5))).toEqual({ kind: 'conflict', on: 'fence' })
      expect(await state()).toMatchObject({ balances: [], position: undefined })
    })

    it('a running function keeps its lease while other processes write', async () => {
      const { store, lease, fence, move } = await withTable()
      await store.renewLease({ name: 'balances', fence, ttlMs: 1 })
      let taken: Promise<number> | undefined
      const outcome = await store.transact?.(move('1'), async (client) => {
        await put('a', 5)(client)
        expect((await appendOne(store, commit('e1', 'a', 0))).kind).toBe('stored')
        taken = lease('two')
        await expect(Promise.race([taken, new Promise((resolve) => setTimeout(resolve, 100, 'waits'))])).resolves.toBe('waits')
      })
      expect(outcome?.kind).toBe('stored')
      expect(await taken).toBe(fence + 1)
    })

    it('a connection that ends midway is a certain failure and leaves the pool', async () => {
      const { database, store, move, state } = await withTable()
      const lose = async (client: unknown) => {
        await put('a', 5)(client)
        const answer = (await (client as UserConnection).query('SELECT CONNECTION_ID() AS id')) as { id: unknown }[][]
        const id = [answer].flat(2)[0]?.id
        await database.sql(`KILL CONNECTION ${id}`)
        const left = `SELECT COUNT(*) AS n FROM information_schema.processlist WHERE id = ${id}`
        await vi.waitUntil(async () => Number((await database.sql(left))[0]?.n) === 0, { timeout: patienceMs })
      }
      const outcome = await store.transact?.(move('1'), lose)
      expect(failure(outcome as never)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: true })
      await expect(
        store.transact?.(move('1'), async (client) => {
          await lose(client)
          await put('b', 6)(client)
        }),
      ).rejects.toThrow()
      // The server rolls back after it has closed the connection.
      await vi.waitUntil(async () => (await state()).open === 0, { timeout: patienceMs })
      expect(await state()).toEqual(nothing)
      for (const n of ['1', '2', '3']) expect((await store.transact?.(move(n), put(n, 7)))?.kind).toBe('stored')
    })

    it('a function that ends its transaction, for example by DDL, fails with advice', async () => {
      const { store, move, state } = await withTable()
      for (const sql of ['CREATE TABLE others (id INT)', 'COMMIT', 'ROLLBACK', 'START TRANSACTION']) {
        const work = (client: unknown) => (client as UserConnection).query(sql) as Promise<never>
        await expect(store.transact?.(move('1'), work)).rejects.toMatchObject({
          code: 'STORE_FAILED',
          message: expect.stringContaining('ended its transaction'),
        })
      }
      expect(await state()).toMatchObject({ balances: [], position: undefined })
      expect((await store.transact?.(move('1'), put('a', 7)))?.kind).toBe('stored')
    })
  })

  it('a COMMIT with a lost answer is uncertain, and a repeat recognises it', async () => {
    const { database, store } = await open()
    await store.acquireLease({ name: 'balances', holder: 'one', ttlMs: 60_000 })
    const pool = database.pool()
    const losing: MysqlPool = {
      execute: (...statement) => pool.execute(...statement),
      getConnection: async () => {
        const connection = await pool.getConnection()
        return {
          execute: (...statement) => connection.execute(...statement),
          query: async (sql) => {
            const answer = await connection.query(sql)
            if (sql.startsWith('COMMIT')) throw new Error('Connection lost: The server closed the connection.')
            return answer
          },
          release: () => connection.release(),
          destroy: () => connection.destroy(),
        }
      },
    }
    const move = { id: 'c1', checkpoint: { name: 'balances', fence: 1, position: '1' } }
    const outcome = await mysqlStore(losing).transact?.(move, () => {})
    expect(failure(outcome as never)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: false })
    expect(await store.transact?.(move, () => {})).toEqual({ kind: 'repeated', positions: [] })
  })

  it('mysqlStore takes a pool of either driver by its type', () => {
    expectTypeOf<mysql.Pool>().toExtend<MysqlPool>()
    expectTypeOf<mariadb.Pool>().toExtend<MysqlPool>()
    expectTypeOf<callbacks.Pool>().not.toExtend<MysqlPool>()
    expectTypeOf<mysql.Connection>().not.toExtend<MysqlPool>()
    expectTypeOf<mariadb.Connection>().not.toExtend<MysqlPool>()
  })

  it('mysqlStore refuses something else than a promise pool and says what to pass', async () => {
    const callbackPool = callbacks.createPool({})
    const connection = await mysql.createConnection(await serverUrl(server))
    const no = (pool: unknown) => () => mysqlStore(pool as MysqlPool)
    expect(no(callbackPool)).toThrow(/pool\.promise\(\)/)
    expect(no(connection)).toThrow(/not a single connection.*"getConnection"/)
    for (const other of [undefined, null, 'mysql://', {}, 7]) expect(no(other)).toThrow(/createPool/)
    callbackPool.end()
    await connection.end()
  })

  it('mysqlStore refuses unknown options and invalid names', () => {
    const pool = mysql.createPool({})
    const no = (options: object) => () => mysqlStore(pool, options)
    expect(no({ schema: 'x' })).toThrow(/no option 'schema'/)
    expect(no({ tables: { event: 'x' } })).toThrow(/no option 'event'/)
    expect(no({ tables: { events: 'a`b' } })).toThrow(/tables\.events must be a name/)
    expect(no({ tables: { events: 'x'.repeat(49) } })).toThrow(/up to 48/)
    expect(no({ tables: { events: 'VIEWS' } })).toThrow(/the table name 'views' is used twice/)
    expect(no({ database: '' })).toThrow(/database must be a name/)
    expect(no({ foreignWriters: 'yes' })).toThrow(/"foreignWriters" must be true or false/)
    expect(no({ bytesPerCommit: 0 })).toThrow(/"bytesPerCommit" must be a whole number/)
    pool.end()
  })

  describe('the schema', () => {
    const dump = async ({ sql, name }: TestMysql) => ({
      tables: await Promise.all(
        (await sql('SHOW TABLES')).map(
          async (row) => Object.values((await sql(`SHOW CREATE TABLE \`${Object.values(row)[0]}\``))[0] ?? {})[1],
        ),
      ),
      procedures: await sql(
        'SELECT routine_name, routine_definition, sql_mode, security_type FROM information_schema.routines WHERE routine_schema = ?',
        name,
      ),
      triggers: await sql(
        'SELECT trigger_name, action_statement, sql_mode FROM information_schema.triggers WHERE trigger_schema = ?',
        name,
      ),
    })

    /** As the command-line clients do it. */
    async function runScript({ sql }: TestMysql, script: string) {
      let delimiter = ';'
      for (const part of script.split(/^(?=DELIMITER )/m)) {
        const [, given, rest] = /^DELIMITER (\S+)\n([\s\S]*)$/.exec(part) ?? [undefined, delimiter, part]
        delimiter = given ?? ';'
        for (const statement of (rest ?? '').split(new RegExp(`${delimiter}$`, 'm')))
          if (statement.trim() !== '') await sql(statement)
      }
    }

    it.each([false, true])('the schema is made exactly as it is printed, with foreign writers: %s', async (foreignWriters) => {
      const { database, store } = await open({}, { foreignWriters })
      const other = await fresh()
      await runScript(other, store.printSchema())
      expect(await dump(other)).toEqual(await dump(database))
      expect((await dump(other)).triggers).toHaveLength(foreignWriters ? 1 : 0)
      const byHand = mysqlStore(other.pool(), { foreignWriters })
      await byHand.createSchema()
      expect((await appendOne(byHand, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('the schema is the same under any sql_mode, which stays unchanged', async () => {
      const { database } = await open()
      const other = await fresh()
      const pool = poolThatBegins(other, "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
      await mysqlStore(pool).createSchema()
      expect(await dump(other)).toEqual(await dump(database))
      const connections = await Promise.all([1, 2, 3, 4].map(() => pool.getConnection()))
      for (const connection of connections) {
        expect((await connection.query('SELECT @@sql_mode AS mode'))[0]).toEqual([{ mode: 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' }])
        connection.release()
      }
    })

    it('the schema of a newer package version stays unchanged', async () => {
      const { database, store } = await open()
      await database.sql('INSERT INTO cqrs_es_schema (version) VALUES (99)')
      await expect(store.createSchema()).rejects.toMatchObject({
        code: 'SCHEMA_TOO_NEW',
        message: expect.stringContaining('version 99'),
      })
    })

    it('a partial schema is completed', async () => {
      const { database, store } = await open()
      const whole = await dump(database)
      await database.sql(
        'DELETE FROM cqrs_es_schema; DELETE FROM cqrs_es_sequencer; DROP TABLE leases; DROP PROCEDURE events_append_v1',
      )
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ code: 'SCHEMA_MISSING', certain: true })
      await store.createSchema()
      expect(await dump(database)).toEqual(whole)
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('the store needs only the documented grants once the schema exists', async () => {
      const { database } = await open()
      const page = readFileSync(new URL('../../docs/reference/stores/mysql.md', import.meta.url), 'utf8')
      const [, grants = ''] = /```sql\n(GRANT [^`]*)```/.exec(page) ?? []
      const user = `u${database.name.slice(-20)}`
      await database.sql(`CREATE USER '${user}'@'%' IDENTIFIED BY 'Secret-1'`)
      await database.sql(grants.replaceAll('bank.', `${database.name}.`).replaceAll('TO app', `TO '${user}'@'%'`))
      const store = mysqlStore(database.pool({ user, password: 'Secret-1' }))
      await store.createSchema()
      const lease = await store.acquireLease({ name: 'm', holder: 'h', ttlMs: 1_000 })
      const [first] = commit('c1', 'a', 0).appends
      if (first === undefined) throw new Error('no append')
      const whole = {
        id: 'c1',
        appends: [{ ...first, snapshot: { stateVersion: '1', state: {} } }],
        key: { idempotencyKey: 'k', commandHash: 'h' },
        views: [{ name: 'v', generation: 1, id: 'r', expectedVersion: 0, view: {}, indexes: [{ index: 'n', value: '4x' }] }],
        checkpoint: { name: 'm', fence: lease.acquired ? lease.fence : 0, position: '1' },
      }
      expect(await appendOne(store, whole)).toMatchObject({ kind: 'stored' })
      expect(await appendOne(store, whole)).toMatchObject({ kind: 'repeated' })
      const [saved] = whole.views
      if (saved === undefined) throw new Error('no view')
      expect(await appendOne(store, { id: 'c2', appends: [], views: [{ ...saved, expectedVersion: 1 }] })).toMatchObject({
        kind: 'stored',
      })
      expect(await store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).toBe(true)
      expect(await store.switchViewGeneration({ name: 'v', from: 1, to: 2 })).toBe(true)
      expect(await store.removeViewGeneration({ name: 'v', generation: 1 })).toBe(true)
      expect((await store.readFeed({ limit: 9 })).events).toHaveLength(1)
      await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, snapshot: { stateVersion: '1' } })
      await store.renewLease({ name: 'm', fence: 1, ttlMs: 1 })
      await database.sql(`REVOKE INSERT ON ${database.name}.events FROM '${user}'@'%'`)
      const poor = mysqlStore(database.pool({ user, password: 'Secret-1' }))
      expect(failure(await appendOne(poor, commit('c3', 'a', 1)))).toMatchObject({
        code: 'STORE_FAILED',
        certain: true,
        message: expect.stringContaining('lacks a privilege'),
      })
      await database.sql(`DROP USER '${user}'@'%'`)
    })
  })

  it('the store returns texts unchanged for any column type', async () => {
    const { database, store } = await open()
    const data = { b: 1e21, a: [5e-324, 2 ** 63, 1e308, -0.1], 'z z': '\u{1f600}' }
    await appendOne(store, commit('c1', 'a', 0, [data]))
    expect(await database.sql('SELECT payload FROM events')).toEqual([{ payload: JSON.stringify(data) }])
    await database.sql('ALTER TABLE events MODIFY payload JSON NOT NULL')
    await appendOne(store, commit('c2', 'a', 1, [data]))
    expect(await dataOf(store, 'a')).toEqual([data, data])
    const other = mysqlStore(database.mariadbPool())
    expect(await dataOf(other, 'a')).toEqual([data, data])
  })

  it('ids compare by bytes, and other programs can read the tables', async () => {
    const { database, store } = await open()
    const ids = ['a', 'A', 'a ', 'á', 'a\u0301', 'a\u200b', 'a\u0001']
    for (const [i, id] of ids.entries())
      expect(await appendOne(store, commit(`c${i}`, id, 0, [i]))).toMatchObject({ kind: 'stored' })
    for (const [i, id] of ids.entries()) expect(await dataOf(store, id)).toEqual([i])
    const columns = await database.sql(
      "SELECT column_name AS c, collation_name LIKE '%bin' AS bin FROM information_schema.columns WHERE table_schema = ? AND table_name = 'events' AND collation_name IS NOT NULL",
      database.name,
    )
    expect(Object.fromEntries(columns.map(({ c, bin }) => [c, Number(bin)]))).toMatchObject({
      aggregate_type: 0,
      aggregate_id: 0,
      event_type: 0,
      event_version: 0,
      type_key: 1,
      id_key: 1,
    })
  })

  describe('costs', () => {
    it('a batch costs one call, and so does each read', async () => {
      const { database, store } = await open()
      const calls: string[] = []
      const pool = database.pool()
      const counting: MysqlPool = {
        execute(statement, values) {
          calls.push(statement.sql.trim().slice(0, 6))
          return pool.execute(statement, values)
        },
        async getConnection() {
          const connection = await pool.getConnection()
          return {
            execute(statement, values) {
              calls.push(statement.sql.trim().slice(0, 6))
              return connection.execute(statement, values)
            },
            query(sql) {
              calls.push(sql)
              return connection.query(sql)
            },
            release: () => connection.release(),
            destroy: () => connection.destroy(),
          }
        },
      }
      const counted = mysqlStore(counting)
      const callsOf = async (work: () => Promise<unknown>) => {
        calls.length = 0
        await work()
        return [...calls]
      }
      const view = (id: string, at: number) => ({ name: 'v', generation: 1, id, expectedVersion: at, view: {} })
      const batch = Array.from({ length: 64 }, (_, i) => ({
        ...commit(`c${i}`, `a${i % 8}`, Math.floor(i / 8)),
        views: [view(`r${i % 4}`, Math.floor(i / 4))],
      }))
      expect(await callsOf(() => counted.append(batch))).toEqual(['CALL `'])
      expect((await store.readFeed({ limit: 100 })).events).toHaveLength(64)
      expect(await callsOf(() => counted.append([commit('no', 'a1', 0)]))).toEqual(['CALL `'])
      const request = { aggregateType: 'account', aggregateId: 'a1', after: 0 }
      expect(await callsOf(() => counted.readAggregate({ ...request, snapshot: { stateVersion: '1' } }))).toEqual(['SELECT'])
      expect(await callsOf(() => counted.readAggregate(request))).toEqual(['SELECT'])
      expect(
        await callsOf(() => counted.readFeed({ limit: 5, only: [{ aggregateType: 'account', eventTypes: ['MoneyDeposited'] }] })),
      ).toEqual(['SELECT'])
      expect(await callsOf(() => counted.readViews([1, 2].map((n) => ({ name: 'v', generation: 'live', id: `r${n}` }))))).toEqual(
        ['SELECT'],
      )
      expect(await callsOf(() => counted.acquireLease({ name: 'm', holder: 'h', ttlMs: 1 }))).toEqual(['CALL `'])
      expect(await callsOf(async () => counted.readConsumers?.(['m', 'n']))).toEqual(['SELECT'])
      expect(await callsOf(() => counted.createSchema())).toEqual(['SELECT', 'SELECT', 'SELECT'])
    })

    it('every statement uses an index in a filled database', async () => {
      const { database, store } = await open()
      const names = namesOf(undefined, {})
      const s = statementsOf(names)
      for (let round = 0; round < 4; round++) {
        const batch = Array.from({ length: 500 }, (_, i) => ({
          ...commit(`c${round}-${i}`, `a${i}`, round * 5, [1, 2, 3, 4, 5]),
          key: { idempotencyKey: `k${round}`, commandHash: 'h' },
          views: [
            {
              ...{ name: `v${i % 3}`, generation: 1, id: `r${i}`, expectedVersion: round, view: { i } },
              indexes: ['n', 'm'].map((index) => ({ index, value: `4${i % 50}` })),
            },
          ],
        }))
        await store.append(batch)
      }
      for (let i = 0; i < 50; i++) await store.addViewGeneration({ name: `v${i}`, generation: 2, viewVersion: '2' })
      await database.sql('ANALYZE TABLE events, views, view_indexes, idempotency_keys, view_generations')
      const place = ['account', 'a7']
      const trusted = [...place, '1', '0', '100']
      const seen = ['5000', 'c5000', '9000', '9000']
      const find = (rest: Partial<Parameters<typeof findViewsStatement>[1]>) =>
        findViewsStatement(names, { name: 'v1', generation: 'live', where: [], limit: 11, ...rest })
      const finds = [
        find({}),
        find({ after: { id: 'r5' } }),
        find({ where: [{ index: 'n', is: '=', value: '47' }] }),
        find({
          where: [
            { index: 'm', is: '>', value: '42' },
            { index: 'n', is: '=', value: '47' },
          ],
        }),
        find({ orderBy: { index: 'm', descending: true }, after: { id: 'r5', value: '45' } }),
      ]
      const all: Record<string, readonly [string, readonly unknown[]]> = {
        readEvents: [s.readEvents, [...place, '2', '100', '11']],
        readSnapshotAndEvents: [s.readSnapshotAndEvents, [...trusted, ...place, ...trusted, '2', '100', '11']],
        readIds: [s.readIds, ['account', 'a5', '10']],
        readKey: [s.readKey, [...place, 'k1']],
        readView: [s.readView, ['v1', '1', 'r1']],
        readLiveView: [s.readLiveView, ['v1', 'v1', 'r1']],
        readViews: [
          s.readViews,
          [
            JSON.stringify([
              { n: 'v1', i: 'r1' },
              { n: 'v1', g: 1, i: 'r2' },
            ]),
          ],
        ],
        readGenerations: [s.readGenerations, ['v1']],
        readFeed: [s.readFeed, [...seen, '5000', '9000', '11']],
        readFeedOnly: [s.readFeedOnly('AND (FALSE OR type_key = ?)'), [...seen, '5000', '9000', 'account', '11']],
        readUnplaced: [readUnplaced(names), []],
        readCheckpoint: [s.readCheckpoint, ['c']],
        readConsumers: [s.readConsumers, [JSON.stringify([{ n: 'c' }, { n: 'd' }])]],
        ...Object.fromEntries(finds.map(({ sql, values }, i) => [`findViews ${i}`, [sql, values.map(String)]])),
      }
      for (const [name, [sql, values]] of Object.entries(all)) {
        const rows = await database.sql(`EXPLAIN FORMAT=TRADITIONAL ${sql}`, ...values)
        const whole = rows.filter(
          ({ type, Extra, table }) =>
            (type === 'ALL' || type === 'index') && !/json_table/.test(String(Extra)) && !/^</.test(String(table)),
        )
        expect([name, whole]).toEqual([name, []])
        for (const row of rows) expect([name, Number(row.rows ?? 0) < 6_000]).toEqual([name, true])
      }
    })

    /** Counts the rows that the server reads for a store on one connection. */
    async function rowsRead(database: TestMysql) {
      const pool = database.pool({ connectionLimit: 1 })
      const total = async () => {
        const [rows] = await pool.query<mysql.RowDataPacket[]>("SHOW SESSION STATUS LIKE 'Handler\\_read%'")
        return rows.reduce((sum, row) => sum + Number(row.Value), 0)
      }
      const of = async <T>(work: (store: Store) => Promise<T>) => {
        const before = await total()
        const answer = await work(mysqlStore(pool))
        return { answer, rows: (await total()) - before }
      }
      return of
    }

    it('an append costs the same for aggregates of any length', async () => {
      const { database, store } = await open()
      await store.append(Array.from({ length: 20 }, (_, i) => commit(`c${i}`, 'old', i * 500, Array(500).fill(1))))
      const of = await rowsRead(database)
      for (const [id, kind] of [
        ['late', 'stored'],
        ['lost', 'conflict'],
      ] as const) {
        const { answer, rows } = await of((counted) => appendOne(counted, commit(id, 'old', 10_000)))
        expect(answer.kind).toBe(kind)
        expect(rows).toBeGreaterThan(0)
        expect(rows).toBeLessThan(300)
      }
    })

    it('a page costs the same anywhere in the log', async () => {
      const { database, store } = await open()
      const account = commit('s', 'old', 9_600, Array(400).fill(1)).appends[0]
      if (account === undefined) throw new Error('no append')
      await store.append(Array.from({ length: 24 }, (_, i) => commit(`c${i}`, 'old', i * 400, Array(400).fill(1))))
      await appendOne(store, { id: 's', appends: [{ ...account, snapshot: { stateVersion: '1', state: {} } }] })
      await appendOne(store, commit('t', 'old', 10_000, [1, 2, 3]))
      for (let batch = 0; batch < 4; batch++) {
        const ids = Array.from({ length: 500 }, (_, i) => `r${batch}${String(i).padStart(3, '0')}`)
        const views = ids.map((id) => ({
          ...{ name: 'v', generation: 1, id, expectedVersion: 0, view: {} },
          indexes: [
            { index: 'n', value: `4${id}` },
            { index: 'kind', value: '4x' },
          ],
        }))
        await store.append([{ id: `v${batch}`, appends: [], views }, ...ids.map((id) => commit(id, id, 0))])
      }
      await database.sql('ANALYZE TABLE events, views, view_indexes')
      const of = await rowsRead(database)
      const aggregate = { aggregateType: 'account', aggregateId: 'old' }
      const find = { name: 'v', generation: 1, where: [], limit: 10 }
      const pages: Record<string, (store: Store) => Promise<unknown>> = {
        readAggregate: (s) => s.readAggregate({ ...aggregate, after: 9_000, limit: 10 }),
        // Of a range that seems to be half of the table or more MariaDB thinks that it might as well be all of the aggregate.
        'readAggregate in the first half': (s) => s.readAggregate({ ...aggregate, after: 3_000, limit: 10 }),
        'readAggregate with a snapshot to look for, in the first half': (s) =>
          s.readAggregate({ ...aggregate, after: 3_000, limit: 10, snapshot: { stateVersion: '2' } }),
        'readAggregate to its end': (s) => s.readAggregate({ ...aggregate, after: 10_000 }),
        'readAggregate with its snapshot': (s) => s.readAggregate({ ...aggregate, after: 0, snapshot: { stateVersion: '1' } }),
        readFeed: (s) => s.readFeed({ after: '9000' as Position, limit: 10 }),
        'readFeed of a type': (s) => s.readFeed({ after: '9000' as Position, limit: 10, only: [{ aggregateType: 'account' }] }),
        readIds: (s) => s.readIds({ aggregateType: 'account', after: 'r3400', limit: 10 }),
        findViews: (s) => s.findViews({ ...find, after: { id: 'r3400' } }),
        'findViews in the first half': (s) => s.findViews({ ...find, after: { id: 'r0400' } }),
        'findViews in order': (s) => s.findViews({ ...find, orderBy: { index: 'n' }, after: { id: 'r3400', value: '4r3400' } }),
        'findViews where equal': (s) =>
          s.findViews({ ...find, where: [{ index: 'kind', is: '=', value: '4x' }], after: { id: 'r3400' } }),
        'findViews where greater': (s) =>
          s.findViews({ ...find, where: [{ index: 'n', is: '>', value: '4r3400' }], orderBy: { index: 'n' } }),
      }
      const costs = new Map<string, number>()
      for (const [name, read] of Object.entries(pages)) costs.set(name, (await of(read)).rows)
      expect([...costs].filter(([, rows]) => rows === 0 || rows > 150)).toEqual([])
    })
  })
})
