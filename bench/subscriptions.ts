/**
 * Cost of subscriptions and async views: statements for a single event, events per second, handlers
 * that wait for a service, a store full of parked events, and the delay of `changes()`. On
 * Postgres; events per second on SQLite too.
 */
import { createApp, defineSubscription, defineView, type Subscription } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import type { Store } from 'cqrs-es/store'
import pg from 'pg'
import { account, deposit, depositDaily, open } from './bank.ts'
import { benches } from './commands/servers.ts'
import { figure, percentile, short, shown, writeResults } from './report.ts'
import { openStore } from './stores.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 5)
const events = Number(process.env.BENCH_EVENTS ?? 20_000)
const parked = Number(process.env.BENCH_PARKED ?? 100_000)
const commands = Number(process.env.BENCH_COMMANDS ?? 300)

const bench = await benches.postgres()
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

interface Opened {
  readonly store: Store
  /** Statements since the last call. */
  statements(): number
  close(): Promise<void>
}

async function onPostgres(url?: string, { push = false } = {}): Promise<Opened & { readonly url: string }> {
  const at = url ?? (await bench.fresh())
  const pool = new pg.Pool({ connectionString: at })
  pool.on('error', () => {})
  let count = 0
  const client = {
    query: (text: string, values?: (string | number | null)[]) => {
      count++
      return pool.query(text, values)
    },
  }
  const listener = push ? new pg.Client(at) : undefined
  listener?.on('error', () => {})
  await listener?.connect()
  const store = postgresStore(client, listener === undefined ? {} : { listener })
  await store.createSchema()
  const statements = () => {
    const counted = count
    count = 0
    return counted
  }
  const close = async () => {
    await listener?.end()
    await pool.end()
  }
  return { store, statements, close, url: at }
}

/** Receives deposits only. */
const depositsOnly = (name: string, options: object = {}): Subscription =>
  defineSubscription({ name, aggregates: [account], eventTypes: ['MoneyDeposited'], handle: () => {}, ...options })

const openingsOnly = (name: string): Subscription =>
  defineSubscription({ name, aggregates: [account], eventTypes: ['AccountOpened'], handle: () => {} })

/** Statements from a command until everything is at rest again, including those of the command. */
async function statementsForOneEvent(subscriptions: Readonly<Record<string, Subscription>>): Promise<number> {
  const { store, statements, close } = await onPostgres()
  // Without polling: reads of the end of the log would count too.
  const app = createApp({ store, aggregates: { account }, subscriptions, following: { pollMs: 600_000 } })
  await app.aggregates.account.execute('a', open)
  await app.start()
  const once = async () => {
    await app.aggregates.account.execute('a', deposit(1))
    await pause(3_000)
    return statements()
  }
  await once()
  const counted = await once()
  await app.close()
  await close()
  return counted
}

/** Events per second of a drain. */
async function throughput(opened: Opened, options: object): Promise<number> {
  const { store, close } = opened
  const app = createApp({ store, aggregates: { account }, subscriptions: { log: depositsOnly('log', options) } })
  await fill(app.aggregates.account)
  const began = performance.now()
  await app.drain()
  const took = performance.now() - began
  await app.close()
  await close()
  return (events / took) * 1_000
}

const behind = defineView({
  name: 'behind',
  aggregates: [account],
  initialView: () => ({ count: 0 }),
  update: { MoneyDeposited: (view) => ({ count: view.count + 1 }) },
  consistency: 'async',
})

/** Events per second of an async view, first as they arrive, then in a rebuild. */
async function viewThroughput({ store, close }: Opened): Promise<{ readonly follows: number; readonly rebuilds: number }> {
  const app = createApp({ store, aggregates: { account }, views: { behind } })
  await fill(app.aggregates.account)
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now()
    await work()
    return (events / (performance.now() - began)) * 1_000
  }
  const follows = await timed(() => app.drain())
  const rebuilds = await timed(() => app.views.behind.rebuild())
  await app.close()
  await close()
  return { follows, rebuilds }
}

async function fill(accounts: { execute(id: string, command: typeof open | ReturnType<typeof depositDaily>): Promise<unknown> }) {
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      await accounts.execute(`a${i}`, open)
      for (let left = events / 100; left > 0; left -= 50) await accounts.execute(`a${i}`, depositDaily(1, Math.min(50, left)))
    }),
  )
}

/** Seconds until 64 handlers of 200 ms have run, one for each of 64 accounts. */
async function handlersOfAService(concurrency: number): Promise<number> {
  const { store, close } = await onPostgres()
  const slow = depositsOnly('slow', { concurrency, handle: () => pause(200) })
  const app = createApp({ store, aggregates: { account }, subscriptions: { slow } })
  for (let i = 0; i < 64; i++) await app.aggregates.account.execute(`a${i}`, open)
  await app.drain()
  for (let i = 0; i < 64; i++) await app.aggregates.account.execute(`a${i}`, deposit(1))
  const began = performance.now()
  await app.drain()
  const took = (performance.now() - began) / 1_000
  await app.close()
  await close()
  return took
}

/** Milliseconds for one new event, and for `status`, with this number of failed aggregates. */
async function besideParked(): Promise<object> {
  const { store, statements, close } = await onPostgres()
  let fails = true
  const mailer = depositsOnly('mailer', {
    onFailure: 'park',
    handle: () => {
      if (fails) throw new Error('No mail today.')
    },
  })
  const app = createApp({ store, aggregates: { account }, subscriptions: { mailer }, observe: () => {} })
  for (let i = 0; i < parked; i += 500)
    await Promise.all(
      Array.from({ length: 500 }, async (_, j) => {
        await app.aggregates.account.execute(`p${i + j}`, open)
        await app.aggregates.account.execute(`p${i + j}`, deposit(1))
      }),
    )
  await app.drain()
  fails = false
  const took: number[] = []
  let counted = 0
  for (let n = 0; n < 21; n++) {
    if (n === 0) await app.aggregates.account.execute('new', open)
    await app.aggregates.account.execute('new', deposit(1))
    statements()
    const began = performance.now()
    await app.drain()
    took.push(performance.now() - began)
    counted = statements()
  }
  const looks: number[] = []
  for (let n = 0; n < 21; n++) {
    const began = performance.now()
    for await (const _ of app.subscriptions.mailer.status()) break
    looks.push(performance.now() - began)
  }
  await app.close()
  await close()
  return { parked, drainMs: shown(figure(took)), statements: counted, statusMs: shown(figure(looks)) }
}

/** Milliseconds from the response of a command until a listener has its row. */
async function changes(consistency: 'inline' | 'async', inSameProcess: boolean): Promise<readonly number[]> {
  const view = defineView({
    name: 'listed',
    aggregates: [account],
    initialView: () => ({ count: 0 }),
    update: { MoneyDeposited: (row) => ({ count: row.count + 1 }) },
    consistency,
  })
  const one = await onPostgres(undefined, { push: true })
  const other = await onPostgres(one.url, { push: true })
  const writer = createApp({ store: one.store, aggregates: { account }, views: { view } })
  const listens = inSameProcess ? writer : createApp({ store: other.store, aggregates: { account }, views: { view } })
  await writer.aggregates.account.execute('a', open)
  await listens.start()
  const seen: number[] = []
  let stored = 0
  let told = () => {}
  const ending = new AbortController()
  const listening = (async () => {
    for await (const change of listens.views.view.changes({ signal: ending.signal })) {
      if (change.kind !== 'changed') continue
      seen.push(performance.now() - stored)
      told()
    }
  })().catch(() => {})
  await pause(1_000)
  for (let n = 1; n <= commands; n++) {
    const arrives = new Promise<void>((resolve) => {
      told = resolve
    })
    await writer.aggregates.account.execute('a', deposit(1))
    stored = performance.now()
    await arrives
    await pause(5 * Math.random())
  }
  ending.abort()
  await listening
  await listens.close()
  await writer.close()
  await other.close()
  await one.close()
  return seen.sort((a, b) => a - b)
}

const results: object[] = []
const table = (rows: readonly object[]) => {
  console.table(rows)
  results.push(...rows)
}

const first = await statementsForOneEvent({ a: depositsOnly('a') })
const second = await statementsForOneEvent({ a: depositsOnly('a'), b: depositsOnly('b') })
const uninterested = await statementsForOneEvent({ a: depositsOnly('a'), b: openingsOnly('b') })
const divided = await statementsForOneEvent({ a: depositsOnly('a', { partitions: 16 }) })
table([
  { 'statements for an event that comes alone, and its command': 'one subscription', statements: first },
  { 'statements for an event that comes alone, and its command': 'one more', statements: second - first },
  { 'statements for an event that comes alone, and its command': 'one more, of other events', statements: uninterested - first },
  { 'statements for an event that comes alone, and its command': 'one in 16 partitions', statements: divided },
])

const stores = {
  SQLite: async (): Promise<Opened> => ({ ...(await openStore('libsql')), statements: () => 0 }),
  Postgres: onPostgres,
}
for (const [name, opened] of Object.entries(stores)) {
  const speeds: Record<string, number[]> = {}
  const note = (what: string, speed: number) => {
    speeds[what] ??= []
    speeds[what].push(speed)
  }
  for (let round = 0; round < rounds; round++) {
    note('a subscription', await throughput(await opened(), {}))
    note('a subscription, concurrency: 16', await throughput(await opened(), { concurrency: 16 }))
    const { follows, rebuilds } = await viewThroughput(await opened())
    note('an async view', follows)
    note('an async view, rebuilt', rebuilds)
  }
  table(Object.entries(speeds).map(([what, all]) => ({ [`events per second on ${name}`]: what, speed: shown(figure(all)) })))
}

const waits: Record<number, number[]> = {}
for (let round = 0; round < rounds; round++)
  for (const concurrency of [1, 64]) waits[concurrency] = [...(waits[concurrency] ?? []), await handlersOfAService(concurrency)]
table(
  Object.entries(waits).map(([concurrency, all]) => ({
    '64 handlers of 200 ms': `concurrency: ${concurrency}`,
    seconds: shown(figure(all)),
  })),
)

for (const consistency of ['inline', 'async'] as const)
  for (const isSame of [true, false]) {
    const sorted = await changes(consistency, isSame)
    table([
      {
        'until changes() tells of a row': `${consistency}, ${isSame ? 'in the same process' : 'in another app'}`,
        'p50 ms': short(percentile(sorted, 50)),
        'p99 ms': short(percentile(sorted, 99)),
      },
    ])
  }

if (parked > 0) table([await besideParked()])
await bench.stop()
await writeResults('subscriptions', { server: bench.server, rounds, events, commands }, results)
process.exit(0)
