import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { expect, it } from 'vitest'
import { patienceMs } from '../strength.ts'

const counter = defineAggregate({
  type: 'counter',
  events: { Added: typed<{ n: number }>() },
  commands: { Add: typed<{ times: number }>() },
  initialState: () => ({}),
}).implement({
  handle: { Add: (_, { times }) => Array.from({ length: times }, (_, n) => ({ type: 'Added' as const, data: { n } })) },
  apply: { Added: (state) => state },
})

const sums = defineView({
  name: 'sums',
  aggregates: [counter],
  initialView: () => ({ sum: 0 }),
  update: { Added: ({ sum }, { data }) => ({ sum: sum + data.n }) },
})

// With a store that never waits, as SQLite, a rebuild would keep timers, requests and signals of its process waiting until its end.
it.each(['memory', 'sqlite'] as const)('a rebuild on %s yields to other work of its process', async (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'giving-way-'))
  const db = new Database(join(folder, 'events.db'))
  const store = name === 'memory' ? memoryStore() : sqliteStore(db)
  await store.createSchema()
  const app = createApp({ store, aggregates: { counter }, views: { sums } })
  for (let i = 0; i < 100; i++) await app.aggregates.counter.execute(`c-${i}`, { type: 'Add', data: { times: 500 } })
  const abort = new AbortController()
  setTimeout(() => abort.abort(new Error('enough')), 1)
  await expect(app.views.sums.rebuild({ signal: abort.signal })).rejects.toThrow('enough')
  let turns = 0
  const ticking = setInterval(() => turns++, 1)
  await app.views.sums.rebuild()
  clearInterval(ticking)
  expect(turns).toBeGreaterThan(3)
  await app.close()
  db.close()
  rmSync(folder, { recursive: true })
})

it('a rebuild completes when each read takes long', async () => {
  const store = memoryStore()
  const app = createApp({ store, aggregates: { counter }, views: { sums } })
  await app.aggregates.counter.execute('c-1', { type: 'Add', data: { times: 500 } })
  const readFeed = store.readFeed.bind(store)
  store.readFeed = async (request) => {
    await new Promise((resolve) => setTimeout(resolve, 600))
    return readFeed(request)
  }
  await app.views.sums.rebuild({ signal: AbortSignal.timeout(patienceMs) })
  await app.close()
})
