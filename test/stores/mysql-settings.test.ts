import { createApp } from 'cqrs-es'
import { type MysqlPool, mysqlStore } from 'cqrs-es/mysql'
import type * as mariadb from 'mariadb'
import * as mysql from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startMariaDb } from '../servers/mariadb.ts'
import { startMySql } from '../servers/mysql.ts'
import { count, counter } from '../support/counter.ts'
import { commit, dataOf } from './commits.ts'
import { type Answer, goThrough } from './go-through.ts'
import { mysqlServers, newDatabase, noMysql, shareOf, type TestMysql } from './mysql-database.ts'
import { either, harmless, refused } from './mysql-settings.ts'

/** How a pool of each driver runs a statement on each of its connections first. */
const pools = {
  mysql2(database: TestMysql, sql = '', options: mysql.PoolOptions = {}): MysqlPool {
    const pool = database.pool({ connectionLimit: 2, ...options })
    if (sql !== '') pool.pool.on('connection', (connection) => connection.query(sql))
    return pool
  },
  mariadb(database: TestMysql, sql = '', options: mariadb.PoolConfig = {}): MysqlPool {
    return database.mariadbPool({ connectionLimit: 2, ...(sql !== '' && { initSql: sql }), ...options })
  },
}

const drivers = { even: ['mysql2', 'mariadb'], odd: ['mariadb', 'mysql2'] } as const

/** Every step gives what it gives on a connection without settings. */
function expectHarmless(answers: Record<string, Answer>, plain: Record<string, Answer>) {
  expect(answers).toEqual(plain)
}

/** Steps that fail say why; the others give what they give without the setting, as far as what they build on is there. */
function expectHarmlessOr(answers: Record<string, Answer>, plain: Record<string, Answer>, says: RegExp) {
  let whole = true
  for (const [step, answer] of Object.entries(answers)) {
    if ('error' in answer) {
      whole = false
      expect([step, String(answer.error)]).toEqual([step, expect.stringMatching(says)])
    } else if (whole) expect([step, answer]).toEqual([step, plain[step]])
  }
}

/** No step gives an answer: each says what the setting is. */
function expectRefused(answers: Record<string, Answer>, says: RegExp) {
  for (const [step, answer] of Object.entries(answers))
    expect([step, answer]).toEqual([
      step,
      { error: expect.objectContaining({ code: expect.stringMatching(/^STORE_/), message: expect.stringMatching(says) }) },
    ])
}

describe.skipIf(noMysql).each(mysqlServers)('settings of a session on $name', ({ server }) => {
  let database: TestMysql
  const plain: Record<string, Answer> = {}
  beforeAll(async () => {
    database = await newDatabase(server)
    const store = mysqlStore(database.pool())
    await store.createSchema()
    Object.assign(plain, await goThrough(store, undefined))
  })
  afterAll(() => database.close())

  const here = <T extends readonly [string, ...unknown[]]>(cases: readonly T[]) =>
    cases.filter((one) => !one.slice(1).some((only) => (only === 'mysql' || only === 'mariadb') && only !== server))

  const stored = async () =>
    JSON.stringify(
      await database.sql(
        'SELECT (SELECT COUNT(*) FROM events) AS e, (SELECT COUNT(*) FROM views) AS v, (SELECT COUNT(*) FROM leases) AS l',
      ),
    )

  it('plain results equal what was stored', () => {
    expect(Object.values(plain).filter((answer) => 'error' in answer)).toEqual([])
    expect(plain.readAggregate).toMatchObject({
      value: { events: [{ data: { owner: 'Zoë', 漢: '\u{1f600}' } }, { data: 'ä' }, { data: '' }, {}], more: false },
    })
  })

  it.each(here(harmless).map(([setting]) => setting))('the session setting %s changes no result', async (setting) => {
    const driver = setting.length % 2 === 0 ? 'mysql2' : 'mariadb'
    expectHarmless(await goThrough(mysqlStore(pools[driver](database, `SET ${setting}`)), undefined), plain)
  })

  it.each(here(refused))(
    'the session setting %s is refused by reads and writes, and nothing is stored',
    async (setting, says) => {
      const before = await stored()
      for (const driver of shareOf(server, drivers[String(setting).length % 2 === 0 ? 'even' : 'odd']))
        expectRefused(await goThrough(mysqlStore(pools[driver](database, `SET ${setting}`)), undefined), says as RegExp)
      expect(await stored()).toBe(before)
    },
  )

  it.each(['completion_type = CHAIN', "completion_type = 'RELEASE'"])(
    'the session setting %s changes no result on mysql2',
    async (setting) => {
      expectHarmless(await goThrough(mysqlStore(pools.mysql2(database, `SET ${setting}`)), undefined), plain)
    },
  )

  it("completion_type = CHAIN is named when mariadb's ROLLBACK leaves a transaction open", async () => {
    const answers = await goThrough(mysqlStore(pools.mariadb(database, 'SET completion_type = CHAIN')), undefined)
    expectHarmlessOr(answers, plain, /: completion_type = CHAIN\./)
  })

  it.each(either)('the session setting %s changes no result or is named', async (setting, says) => {
    expectHarmlessOr(await goThrough(mysqlStore(pools.mysql2(database, `SET ${setting}`)), undefined), plain, says)
  })

  it.each(['mysql2', 'mariadb'] as const)(
    'a session whose settings change later is refused from then on, on %s',
    async (driver) => {
      const pool = pools[driver](database, '', { connectionLimit: 1 })
      const store = mysqlStore(pool)
      expectHarmless(await goThrough(store, undefined), plain)
      const connection = await pool.getConnection()
      await connection.query('SET NAMES latin1')
      await connection.release()
      expectRefused(await goThrough(store, undefined), /character_set_connection = latin1/)
      await connection.query('SET NAMES utf8mb4')
      expectHarmless(await goThrough(store, undefined), plain)
    },
  )

  it('a connection in latin1 through SET CHARACTER SET is refused', async () => {
    const latin = await newDatabase(server, 'CHARACTER SET latin1')
    await mysqlStore(latin.pool()).createSchema()
    expectHarmless(await goThrough(mysqlStore(latin.pool()), undefined), plain)
    const store = mysqlStore(pools.mysql2(latin, 'SET CHARACTER SET utf8mb4'))
    expectRefused(await goThrough(store, undefined), /: character_set_connection = latin1\./)
    await latin.close()
  })

  it('createSchema makes the same schema under any harmless settings', async () => {
    const dump = async ({ sql, name }: TestMysql) =>
      JSON.stringify([
        await sql(
          'SELECT table_name AS t, engine, table_collation IS NOT NULL AS c FROM information_schema.tables WHERE table_schema = ? ORDER BY t',
          name,
        ),
        await sql(
          'SELECT table_name AS t, column_name AS c, column_type, collation_name, is_nullable FROM information_schema.columns WHERE table_schema = ? ORDER BY t, c',
          name,
        ),
        await sql(
          'SELECT routine_name AS r, sql_mode FROM information_schema.routines WHERE routine_schema = ? ORDER BY r',
          name,
        ),
      ])
    const common =
      "sql_mode = 'ANSI', completion_type = 2, sql_select_limit = 1, default_storage_engine = MyISAM, innodb_strict_mode = 0, sql_auto_is_null = 1, time_zone = '-11:00', foreign_key_checks = 0, max_sort_length = 8"
    const other = await newDatabase(server)
    const store = mysqlStore(pools.mysql2(other, `SET ${common}`), { foreignWriters: true })
    await store.createSchema()
    const ordinary = await newDatabase(server)
    await mysqlStore(ordinary.pool(), { foreignWriters: true }).createSchema()
    expect(await dump(other)).toBe(await dump(ordinary))
    expectHarmless(await goThrough(store, undefined), plain)
    for (const [sql, says] of [
      ['autocommit = 0', /autocommit/],
      ['NAMES latin1', /character_set_client/],
    ] as const) {
      const empty = await newDatabase(server)
      const refusing = mysqlStore(pools.mysql2(empty, `SET ${sql}`))
      await expect(refusing.createSchema()).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringMatching(says) })
      expect(await empty.sql('SHOW TABLES')).toEqual([])
      await empty.close()
    }
    await Promise.all([other.close(), ordinary.close()])
  })

  /** mysql2 keeps a parser for each shape of rows, made by the settings of the pool that read the first ones. */
  const { clearParserCache } = mysql as unknown as { clearParserCache(): void }

  const asJson = (field: { string(): string | null; type: string }, next: () => unknown) => {
    const text = /STRING|BLOB|CHAR|TEXT/.test(field.type) ? field.string() : undefined
    return text === undefined ? next() : /^[[{"]/.test(text ?? '') ? JSON.parse(text ?? '') : text
  }

  const mysql2Options: readonly [string, mysql.PoolOptions][] = [
    ['typeCast: false', { typeCast: false }],
    ['a typeCast that parses JSON', { typeCast: (field, next) => asJson(field, next) }],
    [
      'a typeCast that gives Number for LONGLONG',
      { typeCast: (field, next) => (field.type === 'LONGLONG' ? Number(field.string()) : next()) },
    ],
    ['a typeCast that gives nothing', { typeCast: () => undefined }],
    ['rowsAsArray', { rowsAsArray: true }],
    ['nestTables: true', { nestTables: true }],
    ["nestTables: '_'", { nestTables: '_' }],
    ['dateStrings', { dateStrings: true }],
    ['supportBigNumbers', { supportBigNumbers: true }],
    ['bigNumberStrings', { supportBigNumbers: true, bigNumberStrings: true }],
    ['decimalNumbers', { decimalNumbers: true }],
    ['namedPlaceholders', { namedPlaceholders: true }],
    ['multipleStatements', { multipleStatements: true }],
    ['without FOUND_ROWS', { flags: ['-FOUND_ROWS'] }],
    ['insecureAuth', { insecureAuth: true }],
    ['jsonStrings', { jsonStrings: true }],
    ['stringifyObjects', { stringifyObjects: true }],
    ['disableEval', { disableEval: true }],
    ['timezone', { timezone: '+13:00' }],
    ['maxPreparedStatements: 1', { maxPreparedStatements: 1 }],
    ['charset: utf8mb4_bin', { charset: 'UTF8MB4_BIN' }],
  ]

  // They concern the driver: no server knows of them.
  it.each(shareOf(server, mysql2Options))('mysql2 with %s changes no result', async (_, options) => {
    clearParserCache()
    expectHarmless(await goThrough(mysqlStore(pools.mysql2(database, '', options)), undefined), plain)
  })

  const mariadbOptions: readonly [string, mariadb.PoolConfig][] = [
    ['a typeCast that parses JSON', { typeCast: (column, next) => asJson(column as never, next) as never }],
    ['a typeCast that gives nothing', { typeCast: () => null }],
    ['rowsAsArray', { rowsAsArray: true }],
    ['nestTables', { nestTables: true }],
    ['metaAsArray', { metaAsArray: true }],
    ['bigIntAsNumber', { bigIntAsNumber: true, checkNumberRange: true }],
    ['insertIdAsNumber', { insertIdAsNumber: true }],
    ['decimalAsNumber', { decimalAsNumber: true, checkNumberRange: true }],
    ['supportBigNumbers', { supportBigNumbers: true, bigNumberStrings: true }],
    ['dateStrings', { dateStrings: true }],
    ['namedPlaceholders', { namedPlaceholders: true }],
    ['permitSetMultiParamEntries', { permitSetMultiParamEntries: true }],
    ['arrayParenthesis', { arrayParenthesis: true }],
    ['autoJsonMap', { autoJsonMap: true }],
    ['foundRows: false', { foundRows: false }],
    ['multipleStatements', { multipleStatements: true }],
    ['prepareCacheLength: 0', { prepareCacheLength: 0 }],
    ['timezone', { timezone: 'auto' }],
  ]

  it.each(shareOf(server, mariadbOptions))('the driver mariadb with %s changes no result', async (_, options) => {
    expectHarmless(await goThrough(mysqlStore(pools.mariadb(database, '', options)), undefined), plain)
  })

  it.each<[string, () => MysqlPool]>([
    ['mysql2', () => pools.mysql2(database, '', { charset: 'LATIN1_SWEDISH_CI' })],
    ['mariadb', () => pools.mariadb(database, '', { collation: 'LATIN1_SWEDISH_CI' })],
  ])('%s with the charset latin1 is refused', async (_, pool) => {
    expectRefused(await goThrough(mysqlStore(pool()), undefined), /character_set_client = latin1/)
  })
})

/** A pool whose answers go through `change`; `undefined` for the one of a statement that is not after. */
function changing(pool: MysqlPool, change: (sql: string, answer: unknown) => unknown): MysqlPool {
  return {
    execute: async (statement, values) => change(statement.sql, await pool.execute(statement, values)),
    async getConnection() {
      const connection = await pool.getConnection()
      return {
        execute: async (statement, values) => change(statement.sql, await connection.execute(statement, values)),
        query: (sql) => connection.query(sql),
        release: () => connection.release(),
        destroy: () => connection.destroy(),
      }
    },
  }
}

const rubbish: readonly (readonly [string, unknown])[] = [
  ['nothing', undefined],
  ['no row', []],
  ['rows without names', [[['stored', 0, 1]], []]],
  ['rows with other names', [[{ Kind: 'stored', Nth: 0, Number: 1 }], []]],
  ['bytes', [[[{ kind: new Uint8Array([115]), nth: new Uint8Array([48]), number: new Uint8Array([49]) }], {}], []]],
  ['no position', [[[{ kind: 'stored', nth: 0, number: null }], {}], []]],
  ['a position that is no number', [[[{ kind: 'stored', nth: 0, number: 'one' }], {}], []]],
  ['facts without a number', [[[{ kind: 'found' }, { kind: 'sequence', nth: undefined, number: {} }], {}], []]],
]

describe.skipIf(noMysql).each(mysqlServers)('unreadable answers on $name', ({ server }) => {
  let database: TestMysql
  beforeAll(async () => {
    database = await newDatabase(server)
    await mysqlStore(database.pool()).createSchema()
  })
  afterAll(() => database.close())

  it.each(rubbish)('an append answered with %s is an unknown outcome that a repeat resolves', async (what, answer) => {
    let broken = 1
    const pool = changing(pools.mysql2(database), (sql, given) => (sql.startsWith('CALL') && broken-- > 0 ? answer : given))
    const app = createApp({ store: mysqlStore(pool), aggregates: { counter } })
    expect(await app.aggregates.counter.execute(what, count(2))).toMatchObject({ ok: true, sequence: 1, state: { total: 2 } })
    expect(await app.aggregates.counter.load(what)).toMatchObject({ sequence: 1 })

    const always = changing(pools.mysql2(database), (sql, given) => (sql.startsWith('CALL') ? answer : given))
    const [outcome] = await mysqlStore(always).append([commit(`${what} c`, what, 0)])
    expect(outcome).toMatchObject({
      kind: 'failed',
      certain: false,
      cause: { code: 'STORE_FAILED', message: expect.stringContaining('cannot be read') },
    })
    expect(await dataOf(mysqlStore(database.pool()), what)).toHaveLength(1)
  })

  it.each(rubbish)('a read answered with %s is an error, never an empty page', async (_, answer) => {
    const store = mysqlStore(changing(pools.mysql2(database), () => answer))
    const aggregate = { aggregateType: 'account', aggregateId: 'a' }
    for (const read of [
      () => store.createSchema(),
      () => store.readAggregate({ ...aggregate, after: 0 }),
      () => store.readKey({ ...aggregate, idempotencyKey: 'k' }),
      () => store.readIds({ aggregateType: 'account', limit: 1 }),
      () => store.readFeed({ limit: 1 }),
      () => store.readViews([{ name: 'v', generation: 'live', id: 'r' }]),
      () => store.findViews({ name: 'v', generation: 'live', where: [], limit: 1 }),
      () => store.viewGenerations('v'),
      () => store.readCheckpoint('v'),
      async () => store.readConsumers?.(['v']),
      () => store.acquireLease({ name: 'v', holder: 'h', ttlMs: 1_000 }),
      () => store.lastPosition(),
    ])
      await expect(read()).rejects.toMatchObject({ code: 'STORE_FAILED', message: expect.stringContaining('cannot be read') })
  })
})

describe.skipIf(noMysql).each(mysqlServers)('settings of the server on $name', ({ server }) => {
  it('hostile server settings change no result', async () => {
    const settings = {
      default_storage_engine: 'MyISAM',
      lower_case_table_names: '1',
      character_set_server: 'latin1',
      completion_type: 'RELEASE',
      innodb_strict_mode: 'OFF',
      transaction_isolation: 'SERIALIZABLE',
      innodb_rollback_on_timeout: 'ON',
      log_bin_trust_function_creators: 'ON',
      sql_mode: '',
      max_sort_length: '8',
      ...(server === 'mysql' && { sql_require_primary_key: 'ON' }),
    }
    const own = await (server === 'mysql' ? startMySql({ settings }) : startMariaDb({ settings }))
    try {
      const database = await newDatabase(own.url)
      const tables = { events: 'Bank_Events', sequencer: 'Bank_Log' }
      const store = mysqlStore(pools.mysql2(database), { tables, foreignWriters: true })
      await store.createSchema()
      const first = await goThrough(store, undefined)
      expect(Object.values(first).filter((answer) => 'error' in answer)).toEqual([])
      expectHarmless(await goThrough(mysqlStore(pools.mysql2(database), { tables }), undefined), first)
      const engines = await database.sql(
        'SELECT DISTINCT engine AS e FROM information_schema.tables WHERE table_schema = ?',
        database.name,
      )
      expect(engines).toEqual([{ e: 'InnoDB' }])

      await database.sql("SET GLOBAL init_connect = 'SET collation_connection = utf8mb3_unicode_ci'")
      await database.sql(`CREATE USER 'app'@'%' IDENTIFIED BY 'Secret-1'; GRANT ALL ON ${database.name}.* TO 'app'@'%'`)
      const ordinary = mysqlStore(pools.mysql2(database, '', { user: 'app', password: 'Secret-1' }), { tables })
      expectRefused(await goThrough(ordinary, undefined), /: character_set_connection = utf8mb3\./)
      await database.close()
    } finally {
      await own.stop()
    }
  })
})
