/**
 * Compares the speed of this working tree with another commit: `npm run bench -- regression
 * [commit]`. The default is `origin/main`, or the previous commit if there is none. The other
 * commit is built next to this tree and measured by the program of this tree (`commands/ours.ts`).
 * Both take turns in one run, the other one twice, so that its two halves show the noise. It
 * reports and never fails.
 */
import { cp, mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { root, run } from '../test/run.ts'
import { selected } from '../test/servers/stores.ts'
import { type Played, play } from './commands/play.ts'
import { benches } from './commands/servers.ts'
import { figure, shown, writeResults } from './report.ts'
import { makeFolder } from './stores.ts'

const rounds = 5
const load = { callers: [64, 1], seconds: 1, accounts: 1_000 }
const stores = { memory: 'memory,,warm', sqlite: 'libsql,full,warm', postgres: 'postgres,,warm' } as const

try {
  await compare()
} catch (error) {
  console.log(`There is nothing to compare with: ${(error as Error).message}`)
}
process.exit(0)

async function compare(): Promise<void> {
  const commit = await baseCommit()
  const folder = join(await makeFolder(), 'base')
  try {
    console.log(`Building ${await git('log', '-1', '--format=%h %s', commit)}, to compare this tree with it.`)
    await buildBase(commit, folder)
    await measure(commit, folder)
  } finally {
    await run('git', ['worktree', 'remove', '--force', folder])
    await rm(join(folder, '..'), { recursive: true, force: true })
  }
}

async function measure(commit: string, folder: string): Promise<void> {
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

/** A separate checkout, with the dependencies and the measuring program of this tree. */
async function buildBase(commit: string, folder: string): Promise<void> {
  await git('worktree', 'add', '--detach', folder, commit)
  await symlink(`${root}node_modules`, join(folder, 'node_modules'), 'junction')
  await rm(join(folder, 'bench'), { recursive: true, force: true })
  await mkdir(join(folder, 'test'), { recursive: true })
  const filter = (path: string) => !/bench.(peers|results)/.test(path.slice(root.length - 1))
  await cp(`${root}bench`, join(folder, 'bench'), { recursive: true, filter })
  await cp(`${root}test/run.ts`, join(folder, 'test/run.ts'))
  const { code, output } = await run(process.execPath, ['--import', 'tsx', 'scripts/build.ts'], { cwd: folder })
  if (code !== 0) throw new Error(`${commit} could not be built.\n${output}`)
}

async function baseCommit(): Promise<string> {
  const asked = process.argv[2]
  for (const ref of asked === undefined ? ['origin/main', 'HEAD~1'] : [asked]) {
    const { code, output } = await run('git', ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`])
    if (code === 0) return output.trim()
  }
  throw new Error(`there is no commit ${asked ?? 'before this one'}.`)
}

async function git(...args: string[]): Promise<string> {
  const { code, output } = await run('git', args)
  if (code !== 0) throw new Error(output.trim())
  return output.trim()
}
