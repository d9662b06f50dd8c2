/**
 * This package on one store, set up like a program. `drive.ts` has the command line; `--system`
 * names the store and the cache: `warm`, `cold` (none), or `crowded` (ten accounts for each place).
 */
import { createApp } from 'cqrs-es'
import type pg from 'pg'
import { accountWith, deposit, open } from '../bank.ts'
import { type Durability, type OpenStore, openStore, type StoreName } from '../stores.ts'
import { drive, options } from './drive.ts'

const asked = options()
const [name = '', durability, cache] = asked.system.split(',')
const { store, close, calls } = await openAny()
const caches = { warm: {}, cold: false, crowded: { maxAggregates: Math.ceil(asked.accounts / 10) } } as const
const app = createApp({
  store,
  aggregates: { account: accountWith('never', asked.event) },
  cache: caches[cache as keyof typeof caches],
})
const bank = app.aggregates.account

await drive(
  {
    open: (id) => bank.execute(id, open),
    async deposit(id) {
      const { ok } = await bank.execute(id, deposit(1))
      if (!ok) throw new Error(`A deposit to ${id} was refused.`)
    },
    async history(id) {
      const events = []
      for await (const { type, data, sequence } of bank.events(id))
        events.push({ sequence, balance: type === 'MoneyDeposited' ? data.balance : 0 })
      return events
    },
    ...(calls && { calls }),
    close: () => app.close().then(close),
  },
  asked,
)

/**
 * Loads a driver where it is used: `regression` also runs this file on older commits, which may
 * lack stores.
 */
async function openAny(): Promise<OpenStore & { calls?(): number }> {
  if (name === 'postgres') {
    const [{ default: pg }, { postgresStore }] = await Promise.all([import('pg'), import('cqrs-es/postgres')])
    const pool = new pg.Pool({ connectionString: asked.url })
    const store = postgresStore(pool)
    await store.createSchema()
    return { store, calls: counted(pool, 'query'), close: () => pool.end() }
  }
  if (name === 'mysql') {
    const [{ createPool }, { mysqlStore }] = await Promise.all([import('mysql2/promise'), import('cqrs-es/mysql')])
    const pool = createPool(asked.url)
    const store = mysqlStore(pool)
    await store.createSchema()
    return { store, close: () => pool.end() }
  }
  if (name === 'dynamodb') {
    const [{ DynamoDB }, { dynamoDbStore }] = await Promise.all([import('@aws-sdk/client-dynamodb'), import('cqrs-es/dynamodb')])
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
    const store = dynamoDbStore(new DynamoDB({ endpoint: asked.url, region: 'local', credentials }))
    await store.createSchema()
    return { store, close: async () => {} }
  }
  return openStore(name as StoreName, durability as Durability)
}

/** Counts calls of a method of the object. */
function counted(object: pg.Pool, method: 'query'): () => number {
  const original = object[method].bind(object) as (...values: unknown[]) => unknown
  let calls = 0
  Object.defineProperty(object, method, {
    value: (...values: unknown[]) => {
      calls++
      return original(...values)
    },
  })
  return () => calls
}
