/** Cost of one command on an account with a short, a long and a very long history. */
import { createApp } from 'cqrs-es'
import { accountWith, deposit } from './bank.ts'
import { makeHistory } from './history.ts'
import { figure, shown, writeResults } from './report.ts'
import { openStore } from './stores.ts'

const rounds = 5
/** Several young accounts, so that the measured commands hardly age them. */
const ages = [
  { events: 10, accounts: 200, warmRepeats: 1 },
  { events: 1_000, accounts: 10, warmRepeats: 5 },
  { events: 100_000, accounts: 1, warmRepeats: 50 },
]
const every = 100
const idOf = (events: number, account: number) => `account-${events}-${account}`

const configurations = []
for (const storeName of ['memory', 'libsql'] as const)
  for (const snapshots of ['never', { every }] as const) {
    const opened = await openStore(storeName, 'normal')
    const aggregates = { account: accountWith(snapshots) }
    const writer = createApp({ store: opened.store, aggregates })
    for (const { events, accounts } of ages) for (let i = 0; i < accounts; i++) await makeHistory(writer, idOf(events, i), events)
    for (const cache of [true, false]) {
      const app = createApp({ store: opened.store, aggregates, cache: cache ? {} : false })
      configurations.push({ storeName, snapshots, cache, opened, bank: app.aggregates.account })
    }
  }

const samples = configurations.flatMap((configuration) => ages.map((age) => ({ ...configuration, ...age, ms: [] as number[] })))
for (let round = -1; round < rounds; round++)
  for (const { events, accounts, warmRepeats, cache, bank, ms } of samples) {
    const ids = Array.from({ length: accounts }, (_, i) => idOf(events, i))
    if (cache) for (const id of ids) await bank.load(id)
    const repeats = cache ? warmRepeats : 1
    const began = performance.now()
    for (let i = 0; i < repeats; i++) for (const id of ids) await bank.execute(id, deposit(1))
    if (round >= 0) ms.push((performance.now() - began) / (repeats * accounts))
  }
for (const { opened } of new Set(configurations.filter(({ cache }) => cache))) await opened.close()

const results = samples.map(({ storeName, snapshots, cache, events, ms }) => ({
  store: storeName === 'memory' ? 'memory' : 'sqlite',
  snapshots: snapshots === 'never' ? 'never' : `every ${every}`,
  cache,
  events,
  commandMs: figure(ms),
}))
console.table(
  results.map(({ store, snapshots, cache, events, commandMs }) => ({
    store,
    snapshots,
    cache: cache ? 'warm' : 'cold',
    events,
    'ms for one command': shown(commandMs),
  })),
)
await writeResults('age', { rounds, driver: 'libsql', durability: 'normal' }, results)
