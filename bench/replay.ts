/**
 * Speed and memory of a rebuild of a view from a long log on Postgres, next to the Rust crate's
 * replay of the same rows.
 */
import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'
import { root, run } from '../test/run.ts'
import { rustPeer } from './commands/peers.ts'
import { benches } from './commands/servers.ts'
import { type Figure, figure, shown, writeResults } from './report.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const accounts = 1_000
const ours = Number(process.env.BENCH_EVENTS ?? 1_000_000)
/** The crate saves a row per event: the same number of events would take it minutes. */
const theirs = ours / 50

const account = defineAggregate({
  type: 'account',
  events: { AccountOpened: typed<{ owner: string }>(), MoneyDeposited: typed<{ amount: number; balance: number }>() },
  commands: {},
  initialState: () => ({}),
}).implement({ handle: {}, apply: { AccountOpened: (state) => state, MoneyDeposited: (state) => state } })

const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ owner: '', balance: 0 }),
  update: {
    AccountOpened: (view, event) => ({ ...view, owner: event.data.owner }),
    MoneyDeposited: (view, event) => ({ ...view, balance: event.data.balance }),
  },
  consistency: 'async',
})

interface Replayed {
  readonly eventsPerSecond: number
  readonly peakHeapMb?: number
}

/** Stores the events of all accounts in turn, as both programs read them. */
async function fill(url: string, events: number): Promise<pg.Pool> {
  const pool = new pg.Pool({ connectionString: url })
  // The database is dropped while the server still closes old connections.
  pool.on('error', () => {})
  await postgresStore(pool, { payloadFormat: 'serde-enum' }).createSchema()
  await pool.query(
    `INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
     SELECT 'account', 'account-' || a, s, CASE WHEN s = 1 THEN 'AccountOpened' ELSE 'MoneyDeposited' END, '1.0',
       CASE WHEN s = 1 THEN '{"AccountOpened":{"owner":"ann"}}'
         ELSE '{"MoneyDeposited":{"amount":1.0,"balance":' || (s - 1) || '.0}}' END::json, '{}'
     FROM generate_series(1, $1::int) AS s, generate_series(1, $2::int) AS a ORDER BY s, a`,
    [Math.ceil(events / accounts), accounts],
  )
  await pool.query('VACUUM ANALYZE events')
  return pool
}

async function rebuildOurs(url: string): Promise<Replayed> {
  const pool = await fill(url, ours)
  const store = postgresStore(pool, { payloadFormat: 'serde-enum' })
  const app = createApp({ store, aggregates: { account }, views: { balances } })
  globalThis.gc?.()
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().heapUsed)
  }, 20)
  const began = performance.now()
  await app.views.balances.rebuild()
  const seconds = (performance.now() - began) / 1_000
  clearInterval(watch)
  let total = 0
  for (let after: string | undefined; ; ) {
    const page = await app.views.balances.find({}, { limit: 1_000, ...(after && { after }) })
    for (const { view } of page.items) total += view.balance
    after = page.next
    if (after === undefined) break
  }
  check('this package', total, ours)
  await app.close()
  await pool.end()
  return { eventsPerSecond: ours / seconds, peakHeapMb: peak / 1e6 }
}

async function replayTheirs(url: string): Promise<Replayed> {
  await (await fill(url, theirs)).end()
  const { code, output } = await run(`${root}bench/peers/rust/target/release/replay`, ['--url', url], { timeout: 600_000 })
  if (code !== 0) throw new Error(`The crate's replay failed: ${output}`)
  const { seconds, total } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as { seconds: number; total: number }
  check('the crate', total, theirs)
  return { eventsPerSecond: theirs / seconds }
}

function check(who: string, total: number, events: number): void {
  const expected = accounts * (Math.ceil(events / accounts) - 1)
  if (total !== expected) throw new Error(`The rows of ${who} add up to ${total}, not to ${expected}.`)
}

const bench = await benches.postgres()
const peer = await rustPeer()
const samples: { mine: Replayed[]; crate: Replayed[] } = { mine: [], crate: [] }
for (let round = 0; round < rounds; round++) {
  samples.mine.push(await rebuildOurs(await bench.fresh()))
  if (!('missing' in peer)) samples.crate.push(await replayTheirs(await bench.fresh()))
}
await bench.stop()

const rates = (all: readonly Replayed[]): Figure => figure(all.map(({ eventsPerSecond }) => eventsPerSecond))
const results = [
  {
    system: 'cqrs-es rebuild',
    events: ours,
    eventsPerSecond: rates(samples.mine),
    peakHeapMb: figure(samples.mine.map(({ peakHeapMb = 0 }) => peakHeapMb)),
  },
  ...('missing' in peer
    ? [{ system: `cqrs_es 0.5 QueryReplay: ${peer.missing}`, events: 0, eventsPerSecond: figure([]) }]
    : [{ system: 'cqrs_es 0.5 QueryReplay', events: theirs, eventsPerSecond: rates(samples.crate) }]),
]
console.table(
  results.map(({ system, events, eventsPerSecond, ...rest }) => ({
    system,
    events,
    'events/s': shown(eventsPerSecond),
    'peak heap MB': 'peakHeapMb' in rest ? shown(rest.peakHeapMb as Figure) : '',
  })),
)
if (samples.crate.length > 0)
  console.log(`${(rates(samples.mine).median / rates(samples.crate).median).toFixed(1)} times the crate's replay.`)
await writeResults('replay', { rounds, server: bench.server }, results)
