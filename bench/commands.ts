/**
 * Commands per second and latency: `DepositMoney` on 1,000 accounts by 1 to 512 concurrent callers,
 * for this package, its peers, and the same work by hand. Each round of a system is its own process
 * on an empty store, and the systems of a store take turns. The table names missing peers.
 */
import { selected } from '../test/servers/stores.ts'
import { type Comparison, compare, type Entry } from './commands/compare.ts'
import { print, ratiosOf, stored, storedRatios } from './commands/ratios.ts'
import { type StoreName, systems } from './commands/systems.ts'
import { figure, writeResults } from './report.ts'

/** More rounds make the medians more stable: `ROUNDS=9 npm run bench -- commands`. */
const settings = { rounds: Number(process.env.ROUNDS ?? 3), seconds: Number(process.env.SECONDS ?? 1), accounts: 1_000 }
const hand = 'by hand: our append'

const compared = new Map<StoreName, Comparison>()
for (const store of Object.keys(systems) as StoreName[])
  if (selected.includes(store))
    compared.set(
      store,
      await compare(
        store,
        systems[store].map((system) => ({ system })),
        settings,
      ),
    )

const results = [...compared.values()].flatMap((one) => one.results)
const ratios = ratiosOf(results.filter((one): one is Entry => 'samples' in one))
/** Time that the framework adds to its statements, relative to their own. */
const overheads = [
  { key: 'postgres/1', by: `postgres/1/${hand}` },
  { key: 'postgres/64', by: `postgres/64/${hand}, gathered` },
].flatMap(({ key, by }) => {
  const found = ratios.find((one) => one.key === by)
  return found === undefined ? [] : [{ key, added: figure(found.each.map((ratio) => 1 / ratio - 1)) }]
})

print(results, ratios)
const percent = (part: number) => `${Math.round(part * 100)} %`
for (const { key, added } of overheads)
  console.log(
    `What the framework adds to its own statements sent by hand, ${key}: ${percent(added.median)} (${percent(added.min)} to ${percent(added.max)}, round by round).`,
  )

const servers = Object.fromEntries(
  [...compared].flatMap(([store, { server }]) => (server === undefined ? [] : [[store, server]])),
)
await writeResults('commands', { ...settings, servers, durability: "each server's default" }, stored(results), {
  ...storedRatios(ratios),
  overhead: Object.fromEntries(overheads.map(({ key, added }) => [key, added.median])),
  spreadOfOverhead: Object.fromEntries(overheads.map(({ key, added }) => [key, added])),
})
process.exit()
