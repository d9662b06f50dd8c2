/**
 * Cost of commands and of pages of the log on Postgres with 10 million events, against 10 thousand:
 * both databases on one server, ten events in each account. Filling takes some minutes and about
 * 5 GB of disk, so this is not one of all questions: `npm run bench -- growth`.
 */
import { createApp } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import type { Position } from 'cqrs-es/store'
import { account, deposit } from './bank.ts'
import { cpuOf } from './commands/cpu.ts'
import { benches } from './commands/servers.ts'
import { fillLog, openPool } from './log.ts'
import { type Figure, figure, shown, writeResults } from './report.ts'

const rounds = Number(process.env.ROUNDS ?? 9)
const repeats = Math.round(Number(process.env.SECONDS ?? 1) * 6_400)
const sizes = { small: 10_000, large: Number(process.env.BENCH_EVENTS ?? 10_000_000) }
const perAccount = 10
const callers = 64

interface Sample {
  readonly milliseconds: number
  /** Processor time of the server. */
  readonly cpu: number
}

/** Work to time, by its name. Each call does one of it. */
type Work = Readonly<Record<'warm command' | 'cold command' | 'page of 1,000 events', () => Promise<unknown>>>

async function prepare(url: string, events: number): Promise<Work> {
  const pool = openPool(url)
  const accounts = events / perAccount
  console.log(`Filling a log of ${events.toLocaleString('en-US')} events.`)
  for (let sequence = 1; sequence <= perAccount; sequence++) await fillLog(pool, { accounts, from: sequence, to: sequence })
  await pool.query('CHECKPOINT')
  const store = postgresStore(pool)
  const warm = createApp({ store, aggregates: { account } }).aggregates.account
  const cold = createApp({ store, aggregates: { account }, cache: false }).aggregates.account
  // As many in both logs, so that their histories grow alike, and spread over each log.
  const spread = (share: number) =>
    Array.from({ length: 256 }, (_, i) => `account-${1 + Math.floor(((i + share) / 256) * (accounts - 1))}`)
  const [warmIds, coldIds] = [spread(0), spread(0.5)]
  for (const id of warmIds) await warm.load(id)
  let next = 0
  const turn = (ids: readonly string[]) => ids[next++ % ids.length] as string
  const anyPosition = () => String(Math.floor(Math.random() * (events - 2_000))) as Position
  return {
    'warm command': () => warm.execute(turn(warmIds), deposit(1)),
    'cold command': () => cold.execute(turn(coldIds), deposit(1)),
    'page of 1,000 events': () => store.readFeed({ limit: 1_000, after: anyPosition() }),
  }
}

async function time(work: () => Promise<unknown>, count: number, lanes: number): Promise<Sample> {
  const before = cpuOf(process.pid)
  const began = performance.now()
  let left = count
  const lane = async () => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  const milliseconds = (performance.now() - began) / count
  const after = cpuOf(process.pid)
  return { milliseconds, cpu: before && after ? ((after.server - before.server) / count) * 1e6 : Number.NaN }
}

const bench = await benches.postgres()
const small = await prepare(await bench.fresh({ keep: true }), sizes.small)
const large = await prepare(await bench.fresh({ keep: true }), sizes.large)
const results: { what: string; small: Figure; large: Figure; ratio: Figure; serverCpuRatio: Figure }[] = []
for (const what of Object.keys(small) as (keyof Work)[]) {
  const [count, lanes] = what.startsWith('page') ? [Math.ceil(repeats / 64), 1] : [repeats, callers]
  const samples: { small: Sample; large: Sample }[] = []
  for (let round = -1; round < rounds; round++) {
    const order = [() => time(small[what], count, lanes), () => time(large[what], count, lanes)] as const
    // Turns, forwards and backwards.
    if (round % 2 === 0) samples.push({ small: await order[0](), large: await order[1]() })
    else samples.push({ large: await order[1](), small: await order[0]() })
  }
  // The first round is warm-up.
  const measured = samples.slice(1)
  results.push({
    what,
    small: figure(measured.map((one) => one.small.milliseconds)),
    large: figure(measured.map((one) => one.large.milliseconds)),
    ratio: figure(measured.map((one) => one.large.milliseconds / one.small.milliseconds)),
    serverCpuRatio: figure(measured.map((one) => one.large.cpu / one.small.cpu)),
  })
}
await bench.stop()
console.table(
  results.map(({ what, ...figures }) => ({
    what,
    ...Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, shown(value)])),
  })),
)
await writeResults('growth', { rounds, repeats, callers, sizes, server: bench.server }, results)
process.exit()
