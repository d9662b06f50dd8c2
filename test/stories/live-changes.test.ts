import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import LibSql from 'libsql'
import { describe, expect, test } from 'vitest'
import { atStrength } from '../strength.ts'
import { keeping } from '../support/keeping.ts'
import { liveStory } from '../support/live-stories.ts'
import { drop, give, see, shown, taken, ticketApp } from '../support/tickets.ts'

const kept = keeping()

async function sqlite(): Promise<Store> {
  const store = sqliteStore(new LibSql(':memory:') as unknown as SqliteDatabase)
  await store.createSchema()
  return store
}

const stores: readonly [string, () => Promise<Store>][] = [
  ['memory', async () => memoryStore()],
  ['SQLite', sqlite],
]

describe.each(stores)('changes of a view on %s', (_, open) => {
  test('report each row that is stored, once, in an app that was never started', async () => {
    const app = kept(ticketApp(await open()))
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    const first = taken(changes, 3)
    const { ticket } = app.aggregates
    await ticket.execute('a', give('ann', 1))
    await ticket.execute('b', give('bob', 2))
    await ticket.execute('a', see)
    await ticket.execute('b', drop)
    expect((await first).map(shown)).toEqual(['a=1', 'b=2', '-b'])
  })
})

test.each(
  stores.flatMap(([name, open]) => (['inline', 'async'] as const).map((consistency) => [consistency, name, open] as const)),
)('find and changes of an %s view on %s miss nothing while others write', async (consistency, _, open) => {
  for (let seed = 1; seed <= atStrength({ moderate: 4, full: 200 }); seed++) {
    const store = await open()
    const told = await liveStory({ connect: async () => store, consistency, seed, commands: 40 })
    for (const { kept, found } of told) expect({ seed, rows: sorted(kept) }).toEqual({ seed, rows: sorted(found) })
  }
})

const sorted = (rows: ReadonlyMap<string, unknown>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1))
