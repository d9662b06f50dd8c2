/**
 * Cost of a warm command to the client: CPU time and bytes allocated, on stores that answer within
 * the process. `npm run bench -- client [commit]` also measures another commit: both take turns,
 * each time in a new process, and the ratio is the median of those of the rounds.
 */
import { join } from 'node:path'
import { root, run } from '../test/run.ts'
import { withBase } from './base.ts'
import type { QuickStore, quickStores } from './client/quick-stores.ts'
import type { Cost } from './client/warm.ts'
import { figure, shown, writeResults } from './report.ts'

const callers = 64
const stores: readonly QuickStore[] = ['instant', 'fake Postgres client', 'memory'] satisfies (keyof typeof quickStores)[]
const asked = process.argv[2]
const rounds = Number(process.env.ROUNDS ?? (asked === undefined ? 5 : 9))

if (asked === undefined) await measure()
else await withBase(asked, measure)
process.exit()

async function measure(base?: string, commit?: string): Promise<void> {
  const results = []
  for (const store of stores) {
    const costs: { now: Cost[]; before: Cost[] } = { now: [], before: [] }
    for (let round = 0; round < rounds; round++) {
      const turns = [['now', root] as const, ...(base === undefined ? [] : [['before', base] as const])]
      for (const [when, folder] of round % 2 === 0 ? turns : turns.reverse()) costs[when].push(await costOf(folder, store))
    }
    results.push({ store, ...summaryOf(costs, 'cpuMicroseconds'), ...summaryOf(costs, 'bytes') })
  }
  console.table(
    results.map((result) =>
      Object.fromEntries(Object.entries(result).map(([key, value]) => [key, typeof value === 'string' ? value : shown(value)])),
    ),
  )
  await writeResults('client', { rounds, callers, ...(commit && { commit }) }, results)
}

function summaryOf({ now, before }: { now: readonly Cost[]; before: readonly Cost[] }, of: keyof Cost) {
  const own = { [of]: figure(now.map((cost) => cost[of])) }
  if (before.length === 0) return own
  const ratios = now.map((cost, round) => cost[of] / (before[round]?.[of] ?? Number.NaN))
  return { ...own, [`${of} before`]: figure(before.map((cost) => cost[of])), [`${of}, now / before`]: figure(ratios) }
}

/** Measures the built package of a tree. */
async function costOf(folder: string, store: QuickStore): Promise<Cost> {
  const program = ['--import', 'tsx', join(folder, 'bench/client/warm.ts'), '--store', store, '--callers', String(callers)]
  const env = { TSX_TSCONFIG_PATH: join(folder, 'bench/tsconfig.json') }
  const { code, output } = await run(process.execPath, program, { cwd: folder, env })
  if (code !== 0) throw new Error(output)
  return JSON.parse(output.slice(output.indexOf('{')))
}
