/**
 * Measures everything that has a goal, in about ten minutes, and writes it into
 * docs/reference/benchmarks.md with a chart: `npm run bench -- goals`. The rows of 10 million events
 * come from the last `npm run bench -- growth`. `npm run bench -- goals --page` writes the page from
 * the last measurement.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { root, run } from '../test/run.ts'
import { binary } from '../test/runtimes/binaries.ts'
import { type Case, compare, type Settings } from './commands/compare.ts'
import { print, ratiosOf, stored, storedRatios } from './commands/ratios.ts'
import { readLog } from './commands/read-log.ts'
import { benches } from './commands/servers.ts'
import { type StoreName, type System, systems } from './commands/systems.ts'
import { chartOf } from './goals/chart.ts'
import { goalRows } from './goals/goals.ts'
import type { Measured } from './goals/measured.ts'
import { pageSection, replaceSection } from './goals/page.ts'
import { figure, writeResults } from './report.ts'

const settings: Settings = { rounds: Number(process.env.ROUNDS ?? 3), seconds: Number(process.env.SECONDS ?? 1), accounts: 256 }
const events = Number(process.env.BENCH_EVENTS ?? 1_000_000)
const results = `${root}bench/results`
const page = `${root}docs/reference/benchmarks.md`

if (!process.argv.includes('--page')) await measure()
const measured = await resultsOf<Measured>('goals')
const growth = await resultsOf<Measured['growth']>('growth').catch(() => undefined)
const all: Measured = growth === undefined ? measured : { ...measured, growth }
const rows = goalRows(all)
console.table(rows.map(({ what, goal, text, isMet }) => ({ what, goal, measured: text, met: isMet ?? '' })))
await writeFile(`${root}docs/reference/benchmarks.svg`, chartOf(all.results))
await writeFile(page, replaceSection(await readFile(page, 'utf8'), pageSection(all, rows)))
process.exit()

async function measure(): Promise<void> {
  const began = performance.now()
  const postgres = await compare('postgres', postgresCases(), settings)
  const others = []
  for (const [store, names] of [
    ['memory', ['cqrs-es', 'emmett']],
    ['mysql', ['cqrs-es', 'by hand: a transaction']],
    ['dynamodb', ['cqrs-es']],
  ] as const)
    others.push(await compare(store, of(store, names), settings))
  const compared = [postgres, ...others]
  const entries = compared.flatMap((one) => one.results)
  const ratios = ratiosOf(entries.flatMap((one) => ('samples' in one ? [one] : [])))
  print(entries, ratios)

  const client = await question('client', 'bench/client.ts')
  const append = await question('append', 'bench/append.ts')
  const http = [await question('http', 'bench/http.ts'), await question('http', 'bench/http.ts', binary('Node 24'))]
  const bench = await benches.postgres()
  const log = await readLog(await bench.fresh(), events)
  await bench.stop()
  const minutes = (performance.now() - began) / 60_000
  const more = { ...storedRatios(ratios), client, append, http, log, importMs: await importTime() }
  const servers = compared.flatMap((one) => one.server ?? [])
  await writeResults('goals', { ...settings, events, servers, networks: postgres.networks, minutes }, stored(entries), more)
  console.log(`Measured in ${minutes.toFixed(1)} minutes.`)
}

function postgresCases(): readonly Case[] {
  const named = (names: readonly string[], one: Omit<Case, 'system'>) => of('postgres', names, one)
  const main = ['cqrs-es', 'cqrs-es (Rust)', 'emmett']
  const cold = ['cqrs-es, no cache', 'cqrs-es, crowded cache']
  const peers = ['castore', 'message-db', 'pyeventsourcing']
  return [
    ...named(['cqrs-es', 'cqrs-es, no cache'], { callers: [64, 1] }),
    ...named([...main.slice(1), 'cqrs-es, crowded cache', ...peers, 'by hand: our append, gathered'], {}),
    ...[1, 5].flatMap((network) => named([...main, ...cold.slice(0, 1), 'message-db'], { network })),
    ...named(main, { event: 'large' }),
  ]
}

function of(store: StoreName, names: readonly string[], one: Omit<Case, 'system'> = {}): readonly Case[] {
  const found = names.flatMap((name) => systems[store].find((system) => system.name === name) ?? ([] as System[]))
  return found.map((system) => ({ callers: [64], ...one, system }))
}

/** Runs another question with fewer rounds. A failed one has no results, and the page says so. */
async function question(name: string, file: string, node = process.execPath): Promise<unknown> {
  console.log(`\n## ${name}\n`)
  await rm(`${results}/${name}.json`, { force: true })
  const env = { ROUNDS: process.env.ROUNDS ?? '5' }
  const { output } = await run(node, ['--import', 'tsx', file], { env, timeout: 600_000 })
  console.log(output)
  return resultsOf(name).catch(() => ({ settings: { node: 'none' }, results: [] }))
}

async function resultsOf<T = unknown>(name: string): Promise<T> {
  return JSON.parse(await readFile(`${results}/${name}.json`, 'utf8'))
}

/** Milliseconds to import the core and the Postgres store, in a new process. */
async function importTime() {
  const program = `
    await import('data:text/javascript,')
    const start = performance.now()
    await import('cqrs-es')
    await import('cqrs-es/postgres')
    console.log(performance.now() - start)`
  const taken: number[] = []
  for (let i = 0; i < 15; i++) {
    const { code, output } = await run(process.execPath, ['--input-type=module', '--eval', program])
    if (code !== 0) throw new Error(output)
    taken.push(Number(output))
  }
  return figure(taken)
}
