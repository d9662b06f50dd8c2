/**
 * How many commands per second, and how long one takes: `DepositMoney` on 1,000 accounts by 1 to 512 callers at once. Every round is a process
 * of its own with an empty store, and the configurations take turns. The number of commands is fixed, so that accounts are as old in each round.
 */
import { root, run } from '../test/run.ts'
import { binary } from '../test/runtimes/binaries.ts'
import type { Round, RoundResult } from './commands-round.ts'
import { figure, shown, writeResults } from './report.ts'
import type { Durability, SqliteDriver } from './stores.ts'

const rounds = 3
const accounts = 1_000
const callers = [1, 8, 64, 512]

interface Configuration {
  readonly runtime: 'Node' | 'Node 24' | 'Bun'
  readonly round: Round
}

const shared = { accounts, callers }
const onSqlite = (driver: SqliteDriver, durability: Durability, cache: boolean): Round => ({
  ...shared,
  commandsEach: 2_000,
  store: driver,
  durability,
  cache,
})

const configurations: readonly Configuration[] = [
  { runtime: 'Node', round: { ...shared, commandsEach: 20_000, store: 'memory', cache: true } },
  { runtime: 'Node', round: { ...shared, commandsEach: 2_000, store: 'memory', cache: false } },
  ...(['full', 'normal'] as const).flatMap((durability): Configuration[] => [
    { runtime: 'Node', round: onSqlite('libsql', durability, true) },
    { runtime: 'Node', round: onSqlite('libsql', durability, false) },
    { runtime: 'Node 24', round: onSqlite('node:sqlite', durability, true) },
    { runtime: 'Bun', round: onSqlite('bun:sqlite', durability, true) },
  ]),
]

const answers = new Map<Configuration, RoundResult[]>(configurations.map((configuration) => [configuration, []]))
for (let round = 0; round < rounds; round++)
  for (const [configuration, results] of answers) results.push(await play(configuration))

const results = [...answers].flatMap(([{ runtime, round }, played]) =>
  callers.map((count) => {
    const runs = played.map((result) => result.runs.find((one) => one.callers === count)).filter((one) => one !== undefined)
    return {
      system: 'cqrs-es',
      store: round.store === 'memory' ? 'memory' : 'sqlite',
      ...(round.store === 'memory' ? {} : { driver: round.store, durability: round.durability }),
      runtime: runtime === 'Node' ? `Node ${process.versions.node}` : runtime,
      cache: round.cache,
      callers: count,
      commands: round.commandsEach,
      commandsPerSecond: figure(runs.map((one) => one.commandsPerSecond)),
      p50Ms: figure(runs.map((one) => one.p50Ms)),
      p99Ms: figure(runs.map((one) => one.p99Ms)),
      faults: played.flatMap((result) => result.faults),
    }
  }),
)

console.table(
  results.map(({ store, driver, durability, cache, callers, commandsPerSecond, p50Ms, p99Ms, faults }) => ({
    store: driver ?? store,
    durability: durability ?? '',
    cache: cache ? 'warm' : 'cold',
    callers,
    'commands/s': shown(commandsPerSecond),
    'p50 ms': shown(p50Ms),
    'p99 ms': shown(p99Ms),
    afterwards: faults.length === 0 ? 'correct' : faults.join(' '),
  })),
)
await writeResults(
  'commands',
  { rounds, accounts },
  results.map((result) => ({
    ...result,
    commandsPerSecond: result.commandsPerSecond.median,
    p50Ms: result.p50Ms.median,
    p99Ms: result.p99Ms.median,
    spread: { commandsPerSecond: result.commandsPerSecond, p50Ms: result.p50Ms, p99Ms: result.p99Ms },
  })),
)

async function play({ runtime, round }: Configuration): Promise<RoundResult> {
  const program = runtime === 'Node' ? process.execPath : binary(runtime)
  const loader = runtime === 'Bun' ? [] : ['--no-warnings', '--import', 'tsx']
  const { code, output } = await run(program, [...loader, `${root}bench/commands-round.ts`, JSON.stringify(round)])
  if (code !== 0) throw new Error(output)
  return JSON.parse(output) as RoundResult
}
