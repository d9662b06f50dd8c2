/**
 * Compares the speed of this working tree with another commit: `npm run bench -- regression
 * [commit]`. The default is `origin/main`, or the previous commit if there is none. The other
 * commit is built next to this tree and measured by the programs of this tree (`commands/ours.ts`,
 * `commands/read.ts`). Both take turns in one run, the other one twice, so that its two halves show
 * the noise. It reports and never fails.
 */
import { join } from 'node:path'
import { root } from '../test/run.ts'
import { selected } from '../test/servers/stores.ts'
import { withBase } from './base.ts'
import { type Played, play } from './commands/play.ts'
import type { ReadLine } from './commands/read.ts'
import { readLog } from './commands/read-log.ts'
import { benches } from './commands/servers.ts'
import { figure, shown, writeResults } from './report.ts'

const rounds = Number(process.env.ROUNDS ?? 5)
const load = { callers: [64, 1], seconds: Number(process.env.SECONDS ?? 1), accounts: 1_000 }
/** In the log of the read side. */
const events = Number(process.env.BENCH_EVENTS ?? 100_000)
const stores = { memory: 'memory,,warm', sqlite: 'libsql,full,warm', postgres: 'postgres,,warm' } as const

try {
  await withBase(process.argv[2], measure)
} catch (error) {
  console.log(`There is nothing to compare with: ${(error as Error).message}`)
}
process.exit(0)

async function measure(folder: string, commit: string): Promise<void> {
  const results = []
  for (const store of Object.keys(stores) as (keyof typeof stores)[]) {
    if (!selected.includes(store)) continue
    const bench = await benches[store]()
    const trees = { base: folder, tree: root, again: folder }
    const played = { base: [] as Played[], tree: [] as Played[], again: [] as Played[] }
    await inTurns(async (name) => {
      const args = ['--import', 'tsx', join(trees[name], 'bench/commands/ours.ts'), '--system', stores[store]]
      const env = { TSX_TSCONFIG_PATH: join(trees[name], 'bench/tsconfig.json') }
      played[name].push(await play({ file: process.execPath, args, env }, { ...load, url: await bench.fresh() }))
    })
    await bench.stop()
    for (const callers of load.callers) {
      const speeds = (all: readonly Played[]) =>
        all.map(({ runs }) => runs.find((one) => one.callers === callers)?.commandsPerSecond ?? Number.NaN)
      results.push({
        store,
        callers,
        ...compared(speeds(played.base), speeds(played.tree), speeds(played.again)),
        faults: played.tree.flatMap(({ faults }) => faults),
      })
    }
  }
  console.table(
    results.map(({ store, callers, base, tree, ratio, noise, faults }) => ({
      store,
      callers,
      'commands/s before': shown(base),
      'commands/s now': shown(tree),
      'now / before': shown(ratio),
      'noise (before / before)': shown(noise),
      afterwards: faults.length === 0 ? 'correct' : faults.join(' '),
    })),
  )
  const reads = selected.includes('postgres') ? await measureReads(folder) : []
  console.table(
    reads.map(({ read, base, tree, ratio, noise }) => ({
      read,
      'events/s before': shown(base),
      'events/s now': shown(tree),
      'now / before': shown(ratio),
      'noise (before / before)': shown(noise),
    })),
  )
  console.log('A ratio inside the range of the noise says nothing.')
  await writeResults('regression', { rounds, ...load, events, commit }, results, { reads })
}

/** The read side, on a log of Postgres. */
async function measureReads(folder: string) {
  const bench = await benches.postgres()
  const played = { base: [] as ReadLine[], tree: [] as ReadLine[], again: [] as ReadLine[] }
  await inTurns(async (name) => {
    played[name].push(await readLog(await bench.fresh(), events, name === 'tree' ? root : folder))
  })
  await bench.stop()
  return (['subscription', 'pages', 'rebuild'] as const).map((read) => ({
    read,
    ...compared(
      played.base.map((one) => one[read]),
      played.tree.map((one) => one[read]),
      played.again.map((one) => one[read]),
    ),
  }))
}

async function inTurns(does: (name: 'base' | 'tree' | 'again') => Promise<void>): Promise<void> {
  const names = ['base', 'tree', 'again'] as const
  for (let round = 0; round < rounds; round++) for (const name of round % 2 === 0 ? names : [...names].reverse()) await does(name)
}

/** Round by round. The two halves of the base show the noise. */
function compared(base: readonly number[], tree: readonly number[], again: readonly number[]) {
  const at = (values: readonly number[], round: number) => values[round] ?? Number.NaN
  return {
    base: figure([...base, ...again]),
    tree: figure(tree),
    ratio: figure(tree.map((value, round) => (2 * value) / (at(base, round) + at(again, round)))),
    noise: figure(base.map((value, round) => at(again, round) / value)),
  }
}
