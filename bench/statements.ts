/**
 * Transactions and statements of one command on SQLite, counted between the store and the driver.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type App, createApp, type ExecuteOptions } from 'cqrs-es'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import type { Store } from 'cqrs-es/store'
import { account, accountWith, balances, deposit, open } from './bank.ts'
import { writeResults } from './report.ts'
import { makeFolder, openDatabase } from './stores.ts'

type Bank = App<{ account: typeof account }, Record<never, never>>

interface Case {
  readonly name: string
  readonly app: (store: Store) => Bank
  readonly options?: ExecuteOptions
}

const plain = { aggregates: { account } }
const withView = { ...plain, views: { balances } }
const withSnapshot = { aggregates: { account: accountWith('always') } }
const idempotencyKey = 'payment-1'

const cases: readonly Case[] = [
  { name: 'warm', app: (store) => createApp({ store, ...plain }) },
  { name: 'cold', app: (store) => createApp({ store, ...plain, cache: false }) },
  { name: 'warm, idempotency key', app: (store) => createApp({ store, ...plain }), options: { idempotencyKey } },
  { name: 'cold, idempotency key', app: (store) => createApp({ store, ...plain, cache: false }), options: { idempotencyKey } },
  { name: 'warm, inline view', app: (store) => createApp({ store, ...withView }) },
  { name: 'cold, inline view', app: (store) => createApp({ store, ...withView, cache: false }) },
  { name: 'warm, snapshot', app: (store) => createApp({ store, ...withSnapshot }) },
  { name: 'cold, snapshot', app: (store) => createApp({ store, ...withSnapshot, cache: false }) },
]

const results = []
for (const { name, app, options } of cases) results.push({ case: name, ...(await countOne(app, options)) })
console.table(
  results.map((result) => ({
    'one command': result.case,
    'read transactions': result.readTransactions,
    'write transactions': result.writeTransactions,
    statements: result.statements.length,
    'of these writes': result.statements.filter((sql) => !/^SELECT/.test(sql)).length,
    'BEGIN, COMMIT, PRAGMA …': result.control.length,
  })),
)
await writeResults('statements', { driver: 'libsql' }, results)

/** The third command on an account, when all statements have been prepared. */
async function countOne(appOf: Case['app'], options: ExecuteOptions | undefined) {
  const folder = await makeFolder()
  const db = await openDatabase('libsql', join(folder, 'bench.db'))
  const counted = counting(db)
  const store = sqliteStore(counted.database)
  await store.createSchema()
  const bank = appOf(store).aggregates.account
  await bank.execute('ann', open)
  await bank.execute('ann', deposit(1))
  counted.log.length = 0
  await bank.execute('ann', deposit(1), options)
  const log = [...counted.log]
  db.close()
  await rm(folder, { recursive: true, force: true })
  return {
    readTransactions: log.filter(({ sql }) => sql === 'BEGIN').length,
    writeTransactions: log.filter(({ sql }) => sql === 'BEGIN IMMEDIATE').length,
    statements: log.filter(({ prepared }) => prepared).map(({ sql }) => sql),
    control: log.filter(({ prepared }) => !prepared).map(({ sql }) => sql),
  }
}

/** The same database, with a log of all its statements from now on. */
function counting(db: SqliteDatabase) {
  const log: { readonly sql: string; readonly prepared: boolean }[] = []
  const note = (sql: string, prepared: boolean) => log.push({ sql: sql.trim(), prepared: prepared && !sql.startsWith('PRAGMA') })
  const database: SqliteDatabase = {
    exec: (sql) => {
      note(sql, false)
      return db.exec(sql)
    },
    prepare: (sql) => {
      const statement = db.prepare(sql)
      return {
        all: (...values) => {
          note(sql, true)
          return statement.all(...values)
        },
        run: (...values) => {
          note(sql, true)
          return statement.run(...values)
        },
      }
    },
  }
  return { database, log }
}
