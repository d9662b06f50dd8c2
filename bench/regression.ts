/**
 * Compares the speed of this working tree with another commit: `npm run bench -- regression
 * [commit]`. The default is `origin/main`, or the previous commit if there is none. The other
 * commit is built next to this tree and measured by the program of this tree (`commands/ours.ts`).
 * Both take turns in one run, the other one twice, so that its two halves show the noise. It
 * reports and never fails.
 */
import { join } from 'node:path'
import { root } from '../test/run.ts'
import { selected } from '../test/servers/stores.ts'
import { withBase } from './base.ts'
import { type Played, play } from './commands/play.ts'
import { benches } from './commands/servers.ts'
import { figure, shown, writeResults } from './report.ts'

const rounds = 5
const load = { callers: [64, 1], seconds: 1, accounts: 1_000 }
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
    const names = ['base', 'tree', 'again'] as const
    for (let round = 0; round < rounds; round++)
      for (const name of round % 2 === 0 ? names : [...names].reverse()) {
        const args = ['--import', 'tsx', join(trees[name], 'bench/commands/ours.ts'), '--system', stores[store]]
        const env = { TSX_TSCONFIG_PATH: join(trees[name], 'bench/tsconfig.json') }
        played[name].push(await play({ file: process.execPath, args, env }, { ...load, url: await bench.fresh() }))
      }
    await bench.stop()
    for (const callers of load.callers) {
      const speeds = (all: readonly Played[]) =>
        all.map(({ runs }) => runs.find((one) => one.callers === callers)?.commandsPerSecond ?? Number.NaN)
      const [base, tree, again] = [speeds(played.base), speeds(played.tree), speeds(played.again)]
      const against = (others: readonly number[]) => figure(base.map((value, round) => (others[round] ?? Number.NaN) / value))
      results.push({
        store,
        callers,
        base: figure([...base, ...again]),
        tree: figure(tree),
        ratio: figure(tree.map((value, round) => (2 * value) / ((base[round] ?? Number.NaN) + (again[round] ?? Number.NaN)))),
        noise: against(again),
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
  console.log('A ratio inside the range of the noise says nothing.')
  await writeResults('regression', { rounds, ...load, commit }, results)
}
