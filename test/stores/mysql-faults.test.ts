import { mysqlStore } from 'cqrs-es/mysql'
import type { CommitOutcome, Position } from 'cqrs-es/store'
import mysql from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toStoreError, understand } from '../../src/mysql/errors.ts'
import { freePort } from '../servers/child.ts'
import { append, appendOne, commit, dataOf, failure } from './commits.ts'
import { type MysqlServerName, mysqlServers, newDatabase, noMysql, type TestMysql } from './mysql-database.ts'

let server: MysqlServerName
const opened: TestMysql[] = []
afterAll(() => Promise.all(opened.map((database) => database.close())))

async function open(pool: mysql.PoolOptions = {}, options: Parameters<typeof mysqlStore>[1] = {}) {
  const database = await newDatabase(server)
  opened.push(database)
  const store = mysqlStore(database.pool(pool), options)
  await store.createSchema()
  return { database, store }
}

/** Holds the lock that all writers take, until `free` is called. */
async function holdSequencer(database: TestMysql) {
  const holder = await database.pool().getConnection()
  await holder.query('START TRANSACTION')
  await holder.query('SELECT * FROM cqrs_es_sequencer FOR UPDATE')
  return {
    free: async () => {
      await holder.query('COMMIT')
      holder.release()
    },
    /** The connection whose call waits for that lock. */
    async waitingCall(): Promise<unknown> {
      for (;;) {
        const [row] = await database.sql(
          "SELECT id FROM information_schema.processlist WHERE db = ? AND id NOT IN (CONNECTION_ID(), ?) AND command <> 'Sleep' AND info IS NOT NULL",
          database.name,
          holder.threadId,
        )
        if (row !== undefined) return row.id
        await pause(10)
      }
    },
  }
}

const openTransactions = ({ sql, name }: TestMysql) =>
  sql(
    'SELECT trx_id FROM information_schema.innodb_trx JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE db = ?',
    name,
  )

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const kinds = (outcomes: readonly CommitOutcome[]) => outcomes.map((outcome) => outcome.kind)

describe.skipIf(noMysql).each(mysqlServers)('faults of the MySQL store, on $name', (on) => {
  beforeAll(() => {
    server = on.server
  })

  describe('locks', () => {
    it('lasting locks are STORE_BUSY, never a conflict, and nothing is stored', async () => {
      const { database, store } = await open()
      const pool = database.pool()
      pool.pool.on('connection', (connection) => connection.query('SET SESSION innodb_lock_wait_timeout = 1'))
      const { free } = await holdSequencer(database)
      const busy = { code: 'STORE_BUSY', message: expect.stringContaining('innodb_lock_wait_timeout') }
      expect(failure(await appendOne(mysqlStore(pool), commit('c1', 'a', 0)))).toMatchObject({ ...busy, certain: true })
      await expect(mysqlStore(pool).addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).rejects.toMatchObject(busy)
      expect(await store.readFeed({ limit: 9 })).toEqual({ events: [], position: undefined, more: false })
      await free()
      expect((await appendOne(mysqlStore(pool), commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('an append waits for a lock', async () => {
      const { database, store } = await open()
      const { free, waitingCall } = await holdSequencer(database)
      const outcome = appendOne(store, commit('c1', 'a', 0))
      await waitingCall()
      await free()
      expect((await outcome).kind).toBe('stored')
    })

    it('a commit waits for a concurrent take-over of its lease and then conflicts on fence', async () => {
      const { database, store } = await open()
      const lease = await store.acquireLease({ name: 'm', holder: 'one', ttlMs: 1 })
      const other = await database.pool().getConnection()
      await other.query('START TRANSACTION')
      await other.query("UPDATE leases SET holder = 'two', fence = fence + 1")
      const checkpoint = { name: 'm', fence: lease.acquired ? lease.fence : 0, position: '1' }
      const outcome = appendOne(store, { id: 'c1', appends: [], checkpoint })
      await pause(200)
      await other.query('COMMIT')
      other.release()
      expect(await outcome).toEqual({ kind: 'conflict', on: 'fence' })
    })

    it('one of eight concurrent commits of only one view is stored', async () => {
      const { database } = await open()
      const stores = Array.from({ length: 4 }, () => mysqlStore(database.pool({ connectionLimit: 2 })))
      for (let version = 0; version < 25; version++) {
        const view = { name: 'v', generation: 1, id: 'r', expectedVersion: version, view: version }
        const sent = Array.from({ length: 8 }, (_, i) =>
          stores[i % 4]?.append([{ id: `c${version}-${i}`, appends: [], views: [view] }]),
        )
        const outcomes = (await Promise.all(sent)).map((answer) => answer?.[0]?.kind)
        expect(outcomes.sort()).toEqual([...Array(7).fill('conflict'), 'stored'])
      }
    })

    it('a reader does not block writers', async () => {
      const { database, store } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      const reader = await database.pool().getConnection()
      await reader.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      await reader.query('SELECT * FROM events')
      expect((await appendOne(store, commit('c2', 'a', 1))).kind).toBe('stored')
      expect((await store.readFeed({ limit: 9 })).events).toHaveLength(2)
      await reader.query('COMMIT')
      reader.release()
    })

    it('an append that is the victim of a deadlock is retried', async () => {
      const { database, store } = await open()
      await database.sql('CREATE TABLE mine (n INT) ENGINE = InnoDB')
      const view = (at: number) => ({ name: 'v', generation: 1, id: 'r', expectedVersion: at, view: at })
      await store.append([{ ...commit('c1', 'a', 0), views: [view(0)] }])
      const other = await database.pool().getConnection()
      await other.query('START TRANSACTION')
      await other.query('UPDATE views SET payload = payload')
      await other.query(`INSERT INTO mine VALUES ${Array(500).fill('(1)').join()}`)
      const outcome = appendOne(store, { ...commit('c2', 'a', 1), views: [view(1)] })
      await pause(200)
      // InnoDB gives up the transaction that has changed less, which is the append.
      await other.query('SELECT * FROM cqrs_es_sequencer FOR UPDATE')
      await other.query('COMMIT')
      other.release()
      expect((await outcome).kind).toBe('stored')
      expect((await store.readFeed({ limit: 9 })).events.map((event) => event.position)).toEqual(['1', '2'])
    })
  })

  describe('a connection of the pool', () => {
    it('a connection without autocommit is refused for appends and for the feed', async () => {
      const { database, store } = await open()
      await appendOne(store, commit('c1', 'a', 0))
      const pool = database.pool()
      pool.pool.on('connection', (connection) => connection.query('SET SESSION autocommit = 0'))
      const refusal = { code: 'STORE_FAILED', message: expect.stringContaining('autocommit') }
      expect(failure(await appendOne(mysqlStore(pool), commit('c2', 'a', 1)))).toMatchObject({ ...refusal, certain: true })
      await expect(mysqlStore(pool).readFeed({ limit: 1 })).rejects.toMatchObject(refusal)
      expect(await dataOf(store, 'a')).toHaveLength(1)
    })

    it('a connection with another character set than utf8mb4 is refused', async () => {
      const { database } = await open()
      const latin = mysqlStore(database.pool({ charset: 'latin1' }))
      expect(failure(await appendOne(latin, commit('c1', 'a', 0, ['\u{1f600}'])))).toMatchObject({
        code: 'STORE_FAILED',
        certain: true,
        message: expect.stringContaining('character_set_client = latin1'),
      })
    })

    it('a connection with an open transaction is refused, and the transaction is unchanged', async () => {
      const { database } = await open()
      await database.sql('CREATE TABLE mine (n INT) ENGINE = InnoDB')
      const pool = database.pool({ connectionLimit: 1 })
      const connection = await pool.getConnection()
      await connection.query('START TRANSACTION')
      await connection.query('INSERT INTO mine VALUES (1)')
      connection.release()
      const store = mysqlStore(pool)
      const refusal = { code: 'STORE_FAILED', message: expect.stringContaining('A transaction of yours is open') }
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...refusal, certain: true })
      await expect(store.acquireLease({ name: 'm', holder: 'h', ttlMs: 1 })).rejects.toMatchObject(refusal)
      await pool.query('COMMIT')
      expect(await database.sql('SELECT n FROM mine')).toEqual([{ n: 1 }])
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it.each(['READ COMMITTED', 'SERIALIZABLE'])(
      'a connection with transaction isolation %s works like any other',
      async (isolation) => {
        const { database } = await open()
        const pool = database.pool()
        pool.pool.on('connection', (connection) => connection.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`))
        const store = mysqlStore(pool)
        const outcomes = await Promise.all(Array.from({ length: 8 }, (_, i) => appendOne(store, commit(`c${i}`, 'a', 0))))
        expect(kinds(outcomes).sort()).toEqual([...Array(7).fill('conflict'), 'stored'])
        expect((await store.readFeed({ limit: 9 })).events).toHaveLength(1)
      },
    )

    it('an exhausted pool is STORE_UNAVAILABLE and certain after its timeout', async () => {
      const { database } = await open()
      const pool = database.mariadbPool({ connectionLimit: 1, acquireTimeout: 2_000 })
      const taken = await pool.getConnection()
      expect(failure(await appendOne(mysqlStore(pool), commit('c1', 'a', 0)))).toMatchObject({
        code: 'STORE_UNAVAILABLE',
        certain: true,
      })
      await taken.release()
      expect((await appendOne(mysqlStore(pool), commit('c1', 'a', 0))).kind).toBe('stored')
    })

    it('a pool of one connection is enough for concurrent calls', async () => {
      const { database } = await open()
      const store = mysqlStore(database.pool({ connectionLimit: 1 }))
      const all = await Promise.all([
        store.append([commit('c1', 'a', 0)]),
        store.acquireLease({ name: 'm', holder: 'h', ttlMs: 1_000 }),
        store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' }),
        store.removeViewGeneration({ name: 'v', generation: 9 }),
        store.readFeed({ limit: 1 }),
        store.createSchema(),
      ])
      expect(all[0]).toMatchObject([{ kind: 'stored' }])
    })
  })

  describe.each(['mysql2', 'mariadb'] as const)('an interrupted call, on %s', (driver) => {
    const storeOf = (database: TestMysql) =>
      mysqlStore(driver === 'mysql2' ? database.pool({ connectionLimit: 1 }) : database.mariadbPool({ connectionLimit: 1 }))

    it('a call whose connection ends is uncertain, leaves nothing open and may be repeated', async () => {
      const { database } = await open()
      const store = storeOf(database)
      const { free, waitingCall } = await holdSequencer(database)
      const outcome = appendOne(store, commit('c1', 'a', 0))
      await database.sql(`KILL CONNECTION ${await waitingCall()}`)
      expect(failure(await outcome)).toMatchObject({ code: 'STORE_UNAVAILABLE', certain: false })
      await free()
      expect(await openTransactions(database)).toEqual([])
      const again = await appendOne(store, commit('c1', 'a', 0))
      expect(['stored', 'repeated']).toContain(again.kind)
      expect((await store.readFeed({ limit: 9 })).events).toHaveLength(1)
    })

    it('a call ended by KILL QUERY is uncertain, leaves nothing open and may be repeated', async () => {
      const { database } = await open()
      const store = storeOf(database)
      const { free, waitingCall } = await holdSequencer(database)
      const outcome = appendOne(store, commit('c1', 'a', 0))
      const id = await waitingCall()
      // InnoDB misses a kill that comes just before it begins to wait for the lock.
      do await database.sql(`KILL QUERY ${id}`)
      while ((await Promise.race([outcome, pause(500)])) === undefined)
      expect(failure(await outcome)).toMatchObject({ code: 'STORE_BUSY', certain: false })
      await free()
      expect(await openTransactions(database)).toEqual([])
      expect((await appendOne(store, commit('c1', 'a', 0))).kind).toBe('stored')
    })
  })

  describe('one commit of a batch that MySQL refuses', () => {
    it('a commit that MySQL refuses for its rows does not affect the rest of its batch', async () => {
      const { database, store } = await open()
      await database.sql(
        `CREATE TRIGGER no BEFORE INSERT ON events FOR EACH ROW IF NEW.payload = '"bad"' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no bad ones'; END IF`,
      )
      const batch = [
        commit('c1', 'a', 0),
        commit('c2', 'b', 0, ['good', 'bad']),
        commit('c3', 'a', 1),
        commit('c4', 'b', 2),
        commit('c5', 'b', 0),
      ]
      const outcomes = await store.append(batch)
      expect(kinds(outcomes)).toEqual(['stored', 'failed', 'stored', 'conflict', 'stored'])
      expect(outcomes[1]).toMatchObject({
        certain: true,
        cause: { code: 'STORE_FAILED', message: expect.stringContaining('no bad ones') },
      })
      expect((await store.readFeed({ limit: 9 })).events.map((event) => event.position)).toEqual(['1', '2', '3'])
    })

    it('a commit above the packet size does not affect the rest of its batch and names the limit', async () => {
      const { database } = await open()
      const store = mysqlStore(database.pool(), { bytesPerCommit: 200_000_000 })
      const [{ bytes = 0 } = {}] = await database.sql('SELECT @@max_allowed_packet AS bytes')
      const text = 'x'.repeat(Number(bytes))
      const outcomes = await store.append([commit('c1', 'a', 0), commit('c2', 'b', 0, [text]), commit('c3', 'c', 0)])
      expect(kinds(outcomes)).toEqual(['stored', 'failed', 'stored'])
      const { code, message, certain } = failure(outcomes[1] as CommitOutcome)
      expect([code, certain]).toEqual(['STORE_LIMIT', true])
      expect(message).toContain(`takes ${bytes} (max_allowed_packet)`)
    })

    it('a commit above the capability for its size is refused before it is sent', async () => {
      const { store } = await open({}, { bytesPerCommit: 1_000_000 })
      expect(store.capabilities).toMatchObject({ bytesPerCommit: 1_000_000, bytesPerEvent: 1_000_000 })
      const outcome = failure(await appendOne(store, commit('c1', 'a', 0, ['x'.repeat(1_000_000)])))
      expect(outcome).toMatchObject({ code: 'STORE_LIMIT', certain: true, message: expect.stringContaining('1000000') })
      const together = failure(await appendOne(store, commit('c2', 'b', 0, Array<string>(3).fill('x'.repeat(400_000)))))
      expect(together).toMatchObject({
        code: 'STORE_LIMIT',
        certain: true,
        message: expect.stringContaining('Commit c2 has'),
      })
    })

    it('a batch of many packets is stored', async () => {
      const { store } = await open()
      const batch = Array.from({ length: 30 }, (_, i) => commit(`c${i}`, `a${i}`, 0, ['x'.repeat(1_000_000)]))
      expect(new Set(kinds(await store.append(batch)))).toEqual(new Set(['stored']))
    })
  })

  it('an event of ten megabytes of quotes and a commit of a thousand events are stored', async () => {
    const { store } = await open()
    const quotes = Array.from({ length: 700_000 }, () => ({ 'a"b': '"' }))
    expect((await appendOne(store, commit('c1', 'a', 0, [quotes.slice(0, 350_000)]))).kind).toBe('stored')
    expect((await appendOne(store, commit('c2', 'b', 0, Array(1_000).fill({ text: '\u{1f600}"\\\n' })))).kind).toBe('stored')
    expect(await dataOf(store, 'a')).toEqual([quotes.slice(0, 350_000)])
    expect(await dataOf(store, 'b')).toEqual(Array(1_000).fill({ text: '\u{1f600}"\\\n' }))
  })

  it('pages of large events end before they get too large', async () => {
    const { store } = await open()
    const text = 'x'.repeat(1_500_000)
    await store.append(Array.from({ length: 10 }, (_, i) => commit(`c${i}`, 'a', i, [text])))
    const sequences: number[] = []
    for (let more = true; more; ) {
      const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: sequences.at(-1) ?? 0 })
      sequences.push(...page.events.map((event) => event.sequence))
      expect(page.events.length).toBeLessThanOrEqual(3)
      more = page.more
    }
    const positions: string[] = []
    for (let more = true; more; ) {
      const page = await store.readFeed({ limit: 9, ...(positions.length > 0 && { after: positions.at(-1) as Position }) })
      positions.push(...page.events.map((event) => String(event.position)))
      expect(page.events.length).toBeLessThanOrEqual(3)
      more = page.more
    }
    expect([sequences, positions]).toEqual([sequences.map((_, i) => i + 1), sequences.map((_, i) => String(i + 1))])
    expect(sequences).toHaveLength(10)
  })

  it('a server that is down is STORE_UNAVAILABLE, and wrong credentials or databases are named', async () => {
    const nowhere = mysql.createPool({ host: '127.0.0.1', port: await freePort() })
    expect(failure(await appendOne(mysqlStore(nowhere), commit('c1', 'a', 0)))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      certain: true,
    })
    await expect(mysqlStore(nowhere).createSchema()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const { database } = await open()
    const stranger = mysqlStore(database.pool({ user: 'nobody_at_all', password: 'x' }))
    expect(failure(await appendOne(stranger, commit('c1', 'a', 0)))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      certain: true,
      message: expect.stringContaining('credentials'),
    })
    const missing = mysqlStore(database.pool(), { database: 'not_there_at_all' })
    await expect(missing.createSchema()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' })
    const closed = mysql.createPool(database.url)
    await closed.end()
    expect(failure(await appendOne(mysqlStore(closed), commit('c1', 'a', 0)))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      certain: true,
    })
  })

  it('failures are classified by their number and say when to retry', () => {
    const error = (errno: number, sqlMessage = 'as the server says') =>
      Object.assign(new Error('the statement and its values'), { errno, sqlMessage })
    const codes = {
      1146: 'SCHEMA_MISSING',
      1305: 'SCHEMA_MISSING',
      1114: 'STORE_FULL',
      1290: 'STORE_READ_ONLY',
      1153: 'STORE_LIMIT',
      1213: 'STORE_BUSY',
      1064: 'STORE_FAILED',
    }
    for (const [errno, code] of Object.entries(codes)) {
      expect(toStoreError(error(Number(errno)))).toMatchObject({ code, message: expect.stringMatching(/as the server says/) })
      expect(understand(error(Number(errno))).certain).toBe(true)
    }
    expect(toStoreError(error(1030, 'Got error 28 "No space left on device" from storage engine')).code).toBe('STORE_FULL')
    for (const errno of [1053, 1317, 1180, 1927, 2013, 45_009]) expect(understand(error(errno)).certain).toBe(false)
    for (const errno of [1062, 1213]) expect(understand(error(errno))).toMatchObject({ certain: true, again: true })
    expect(understand(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104 }))).toMatchObject({
      certain: false,
      again: false,
    })
    expect(toStoreError(new Error('anything')).code).toBe('STORE_UNAVAILABLE')
  })

  it('a commit over several aggregates stores nothing when one of them has moved', async () => {
    const { store } = await open()
    await appendOne(store, commit('c1', 'b', 0))
    const both = { id: 'c2', appends: [append('c2', 'account', 'a', 0, [1]), append('c2', 'account', 'b', 0, [2])] }
    expect(await appendOne(store, both)).toEqual({ kind: 'conflict', on: 'sequence', actualSequence: 1 })
    expect(await dataOf(store, 'a')).toEqual([])
  })
})
