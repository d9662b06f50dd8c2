/**
 * Commands on Postgres with a network between the systems and the server: no round trip, 1 ms and
 * 5 ms, by 64 callers and by one. Then a large event of 18 fields, without a network. A proxy is
 * the network (`peers/rust/src/bin/proxy.rs`). All systems reach the server through it, by its
 * address.
 */
import { compare, type Entry } from './commands/compare.ts'
import { print, ratiosOf, stored, storedRatios } from './commands/ratios.ts'
import { systems } from './commands/systems.ts'
import { writeResults } from './report.ts'

/** Fewer accounts than in `commands`: each is opened over the network first. */
const settings = { rounds: Number(process.env.ROUNDS ?? 3), seconds: Number(process.env.SECONDS ?? 1), accounts: 256 }
const roundTrips = [0, 1, 5]

const { server, networks, results } = await compare(
  'postgres',
  [
    ...roundTrips.flatMap((network) =>
      systems.postgres.map((system) => ({ system, network, callers: system.callers.includes(1) ? [64, 1] : [64] })),
    ),
    ...systems.postgres.map((system) => ({ system, event: 'large' as const, callers: [64] })),
  ],
  settings,
)
const ratios = ratiosOf(results.filter((one): one is Entry => 'samples' in one))
print(results, ratios)
console.log('Milliseconds of SELECT 1, directly and through the proxy:')
console.table(networks)
await writeResults('network', { ...settings, server, networks }, stored(results), storedRatios(ratios))
process.exit()
