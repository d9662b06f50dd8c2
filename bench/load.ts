/** Time to load an account from its events, without snapshot and cache. */
import { createApp } from 'cqrs-es'
import { account } from './bank.ts'
import { makeHistory } from './history.ts'
import { figure, shown, writeResults } from './report.ts'
import { openStore } from './stores.ts'

const rounds = 15
const lengths = [100, 10_000]
/** Loads per round. */
const repeats = (events: number) => Math.max(2, Math.round(10_000 / events))

const samples = []
for (const storeName of ['memory', 'libsql'] as const) {
  const opened = await openStore(storeName, 'normal')
  const app = createApp({ store: opened.store, aggregates: { account }, cache: false })
  for (const events of lengths) {
    await makeHistory(app, `account-${events}`, events)
    samples.push({ storeName, events, opened, bank: app.aggregates.account, ms: [] as number[] })
  }
}

for (let round = -2; round < rounds; round++)
  for (const { events, bank, ms } of samples) {
    const began = performance.now()
    for (let i = 0; i < repeats(events); i++) await bank.load(`account-${events}`)
    if (round >= 0) ms.push((performance.now() - began) / repeats(events))
  }
for (const opened of new Set(samples.map((sample) => sample.opened))) await opened.close()

const results = samples.map(({ storeName, events, ms }) => ({
  store: storeName === 'memory' ? 'memory' : 'sqlite',
  events,
  loadMs: figure(ms),
  eventsPerSecond: events / (figure(ms).median / 1_000),
}))
console.table(
  results.map(({ store, events, loadMs, eventsPerSecond }) => ({
    store,
    events,
    'ms to load': shown(loadMs),
    'events/s': Math.round(eventsPerSecond).toLocaleString('en-US'),
  })),
)
await writeResults('load', { rounds, driver: 'libsql' }, results)
