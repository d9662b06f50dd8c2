import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp, type Store } from 'cqrs-es'
import { type PostgresClient, postgresStore } from 'cqrs-es/postgres'
import { build } from 'esbuild'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../run.ts'
import { serverUrl } from '../servers/ask.ts'
import { privateFolder, runProgram } from '../servers/child.ts'
import { startPostgres } from '../servers/postgres.ts'
import { unselected } from '../servers/stores.ts'
import { failureOf } from '../support/async.ts'
import { balances, bankAccount } from '../support/bank-account.ts'
import { append, appendOne, commit, dataOf, failure } from './commits.ts'

describe.skipIf(unselected('postgres'))('failures of the Postgres store', () => {
  let url: string
  let pool: pg.Pool
  let schemas = 0
  const others: pg.Pool[] = []
  beforeAll(async () => {
    url = await serverUrl('postgres')
    pool = new pg.Pool({ connectionString: url, max: 4 })
  })
  afterAll(() => Promise.all([pool, ...others].map((each) => each.ended || each.end())))

  /** A schema of its own, and a store in it. */
  async function newSchema() {
    const schema = `failures_${process.pid}_${++schemas}`
    const store = postgresStore(pool, { schema })
    await store.createSchema()
    const sql = (text: string) => pool.query(text.replaceAll('$', schema))
    const stored = async () => Number((await sql('SELECT count(*) FROM $.events')).rows[0].count)
    return { schema, store, sql, stored }
  }

  function poolWith(settings: pg.PoolConfig): pg.Pool {
    const other = new pg.Pool({ connectionString: url, ...settings })
    other.on('error', () => {})
    others.push(other)
    return other
  }

  const withOptions = (options: string) => poolWith({ options, max: 2 })

  const appOn = (store: Store) =>
    createApp({
      store,
      aggregates: { accounts: bankAccount },
      views: { balances },
      services: { accounts: { validateCheck: async () => true } },
    })

  const open = { type: 'OpenAccount', data: { owner: 'ann' } } as const

  describe('failed connections', () => {
    const changed = (change: (url: URL) => void) => {
      const other = new URL(url)
      change(other)
      return poolWith({ connectionString: other.href })
    }

    test.each<[string, (url: URL) => void, RegExp]>([
      ['as a missing role', (to) => Object.assign(to, { username: 'nobody_here' }), /credentials.*nobody_here/],
      ['to a missing database', (to) => Object.assign(to, { pathname: '/nowhere' }), /does not exist.*nowhere/],
      ['to a closed port', (to) => Object.assign(to, { port: '1' }), /cannot be reached.*ECONNREFUSED/],
    ])('a connection %s fails clearly', async (_, change, message) => {
      const store = postgresStore(changed(change))
      const unavailable = { code: 'STORE_UNAVAILABLE', message: expect.stringMatching(message) }
      await expect(store.createSchema()).rejects.toMatchObject(unavailable)
      await expect(appOn(store).aggregates.accounts.execute('a', open)).rejects.toMatchObject(unavailable)
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...unavailable, certain: true })
    })

    test('the store recovers when a server that was down at the start comes up', async () => {
      const server = await startPostgres()
      const own = poolWith({ connectionString: server.url })
      try {
        await server.kill()
        const store = postgresStore(own)
        const app = appOn(store)
        await expect(store.createSchema()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
        await expect(app.aggregates.accounts.execute('a', open)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
        await server.start()
        await store.createSchema()
        expect(await app.aggregates.accounts.execute('a', open)).toMatchObject({ ok: true, sequence: 1 })
      } finally {
        await own.end()
        await server.stop()
      }
    })

    test('an exhausted pool fails clearly', async () => {
      const { schema, stored } = await newSchema()
      const small = poolWith({ max: 1, connectionTimeoutMillis: 50 })
      const store = postgresStore(small, { schema })
      const taken = await small.connect()
      const unavailable = { code: 'STORE_UNAVAILABLE', message: expect.stringContaining("Raise the pool's max") }
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...unavailable, certain: true })
      await expect(appOn(store).aggregates.accounts.execute('a', open)).rejects.toMatchObject(unavailable)
      expect(await stored()).toBe(0)
      taken.release()
      expect(await appendOne(store, commit('c1', 'a', 0))).toMatchObject({ kind: 'stored' })
    })

    test('a pool that was ended fails clearly', async () => {
      const { schema } = await newSchema()
      const ended = poolWith({})
      await ended.end()
      const store = postgresStore(ended, { schema })
      const unavailable = { code: 'STORE_UNAVAILABLE', message: expect.stringContaining('after calling end on the pool') }
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...unavailable, certain: true })
      await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject(unavailable)
    })
  })

  describe('settings of the connection', () => {
    test.each([
      ['statement_timeout', 'Postgres cancelled the statement'],
      ['lock_timeout', 'within lock_timeout'],
    ])('%s expires and is named while another session holds the table', async (setting, message) => {
      const { schema, stored } = await newSchema()
      const store = postgresStore(withOptions(`-c ${setting}=50`), { schema })
      const other = await pool.connect()
      await other.query(`BEGIN; LOCK TABLE ${schema}.events IN EXCLUSIVE MODE`)
      const busy = { code: 'STORE_BUSY', message: expect.stringContaining(message) }
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...busy, certain: true })
      await expect(appOn(store).aggregates.accounts.execute('b', open)).rejects.toMatchObject(busy)
      await other.query('ROLLBACK')
      other.release()
      expect(await stored()).toBe(0)
      expect(await appendOne(postgresStore(pool, { schema }), commit('c1', 'a', 0))).toMatchObject({ kind: 'stored' })
    })

    test('default_transaction_read_only is refused and named', async () => {
      const { schema, stored } = await newSchema()
      const store = postgresStore(withOptions('-c default_transaction_read_only=on'), { schema })
      const readOnly = { code: 'STORE_READ_ONLY', message: expect.stringContaining('Connect to the primary') }
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...readOnly, certain: true })
      await expect(appOn(store).aggregates.accounts.execute('a', open)).rejects.toMatchObject(readOnly)
      await expect(store.acquireLease({ name: 'm', holder: 'h', ttlMs: 1 })).rejects.toMatchObject(readOnly)
      expect(await dataOf(store, 'a')).toEqual([])
      expect(await stored()).toBe(0)
    })

    test.each(['serializable', 'repeatable read'])(
      'default_transaction_isolation = %s is refused and named',
      async (isolation) => {
        const { schema, stored } = await newSchema()
        const options = `-c default_transaction_isolation=${isolation.replaceAll(' ', '\\ ')}`
        const store = postgresStore(withOptions(options), { schema })
        const failed = {
          code: 'STORE_FAILED',
          message: expect.stringMatching(/Set default_transaction_isolation.*are (serial|repeat)/),
        }
        expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({ ...failed, certain: true })
        await expect(appOn(store).aggregates.accounts.execute('a', open)).rejects.toMatchObject(failed)
        await expect(store.readFeed({ limit: 1 })).rejects.toMatchObject(failed)
        await expect(store.addViewGeneration({ name: 'v', generation: 2, viewVersion: '2' })).rejects.toMatchObject(failed)
        expect(await stored()).toBe(0)
      },
    )
  })

  describe('faults of the schema', () => {
    test('a schema of a newer package version is SCHEMA_TOO_NEW', async () => {
      const { store, sql } = await newSchema()
      await sql('INSERT INTO $.cqrs_es_schema (version) VALUES (99)')
      await expect(store.createSchema()).rejects.toMatchObject({
        code: 'SCHEMA_TOO_NEW',
        message: expect.stringMatching(/version 99.*Update the package/),
      })
    })

    test.each(['events', 'state_snapshots', 'idempotency_keys', 'views', 'view_indexes'])(
      'a missing table %s is named',
      async (table) => {
        const { store, sql, stored } = await newSchema()
        await sql(`DROP TABLE $.${table} CASCADE`)
        const { accounts } = appOn(store).aggregates
        const whole = { ...commit('c1', 'a', 0), key: { idempotencyKey: 'k', commandHash: 'h' } }
        const [first] = whole.appends
        if (first === undefined) throw new Error('There is no append.')
        const outcome = await appendOne(store, {
          ...whole,
          appends: [{ ...first, snapshot: { stateVersion: '1', state: {} } }],
          views: [{ name: 'v', generation: 1, id: 'a', expectedVersion: 0, view: {}, indexes: [{ index: 'i', value: 'x' }] }],
        })
        const missing = { code: 'SCHEMA_MISSING', message: expect.stringMatching(/backup.*call createSchema.*does not exist/) }
        expect(failure(outcome)).toMatchObject({ ...missing, certain: true })
        if (table === 'events' || table === 'views') await expect(accounts.execute('b', open)).rejects.toMatchObject(missing)
        if (table !== 'events') expect(await stored()).toBe(0)
      },
    )

    test('ten concurrent makers of the schema, three of them killed, leave it complete', async () => {
      const schema = `failures_${process.pid}_${++schemas}`
      const writer = join(root, `node_modules/.cache/cqrs-es-postgres/schema-${process.pid}.mjs`)
      await build({
        entryPoints: [join(root, 'test/stores/postgres-schema-writer.ts')],
        outfile: writer,
        bundle: true,
        format: 'esm',
        platform: 'node',
        external: ['pg'],
        tsconfig: join(root, 'tsconfig.json'),
      })
      const processes = await Promise.all(Array.from({ length: 10 }, () => startWriter(writer, url, schema)))
      processes.forEach(({ child }, nth) => {
        child.stdin?.write('go\n')
        if (nth % 3 === 1) setTimeout(() => child.kill('SIGKILL'), nth)
      })
      const ends = await Promise.all(processes.map(({ ended }) => ended))
      await rm(writer)
      expect(ends.filter((end) => end !== 0 && end !== 'SIGKILL')).toEqual([])
      expect(ends.filter((end) => end === 0).length).toBeGreaterThanOrEqual(7)
      const store = postgresStore(pool, { schema })
      await store.createSchema()
      const objects = async (of: string) =>
        (
          await pool.query(
            `SELECT relname AS name, relkind::text AS kind FROM pg_class WHERE relnamespace = $1::regnamespace
             UNION ALL SELECT proname, 'function' FROM pg_proc WHERE pronamespace = $1::regnamespace
             UNION ALL SELECT conname, 'constraint' FROM pg_constraint WHERE connamespace = $1::regnamespace ORDER BY 1, 2`,
            [of],
          )
        ).rows
      expect(await objects(schema)).toEqual(await objects((await newSchema()).schema))
      expect((await pool.query(`SELECT version FROM ${schema}.cqrs_es_schema`)).rows).toEqual([{ version: 1 }])
      expect(await appOn(store).aggregates.accounts.execute('a', open)).toMatchObject({ ok: true, sequence: 1 })
    })
  })

  test.skipIf(!canMount())('a full disk is STORE_FULL until there is space again', async () => {
    const server = await startPostgres()
    const folder = await privateFolder('full')
    const mount = (...args: string[]) => runProgram('mount', ['-t', 'tmpfs', ...args, 'tmpfs', folder])
    await mount('-o', 'size=12m,uid=65534,gid=65534')
    const own = poolWith({ connectionString: server.url, options: '-c default_tablespace=tiny' })
    try {
      await poolWith({ connectionString: server.url }).query(`CREATE TABLESPACE tiny LOCATION '${folder}'`)
      const store = postgresStore(own)
      await store.createSchema()
      let accepted = 0
      let outcome = await appendOne(store, commit('c0', 'a', 0))
      while (outcome.kind === 'stored')
        outcome = await appendOne(store, commit(`c${++accepted}`, 'a', accepted, [randomText(500_000)]))
      expect(failure(outcome)).toMatchObject({ code: 'STORE_FULL', certain: true, message: expect.stringContaining('disk') })
      const large = { metadata: { note: randomText(500_000) } }
      await expect(appOn(store).aggregates.accounts.execute('b', open, large)).rejects.toMatchObject({ code: 'STORE_FULL' })
      const stored = async () => Number((await own.query('SELECT count(*) FROM events')).rows[0].count)
      expect(await stored()).toBe(accepted)
      await mount('-o', 'remount,size=64m')
      expect(await appendOne(store, commit('later', 'a', accepted, [randomText(500_000)]))).toMatchObject({ kind: 'stored' })
      expect(await stored()).toBe(accepted + 1)
    } finally {
      await own.end()
      await server.stop()
      await runProgram('umount', [folder])
    }
  })

  describe('faults of the tables', () => {
    const trigger = (table: string, body: string, when = '') => `
      CREATE FUNCTION $.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN ${body}; END';
      CREATE TRIGGER mine BEFORE INSERT OR UPDATE ON $.${table} FOR EACH ROW ${when} EXECUTE FUNCTION $.mine()`

    test.each([
      ['events', 'Look for a trigger or rule'],
      ['views', 'Look for a trigger or rule'],
      ['idempotency_keys', 'Look for a trigger or rule'],
    ])('a trigger that drops rows of %s is named', async (table, message) => {
      const { store, sql, stored } = await newSchema()
      await sql(trigger(table, 'RETURN NULL'))
      const failed = { code: 'STORE_FAILED', message: expect.stringContaining(message) }
      const { accounts } = appOn(store).aggregates
      await expect(accounts.execute('a', open, { idempotencyKey: 'k' })).rejects.toMatchObject(failed)
      expect(await stored()).toBe(0)
      expect(await accounts.load('a')).toMatchObject({ sequence: 0 })
      await sql(`DROP TRIGGER mine ON $.${table}`)
      expect(await accounts.execute('a', open, { idempotencyKey: 'k' })).toMatchObject({ sequence: 1, replayed: false })
    })

    test('a trigger that refuses one commit does not affect the rest of its batch', async () => {
      const { store, sql, stored } = await newSchema()
      await sql(trigger('events', "RAISE EXCEPTION ''not on my watch''", "WHEN (NEW.aggregate_id = 'bad')"))
      const [first, bad, last] = await store.append([commit('c1', 'a', 0), commit('c2', 'bad', 0), commit('c3', 'b', 0)])
      expect([first, last]).toMatchObject([{ kind: 'stored' }, { kind: 'stored' }])
      expect(failure(bad as never)).toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringContaining('not on my watch'),
        certain: true,
      })
      expect(await stored()).toBe(2)
    })

    test('a violated unique constraint is named and does not affect the rest of its batch', async () => {
      const { schema, store, sql, stored } = await newSchema()
      await sql(`CREATE UNIQUE INDEX one_email ON $.events ((payload ->> 'email'))`)
      const calls: string[] = []
      const counting: PostgresClient = {
        query: (text, values) => {
          calls.push(text)
          return pool.query(text, values)
        },
      }
      await appendOne(store, commit('c1', 'a', 0, [{ email: 'ann@example.com' }]))
      const again = commit('c2', 'b', 0, [{ email: 'ann@example.com' }])
      const [taken, free] = await postgresStore(counting, { schema }).append([
        again,
        commit('c3', 'c', 0, [{ email: 'bob@example.com' }]),
      ])
      expect(failure(taken as never)).toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringMatching(/unique constraint "one_email"/),
        certain: true,
      })
      expect(free).toMatchObject({ kind: 'stored' })
      expect(calls.length).toBeLessThan(10)
      expect(await stored()).toBe(2)
      expect(await dataOf(store, 'b')).toEqual([])
    })

    test('a violated check constraint is named', async () => {
      const { store, sql, stored } = await newSchema()
      await sql(`ALTER TABLE $.events ADD CONSTRAINT small CHECK ((payload ->> 'amount')::int < 10)`)
      const outcome = await appendOne(store, commit('c1', 'a', 0, [{ amount: 1 }, { amount: 10 }]))
      expect(failure(outcome)).toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('"small"'), certain: true })
      expect(await stored()).toBe(0)
    })

    test('a violated deferred constraint is named', async () => {
      const { store, sql, stored } = await newSchema()
      await sql('ALTER TABLE $.events ADD CONSTRAINT late UNIQUE (event_version) DEFERRABLE INITIALLY DEFERRED')
      const outcome = await appendOne(store, commit('c1', 'a', 0, [{ amount: 1 }, { amount: 2 }]))
      expect(failure(outcome)).toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('"late"'), certain: true })
      expect(await stored()).toBe(0)
    })

    test('a sequence of positions that lags behind the table after a restore is named', async () => {
      const { store, sql, stored } = await newSchema()
      for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await appendOne(store, commit(`c-${id}`, id, 0))
      await sql(`SELECT setval('$.events_position_seq', 1)`)
      expect(failure(await appendOne(store, commit('c1', 'h', 0)))).toMatchObject({
        code: 'STORE_FAILED',
        message: expect.stringMatching(/"events_by_position".*sequence that lags/),
      })
      expect(await stored()).toBe(7)
    })
  })

  describe('a lost answer to an append', () => {
    test.each<[string, object, boolean]>([
      ['read ECONNRESET', { code: 'ECONNRESET', syscall: 'read' }, false],
      ['read EHOSTUNREACH', { code: 'EHOSTUNREACH', syscall: 'read' }, false],
      ['connect EHOSTUNREACH', { code: 'EHOSTUNREACH', syscall: 'connect' }, true],
      ['connect ETIMEDOUT', { code: 'ETIMEDOUT', syscall: 'connect' }, true],
      ['read ETIMEDOUT', { code: 'ETIMEDOUT', syscall: 'read' }, false],
      ['write EPIPE', { code: 'EPIPE', syscall: 'write' }, false],
      ['getaddrinfo ENOTFOUND db', { code: 'ENOTFOUND' }, true],
      ['Connection terminated unexpectedly', {}, false],
      ['Connection terminated', {}, false],
      ['Connection terminated due to connection timeout', {}, true],
      ['Client has encountered a connection error and is not queryable', {}, true],
      ['Query read timeout', {}, false],
      ['terminating connection due to administrator command', { code: '57P01' }, false],
      ['terminating connection because of crash of another server process', { code: '57P02' }, false],
      ['the database system is starting up', { code: '57P03' }, true],
      ['sorry, too many clients already', { code: '53300' }, true],
      ['bouncer: server conn crashed?', { code: '08P01' }, false],
      ['something that no driver says today', {}, false],
    ])('the failure %s %o is certain: %s', async (message, details, certain) => {
      const store = postgresStore({ query: () => Promise.reject(Object.assign(new Error(message), details)) })
      expect(failure(await appendOne(store, commit('c1', 'a', 0)))).toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining(message),
        certain,
      })
    })

    test('an answer without its rows does not make a success a failure', async () => {
      const { schema, stored } = await newSchema()
      let lost = 0
      const forgetful: PostgresClient = {
        async query(text, values) {
          const { rows } = await pool.query(text, values)
          return { rows: text.includes('_append_v1') && ++lost === 1 ? [] : rows }
        },
      }
      const { accounts } = appOn(postgresStore(forgetful, { schema })).aggregates
      expect(await accounts.execute('a', open)).toMatchObject({ ok: true, sequence: 1 })
      expect(lost).toBe(2)
      expect(await stored()).toBe(1)
    })

    test('an append whose connection an operator ends is sent again and stored once', async () => {
      const { schema, stored } = await newSchema()
      const application_name = `doomed-${schema}`
      const { accounts } = appOn(postgresStore(poolWith({ application_name }), { schema })).aggregates
      const other = await pool.connect()
      await other.query(`BEGIN; LOCK TABLE ${schema}.events IN EXCLUSIVE MODE`)
      const execution = accounts.execute('a', open)
      const killed = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`
      while ((await pool.query(killed, [application_name])).rows.length === 0) {}
      await other.query('ROLLBACK')
      other.release()
      expect(await execution).toMatchObject({ ok: true, sequence: 1 })
      expect(await stored()).toBe(1)
    })
  })

  test('twenty callers share a pool of one connection without a deadlock', async () => {
    const { schema, stored } = await newSchema()
    const single = poolWith({ max: 1 })
    const store = postgresStore(single, { schema })
    const { accounts } = appOn(store).aggregates
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) => accounts.execute(`a-${n % 10}`, open, { idempotencyKey: `k-${n}` })),
    )
    expect(results.filter(({ ok }) => ok)).toHaveLength(10)
    const batches = Array.from({ length: 20 }, (_, n) =>
      store.append([{ id: `c-${n}`, appends: [append(`c-${n}`, 'purse', `p-${n}`, 0, [{ n }])] }]),
    )
    expect((await Promise.all(batches)).flat().every(({ kind }) => kind === 'stored')).toBe(true)
    expect(await stored()).toBe(30)
    expect(single.totalCount).toBe(1)
  })

  test('an error has the error of the driver as its cause', async () => {
    const { store, sql } = await newSchema()
    await sql('DROP TABLE $.events CASCADE')
    const error = await failureOf(store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0 }))
    expect(error).toMatchObject({ code: 'SCHEMA_MISSING', cause: { code: '42P01' } })
  })
})

/** Text that does not compress. */
const randomText = (length: number): string => randomBytes(length / 2).toString('hex')

/** Whether a small disk can be made for a test. */
function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  const folder = mkdtempSync(join(tmpdir(), 'cqrs-es-mount-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder])
  if (status === 0) spawnSync('umount', [folder])
  rmdirSync(folder)
  return status === 0
}

/** A process that has connected and waits for the word. */
async function startWriter(file: string, url: string, schema: string) {
  const child: ChildProcess = spawn(process.execPath, [file, url, schema], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal)),
  )
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', () => reject(new Error('A process ended before it was ready.')))
  })
  child.stdin?.on('error', () => {})
  return { child, ended }
}
