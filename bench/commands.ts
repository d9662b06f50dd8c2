/**
 * Commands per second and latency: `DepositMoney` on 1,000 accounts by 1 to 512 concurrent callers,
 * for this package, its peers, and the same work by hand. Each round of a system is its own process
 * on an empty store, and the systems of a store take turns. The table names missing peers.
 */
import { selected } from '../test/servers/stores.ts'
import type { Program } from './commands/peers.ts'
import { type Played, play, type Run } from './commands/play.ts'
import { benches } from './commands/servers.ts'
import { type StoreName, type System, systems } from './commands/systems.ts'
import { figure, short, shown, writeResults } from './report.ts'

/** More rounds make the medians more stable: `ROUNDS=9 npm run bench -- commands`. */
const rounds = Number(process.env.ROUNDS ?? 3)
const seconds = 1
const accounts = 1_000
const hand = 'by hand: our append'

type Entry = ReturnType<typeof entriesOf>[number]

const results: (Entry | ReturnType<typeof missing>)[] = []
const settings: Record<string, string> = {}
for (const store of Object.keys(systems) as StoreName[]) {
  if (!selected.includes(store)) continue
  const bench = await benches[store]()
  if (bench.server !== undefined) settings[store] = bench.server
  const programs = new Map<System, Program>()
  for (const system of systems[store]) programs.set(system, await system.program())
  const played = new Map<System, Played[]>()
  const failed = new Map<System, string>()
  for (let round = 0; round < rounds; round++)
    for (const [system, program] of round % 2 === 0 ? programs : [...programs].reverse()) {
      if ('missing' in program || failed.has(system)) continue
      try {
        const url = await bench.fresh()
        played.set(system, [
          ...(played.get(system) ?? []),
          await play(program, { url, callers: system.callers, seconds, accounts }),
        ])
      } catch (error) {
        failed.set(system, `It failed: ${(error as Error).message}`)
      }
    }
  await bench.stop()
  for (const [system, program] of programs) {
    const why = 'missing' in program ? program.missing : failed.get(system)
    if (why !== undefined) results.push(missing(store, system, why))
    else results.push(...entriesOf(store, system, played.get(system) ?? []))
  }
}

const entries = results.filter((one): one is Entry => 'samples' in one)
const compared = entries.flatMap((other) => {
  const ours = entries.find((one) => one.system === 'cqrs-es' && one.store === other.store && one.callers === other.callers)
  return ours === undefined || other.system.split(',')[0] === 'cqrs-es'
    ? []
    : [{ ours, other, key: `${other.store}/${other.callers}/${other.system}` }]
})
const quotients = (of: (one: Entry) => readonly number[], median: (one: Entry) => number) =>
  compared.map(({ ours, other, key }) => ({
    key,
    ratio: median(ours) / median(other),
    // Round by round: neighbors in time share the slow moments.
    each: of(ours).map((value, round) => value / (of(other)[round] as number)),
  }))
const speed = quotients(
  (one) => one.samples.map((run) => run.commandsPerSecond),
  (one) => one.commandsPerSecond,
)
const p99 = quotients(
  (one) => one.samples.map((run) => run.p99Ms),
  (one) => one.p99Ms,
)
/** Time that the framework adds to its statements, relative to their own. */
const overheads = [
  { key: 'postgres/1', by: `postgres/1/${hand}` },
  { key: 'postgres/64', by: `postgres/64/${hand}, gathered` },
].flatMap(({ key, by }) => {
  const found = speed.find((one) => one.key === by)
  return found === undefined ? [] : [{ key, added: figure(found.each.map((ratio) => 1 / ratio - 1)) }]
})

console.table(
  results.map((result) =>
    'missing' in result
      ? { store: result.store, system: result.system, afterwards: `MISSING: ${result.missing}` }
      : {
          store: result.store,
          system: result.system,
          callers: result.callers,
          'commands/s': shown(result.spread.commandsPerSecond),
          'p50 ms': shown(result.spread.p50Ms),
          'p99 ms': shown(result.spread.p99Ms),
          'calls/command': result.callsPerCommand === undefined ? '' : short(result.callsPerCommand),
          'CPU µs, client': result.cpuMicroseconds === undefined ? '' : Math.round(result.cpuMicroseconds.client),
          'CPU µs, server': result.cpuMicroseconds === undefined ? '' : Math.round(result.cpuMicroseconds.server),
          afterwards: result.faults.length === 0 ? 'correct' : result.faults.join(' '),
        },
  ),
)
console.log('This package against the others, in commands per second (more is better) and in p99 (less is better):')
console.table(
  speed.map(({ key, ratio, each }, i) => ({
    against: key,
    'commands/s': `${shown({ ...figure(each), median: ratio })} x`,
    p99: `${short(p99[i]?.ratio ?? Number.NaN)} x`,
  })),
)
const percent = (part: number) => `${Math.round(part * 100)} %`
for (const { key, added } of overheads)
  console.log(
    `What the framework adds to its own statements sent by hand, ${key}: ${percent(added.median)} (${percent(added.min)} to ${percent(added.max)}, round by round).`,
  )

await writeResults(
  'commands',
  { rounds, seconds, accounts, servers: settings, durability: "each server's default" },
  results.map((result) => {
    if ('missing' in result) return result
    const { samples: _, ...rest } = result
    return rest
  }),
  {
    ratios: Object.fromEntries(speed.map(({ key, ratio }) => [key, ratio])),
    ratiosOfP99: Object.fromEntries(p99.map(({ key, ratio }) => [key, ratio])),
    spreadOfRatios: Object.fromEntries(speed.map(({ key, each }) => [key, figure(each)])),
    overhead: Object.fromEntries(overheads.map(({ key, added }) => [key, added.median])),
    spreadOfOverhead: Object.fromEntries(overheads.map(({ key, added }) => [key, added])),
  },
)
process.exit()

function missing(store: StoreName, { name }: System, why: string) {
  return { system: name, store, missing: why }
}

function entriesOf(store: StoreName, { name, callers, facts }: System, played: readonly Played[]) {
  return [...callers]
    .sort((one, other) => one - other)
    .map((count) => {
      const samples = played.flatMap(({ runs }) => runs.filter((one) => one.callers === count))
      const median = (of: (run: Run) => number | undefined) => {
        const values = samples.map(of).filter((value) => value !== undefined)
        return values.length === 0 ? undefined : figure(values).median
      }
      const spread = {
        commandsPerSecond: figure(samples.map((run) => run.commandsPerSecond)),
        p50Ms: figure(samples.map((run) => run.p50Ms)),
        p99Ms: figure(samples.map((run) => run.p99Ms)),
      }
      const [callsPerCommand, conflicts] = [median((run) => run.callsPerCommand), median((run) => run.conflicts)]
      const client = median((run) => run.cpu && (run.cpu.client / run.commands) * 1e6)
      const server = median((run) => run.cpu && (run.cpu.server / run.commands) * 1e6)
      return {
        system: name,
        store,
        ...facts,
        callers: count,
        commandsPerSecond: spread.commandsPerSecond.median,
        p50Ms: spread.p50Ms.median,
        p99Ms: spread.p99Ms.median,
        ...(conflicts === undefined ? {} : { conflicts }),
        ...(callsPerCommand === undefined ? {} : { callsPerCommand }),
        ...(client === undefined || server === undefined ? {} : { cpuMicroseconds: { client, server } }),
        spread,
        faults: played.flatMap(({ faults }) => faults),
        samples,
      }
    })
}
