/**
 * Speed of reading a long log on Postgres: a subscription, pages of the log, and a rebuild of a view
 * with its memory. Next to it, the Rust crate's replay of the same rows.
 */
import { root, run } from '../test/run.ts'
import { rustPeer } from './commands/peers.ts'
import { readLog } from './commands/read-log.ts'
import { benches } from './commands/servers.ts'
import { fillLog, openPool } from './log.ts'
import { figure, shown, writeResults } from './report.ts'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const accounts = 1_000
const ours = Number(process.env.BENCH_EVENTS ?? 1_000_000)
/** The crate saves a row per event: the same number of events would take it minutes. */
const theirs = Math.max(accounts, ours / 50)

async function replayTheirs(url: string): Promise<number> {
  const pool = openPool(url)
  await fillLog(pool, { accounts, from: 1, to: theirs / accounts, payloadFormat: 'serde-enum' })
  await pool.end()
  const { code, output } = await run(`${root}bench/peers/rust/target/release/replay`, ['--url', url], { timeout: 600_000 })
  if (code !== 0) throw new Error(`The crate's replay failed: ${output}`)
  const { seconds, total } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as { seconds: number; total: number }
  if (total !== theirs - accounts) throw new Error(`The rows of the crate add up to ${total}, not to ${theirs - accounts}.`)
  return theirs / seconds
}

const bench = await benches.postgres()
const peer = await rustPeer()
const [mine, crate] = [[] as Awaited<ReturnType<typeof readLog>>[], [] as number[]]
for (let round = 0; round < rounds; round++) {
  mine.push(await readLog(await bench.fresh(), ours))
  if (!('missing' in peer)) crate.push(await replayTheirs(await bench.fresh()))
}
await bench.stop()

const of = (name: 'subscription' | 'pages' | 'rebuild' | 'peakHeapMb') => figure(mine.map((one) => one[name]))
const results = [
  { system: 'cqrs-es rebuild', events: ours, eventsPerSecond: of('rebuild'), peakHeapMb: of('peakHeapMb') },
  { system: 'cqrs-es pages of the log', events: ours, eventsPerSecond: of('pages') },
  { system: 'cqrs-es subscription', events: ours / 10, eventsPerSecond: of('subscription') },
  'missing' in peer
    ? { system: 'cqrs_es 0.5 QueryReplay', events: 0, missing: peer.missing }
    : { system: 'cqrs_es 0.5 QueryReplay', events: theirs, eventsPerSecond: figure(crate) },
]
console.table(
  results.map(({ system, events, eventsPerSecond, peakHeapMb, missing }) => ({
    system,
    events,
    'events/s': eventsPerSecond === undefined ? `MISSING: ${missing}` : shown(eventsPerSecond),
    'peak heap MB': peakHeapMb === undefined ? '' : shown(peakHeapMb),
  })),
)
if (crate.length > 0)
  console.log(`The rebuild is ${(of('rebuild').median / figure(crate).median).toFixed(1)} times the crate's replay.`)
await writeResults('replay', { rounds, server: bench.server }, results)
