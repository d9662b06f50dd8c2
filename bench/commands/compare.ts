import { figure } from '../report.ts'
import type { EventSize } from './event.ts'
import { type Network, startNetwork } from './network.ts'
import { type Played, play, type Run } from './play.ts'
import { benches } from './servers.ts'
import type { StoreName, System } from './systems.ts'

/** A system in one surrounding. */
export interface Case {
  readonly system: System
  /** Milliseconds of the round trip that a network adds. Default 0: no network. */
  readonly network?: number
  readonly event?: EventSize
  /** Default: those of the system. */
  readonly callers?: readonly number[]
}

export interface Settings {
  readonly rounds: number
  readonly seconds: number
  readonly accounts: number
}

export type Entry = ReturnType<typeof entriesOf>[number]
export type Missing = ReturnType<typeof missing>

export interface Comparison {
  readonly server?: string
  /** Milliseconds of `SELECT 1` in each network. */
  readonly networks: Readonly<Record<string, Network['measured']>>
  readonly results: readonly (Entry | Missing)[]
}

/**
 * Plays all cases of a store on one server. They take turns, forwards and backwards, each round in
 * its own process on an empty database. A missing system is a result of its own.
 */
export async function compare(store: StoreName, cases: readonly Case[], { rounds, ...load }: Settings): Promise<Comparison> {
  const bench = await benches[store]()
  const networks = new Map<number, Network | { readonly missing: string }>()
  for (const { network = 0 } of cases)
    if (network > 0 && !networks.has(network)) networks.set(network, await startNetwork(bench.url ?? '', network))
  const open = await Promise.all(
    cases.map(async (one) => {
      const [program, network] = [await one.system.program(), networks.get(one.network ?? 0)]
      const why = 'missing' in program ? program.missing : network && 'missing' in network ? network.missing : undefined
      return { one, program, network, why, played: [] as Played[] }
    }),
  )
  for (let round = 0; round < rounds; round++)
    for (const turn of round % 2 === 0 ? open : [...open].reverse()) {
      const { program, network, one } = turn
      const { system, callers = system.callers, event = 'small' } = one
      if (turn.why !== undefined || 'missing' in program) continue
      try {
        const url = await bench.fresh()
        const address = network && 'through' in network ? network.through(url) : url
        turn.played.push(await play(program, { ...load, url: address, callers, event }))
      } catch (error) {
        turn.why = `It failed: ${(error as Error).message}`
      }
    }
  const measured = [...networks].flatMap(([ms, network]) => ('measured' in network ? [[`${ms} ms`, network.measured]] : []))
  for (const network of networks.values()) if ('stop' in network) await network.stop()
  await bench.stop()
  return {
    ...(bench.server === undefined ? {} : { server: bench.server }),
    networks: Object.fromEntries(measured),
    results: open.flatMap<Entry | Missing>(({ one, why, played }) =>
      why === undefined ? entriesOf(store, one, played) : [missing(store, one, why)],
    ),
  }
}

const surroundings = ({ network = 0, event = 'small' }: Case) => ({ roundTripMs: network, event })

function missing(store: StoreName, one: Case, why: string) {
  return { system: one.system.name, store, ...surroundings(one), missing: why }
}

function entriesOf(store: StoreName, one: Case, played: readonly Played[]) {
  const { system, callers = system.callers } = one
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
      const cpu = (of: 'client' | 'server' | 'proxy') => median((run) => run.cpu && (run.cpu[of] / run.commands) * 1e6)
      const [client, server, proxy] = [cpu('client'), cpu('server'), cpu('proxy')]
      return {
        system: system.name,
        store,
        ...surroundings(one),
        ...system.facts,
        callers: count,
        commandsPerSecond: spread.commandsPerSecond.median,
        p50Ms: spread.p50Ms.median,
        p99Ms: spread.p99Ms.median,
        ...(conflicts === undefined ? {} : { conflicts }),
        ...(callsPerCommand === undefined ? {} : { callsPerCommand }),
        ...(client === undefined ? {} : { cpuMicroseconds: { client, server, proxy } }),
        spread,
        faults: played.flatMap(({ faults }) => faults),
        samples,
      }
    })
}
