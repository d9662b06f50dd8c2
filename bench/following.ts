/**
 * Time from the response of a command until an async view shows it to another process, and the cost
 * of a hundred idle subscriptions. On Postgres: commands on one pool, consumers on another, woken
 * by NOTIFY or by polling.
 */
import { createApp, defineSubscription, defineView } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'
import { account, deposit, open } from './bank.ts'
import { benches } from './commands/servers.ts'
import { percentile, short, writeResults } from './report.ts'

const commands = Number(process.env.BENCH_COMMANDS ?? 300)
const idleSeconds = Number(process.env.BENCH_SECONDS ?? 10)
/** Each poll takes a second. */
const commandsWhenPolling = Math.ceil(commands / 10)
const pauseMs = 10

const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ count: 0 }),
  update: { MoneyDeposited: (view) => ({ count: view.count + 1 }) },
  consistency: 'async',
})

const bench = await benches.postgres()
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Milliseconds from the response of a command until a reader finds it in the view. */
async function latencies(push: boolean): Promise<readonly number[]> {
  const url = await bench.fresh()
  const pools = [new pg.Pool({ connectionString: url }), new pg.Pool({ connectionString: url })] as const
  for (const pool of pools) pool.on('error', () => {})
  const listener = new pg.Client(url)
  listener.on('error', () => {})
  await listener.connect()
  const aggregates = { account }
  const views = { balances }
  const writing = postgresStore(pools[0], { notify: push })
  await writing.createSchema()
  const writer = createApp({ store: writing, aggregates, views })
  const follower = createApp({ store: postgresStore(pools[1], push ? { listener } : {}), aggregates, views })
  await writer.aggregates.account.execute('a', open)
  await follower.start()
  await follower.views.balances.caughtUp()
  const found: number[] = []
  for (let n = 1; n <= (push ? commands : commandsWhenPolling); n++) {
    await writer.aggregates.account.execute('a', deposit(1))
    const stored = performance.now()
    while (((await writer.views.balances.load('a'))?.view.count ?? 0) < n) await pause(1)
    found.push(performance.now() - stored)
    await pause(pauseMs * Math.random() * 2)
  }
  await follower.close()
  await writer.close()
  await listener.end()
  for (const pool of pools) await pool.end()
  return found.sort((a, b) => a - b)
}

/** Share of a core and statements per second of a hundred subscriptions that have caught up. */
async function idle(push: boolean) {
  const url = await bench.fresh()
  const pool = new pg.Pool({ connectionString: url })
  pool.on('error', () => {})
  let statements = 0
  const client = {
    query: (text: string, values?: (string | number | null)[]) => {
      statements++
      return pool.query(text, values)
    },
  }
  const listener = new pg.Client(url)
  listener.on('error', () => {})
  await listener.connect()
  const store = postgresStore(client, push ? { listener } : {})
  await store.createSchema()
  const subscriptions = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [
      `s${i}`,
      defineSubscription({ name: `s${i}`, aggregates: [account], handle: () => {} }),
    ]),
  )
  const app = createApp({ store, aggregates: { account }, subscriptions })
  await app.aggregates.account.execute('a', open)
  await app.start()
  await Promise.all(Object.values(app.subscriptions).map((subscription) => subscription.caughtUp()))
  await pause(2_000)
  statements = 0
  const before = process.cpuUsage()
  await pause(idleSeconds * 1_000)
  const { user, system } = process.cpuUsage(before)
  const result = { corePercent: (user + system) / 1e4 / idleSeconds, statementsPerSecond: statements / idleSeconds }
  await app.close()
  await listener.end()
  await pool.end()
  return result
}

const results = []
for (const push of [true, false]) {
  const sorted = await latencies(push)
  results.push({
    wake: push ? 'NOTIFY' : 'polling',
    commands: sorted.length,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    ...(await idle(push)),
  })
}
await bench.stop()
console.table(
  results.map(({ wake, p50Ms, p99Ms, corePercent, statementsPerSecond }) => ({
    'woken by': wake,
    'visible after, p50 ms': short(p50Ms),
    'p99 ms': short(p99Ms),
    '100 idle subscriptions: % of a core': short(corePercent),
    'statements/s': short(statementsPerSecond),
  })),
)
await writeResults('following', { server: bench.server, idleSeconds }, results)
process.exit(0)
