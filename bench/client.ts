/**
 * Cost of a warm command to the client: CPU time and bytes allocated, on stores that answer within
 * the process. `npm run bench -- client <commit>` also measures another commit: in one process both
 * take turns, and the ratio is the median of those of all turns.
 */
import { join } from 'node:path'
import { root, run } from '../test/run.ts'
import { withBase } from './base.ts'
import type { Costs } from './client/measure.ts'
import { type QuickStore, quickStores } from './client/quick-stores.ts'
import { figure, shown, writeResults } from './report.ts'

const callers = Number(process.env.CALLERS ?? 64)
/** Each in its own process, since the compiler does not decide the same every time. */
const rounds = Number(process.env.ROUNDS ?? 5)

const cpuOf = ({ cpuMicroseconds }: Costs) => cpuMicroseconds
const bytesOf = ({ bytes }: Costs) => [bytes]

const commit = process.argv[2]
if (commit === undefined) await measure([root])
else await withBase(commit, (folder) => measure([root, folder]))
process.exit()

async function measure(trees: readonly string[]): Promise<void> {
  const results = []
  for (const store of Object.keys(quickStores) as QuickStore[]) {
    const all: Costs[][] = []
    for (let round = 0; round < rounds; round++) all.push(await costsOf(store, round % 2 === 0 ? trees : [...trees].reverse()))
    const [now, before] = trees.map((_, tree) => all.map((costs, round) => costs.at(round % 2 === 0 ? tree : -1 - tree) as Costs))
    results.push({ store, ...summaryOf('CPU µs', cpuOf, now, before), ...summaryOf('bytes', bytesOf, now, before) })
  }
  console.table(
    results.map((result) =>
      Object.fromEntries(Object.entries(result).map(([key, value]) => [key, typeof value === 'string' ? value : shown(value)])),
    ),
  )
  await writeResults('client', { rounds, callers, ...(commit && { commit }) }, results)
}

function summaryOf(name: string, of: (costs: Costs) => readonly number[], now: readonly Costs[] = [], before?: readonly Costs[]) {
  const [own, other] = [now.flatMap(of), before?.flatMap(of)]
  if (other === undefined) return { [name]: figure(own) }
  const ratios = figure(own.map((value, turn) => value / (other[turn] ?? Number.NaN)))
  return { [name]: figure(own), [`${name} before`]: figure(other), [`${name}, now / before`]: ratios }
}

/** Measures the built packages of these trees, in this order. */
async function costsOf(store: QuickStore, trees: readonly string[]): Promise<Costs[]> {
  const program = join(root, 'bench/client/measure.ts')
  const args = ['--import', 'tsx', program, '--store', store, '--callers', String(callers), '--trees', trees.join()]
  const { code, output } = await run(process.execPath, args)
  if (code !== 0) throw new Error(output)
  return JSON.parse(output.slice(output.indexOf('[{')))
}
