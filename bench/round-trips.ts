/**
 * Cost of one command on a database server: round trips, counted between the store and the driver,
 * and milliseconds. Next to it two plain statements through the same driver: a SELECT of the rows
 * of an aggregate and an INSERT. Durability is the default of the servers.
 */
import { DynamoDB } from '@aws-sdk/client-dynamodb'
import { type App, createApp, type ExecuteOptions } from 'cqrs-es'
import { dynamoDbStore } from 'cqrs-es/dynamodb'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import type { Store } from 'cqrs-es/store'
import { createPool } from 'mysql2/promise'
import pg from 'pg'
import { startDynamoDb } from '../test/servers/dynamodb.ts'
import { startMariaDb } from '../test/servers/mariadb.ts'
import { startPostgres } from '../test/servers/postgres.ts'
import { account, accountWith, balances, deposit, depositDaily, open } from './bank.ts'
import { figure, shown, writeResults } from './report.ts'

interface Server {
  readonly name: string
  readonly store: Store
  /** Driver calls of the store. */
  calls(): number
  /** A SELECT and an INSERT by hand, where they make sense. */
  plain?(id: string): Promise<unknown>
  close(): Promise<unknown>
}

/** The same object; `calls` counts its calls of methods with these names. */
function counting<T extends object>(client: T, names: RegExp) {
  let calls = 0
  const counted = new Proxy(client, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...values: unknown[]) => {
        if (names.test(String(name))) calls++
        return Reflect.apply(member, target, values)
      }
    },
  })
  return { counted, calls: () => calls }
}

async function onPostgres(): Promise<Server> {
  const server = await startPostgres({ settings: {} })
  const pool = new pg.Pool({ connectionString: server.url })
  const { counted, calls } = counting(pool, /^query$/)
  await pool.query('CREATE TABLE plain (type text, id text, sequence bigint, payload json, PRIMARY KEY (type, id, sequence))')
  const plain = async (id: string) => {
    await pool.query('SELECT * FROM plain WHERE type = $1 AND id = $2 ORDER BY sequence', ['account', id])
    await pool.query('INSERT INTO plain VALUES ($1, $2, 1, $3)', ['account', id, '{"amount":1,"balance":1}'])
  }
  const close = () => pool.end().then(() => server.stop())
  return { name: 'Postgres', store: postgresStore(counted), calls, plain, close }
}

async function onMysql(): Promise<Server> {
  const server = await startMariaDb({ settings: {} })
  const pool = createPool(server.url)
  // An append takes a connection for its only call.
  const { counted, calls } = counting(pool, /^(query|execute|getConnection)$/)
  await pool.query(
    'CREATE TABLE plain (type varchar(255), id varchar(255), sequence bigint, payload longtext, PRIMARY KEY (type, id, sequence))',
  )
  const plain = async (id: string) => {
    await pool.execute('SELECT * FROM plain WHERE type = ? AND id = ? ORDER BY sequence', ['account', id])
    await pool.execute('INSERT INTO plain VALUES (?, ?, 1, ?)', ['account', id, '{"amount":1,"balance":1}'])
  }
  return { name: 'MariaDB', store: mysqlStore(counted), calls, plain, close: () => pool.end().then(() => server.stop()) }
}

async function onDynamoDb(): Promise<Server> {
  const server = await startDynamoDb()
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
  const client = new DynamoDB({ endpoint: server.url, region: 'local', credentials })
  const { counted, calls } = counting(client, /^(putItem|getItem|query|batchGetItem|transactWriteItems|updateItem|scan)$/)
  return { name: 'DynamoDB (emulator)', store: dynamoDbStore(counted), calls, close: () => server.stop() }
}

type Bank = App<{ account: typeof account }, Record<never, never>>['aggregates']['account']
type AppOf = (store: Store) => Bank

const plain = { aggregates: { account } }
const withView = { ...plain, views: { balances } }
const withSnapshot = { aggregates: { account: accountWith('always') } }

const cases: readonly { readonly name: string; readonly app: AppOf; readonly options?: (i: number) => ExecuteOptions }[] = [
  { name: 'warm', app: (store) => createApp({ store, ...plain }).aggregates.account },
  { name: 'cold', app: (store) => createApp({ store, ...plain, cache: false }).aggregates.account },
  {
    name: 'warm, idempotency key',
    app: (store) => createApp({ store, ...plain }).aggregates.account,
    options: (i) => ({ idempotencyKey: `payment-${i}` }),
  },
  { name: 'warm, inline view', app: (store) => createApp({ store, ...withView }).aggregates.account },
  { name: 'cold, inline view', app: (store) => createApp({ store, ...withView, cache: false }).aggregates.account },
  { name: 'warm, snapshot', app: (store) => createApp({ store, ...withSnapshot }).aggregates.account },
  { name: 'cold, snapshot', app: (store) => createApp({ store, ...withSnapshot, cache: false }).aggregates.account },
]

const rounds = 5
const repeats = 100
const results: object[] = []
for (const start of [onPostgres, onMysql, onDynamoDb]) {
  const server = await start()
  await server.store.createSchema()
  results.push(...(await measure(server)))
  await server.close()
}
console.table(
  results.map((result) =>
    Object.fromEntries(Object.entries(result).map(([key, value]) => [key, typeof value === 'object' ? shown(value) : value])),
  ),
)
await writeResults('round-trips', { rounds, repeats }, results)
process.exit()

/** Runs all cases of a server in turn, so that a busy moment affects all of them. */
async function measure({ name: server, store, calls, plain: byHand }: Server) {
  const measured = cases.map(({ name, app, options }, at) => {
    const bank = app(store)
    let i = 0
    const run = () => bank.execute(`account-${at}`, deposit(1), options?.(i++))
    return { name, run, open: () => bank.execute(`account-${at}`, open) }
  })
  const bank = cases[0]?.app(store) as Bank
  let days = 0
  const many = (count: number) => () => bank.execute(`daily-${count}-${days++}`, depositDaily(1, count))
  const all = [
    ...measured,
    { name: '1 event on a new account', run: many(1) },
    { name: '100 events on a new account', run: many(100) },
  ]
  if (byHand) all.push({ name: 'by hand: SELECT, INSERT', run: () => byHand(`plain-${days++}`) as never })
  for (const { open: begin } of measured) await begin()
  const samples = all.map((one) => ({ ...one, ms: [] as number[], roundTrips: 0 }))
  for (let round = -1; round < rounds; round++)
    for (const sample of samples) {
      const before = calls()
      const began = performance.now()
      for (let i = 0; i < repeats; i++) await sample.run()
      if (round < 0) continue
      sample.ms.push((performance.now() - began) / repeats)
      sample.roundTrips = (calls() - before) / repeats
    }
  return samples.map(({ name, ms, roundTrips }) => ({
    server,
    'one command': name,
    'round trips': name.startsWith('by hand') ? 2 : roundTrips,
    milliseconds: figure(ms),
  }))
}
