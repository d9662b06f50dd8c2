import { createApp, defineSqlView, defineView, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import LibSql from 'libsql'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { withoutStreamWaits } from '../support/runtime.ts'
import { onSqlite } from '../support/sqlite.ts'
import { unordered } from '../support/stores.ts'

const kept = keeping()

function appOn(store: Store, consistency: 'inline' | 'async', factor: number, { isBroken = false, viewVersion = 2 } = {}) {
  const totals = defineView({
    name: 'totals',
    aggregates: [counter],
    initialView: () => ({ total: 0 }),
    update: {
      Counted: ({ total }, { data }) => {
        if (isBroken && data.by === 13) throw new Error('unlucky')
        return { total: total + data.by * factor }
      },
    },
    consistency,
    viewVersion,
  })
  return kept(createApp({ store, aggregates: { counter }, views: { totals }, ...withoutStreamWaits, observe: () => {} }))
}

describe.each([
  ['memory', async () => memoryStore()],
  ['SQLite', onSqlite],
  ['a store without a global order', async () => unordered(memoryStore())],
])('a rebuild on %s', (_, open) => {
  test.each(['inline', 'async'] as const)('a rebuild of an %s view starts again after a failed one', async (consistency) => {
    const store = await open()
    const before = appOn(store, consistency, 1, { viewVersion: 1 })
    for (const by of [1, 13, 2]) await before.aggregates.counter.execute('c', count(by))
    await before.drain()
    const broken = appOn(store, consistency, 10, { isBroken: true })
    for (let i = 0; i < 2; i++) expect((await failureOf(broken.views.totals.rebuild())).code).toBe('STOPPED')
    // The first event was counted by the rule of the program that failed: nothing of it is left.
    const fixed = appOn(store, consistency, 100)
    await fixed.views.totals.rebuild()
    expect((await fixed.views.totals.load('c'))?.view).toEqual({ total: 1_600 })
    await fixed.aggregates.counter.execute('c', count(3))
    await fixed.drain()
    expect((await fixed.views.totals.load('c'))?.view).toEqual({ total: 1_900 })
    expect((await store.viewGenerations('totals')).filter(({ state }) => state === 'building')).toEqual([])
  })

  test('a failed rebuild waits for resume() when the app drains or waits for the view', async () => {
    const store = await open()
    const before = appOn(store, 'async', 1, { viewVersion: 1 })
    for (const by of [1, 13]) await before.aggregates.counter.execute('c', count(by))
    await before.drain()
    expect((await failureOf(appOn(store, 'async', 10, { isBroken: true }).views.totals.rebuild())).code).toBe('STOPPED')
    const fixed = appOn(store, 'async', 10)
    expect((await fixed.drain()).caughtUp).toBe(false)
    expect((await failureOf(fixed.views.totals.caughtUp())).code).toBe('STOPPED')
    await fixed.views.totals.resume()
    await fixed.drain()
    expect((await fixed.views.totals.load('c'))?.view).toEqual({ total: 140 })
  })

  test('a failed rebuild starts again once when two processes request it at the same time', async () => {
    const store = await open()
    const before = appOn(store, 'async', 1, { viewVersion: 1 })
    for (const by of [1, 13]) await before.aggregates.counter.execute('c', count(by))
    await before.drain()
    expect((await failureOf(appOn(store, 'async', 10, { isBroken: true }).views.totals.rebuild())).code).toBe('STOPPED')
    const both = [appOn(store, 'async', 100), appOn(store, 'async', 100)]
    await Promise.all(both.map(({ views }) => views.totals.rebuild()))
    for (const { views } of both) expect((await views.totals.load('c'))?.view).toEqual({ total: 1_400 })
  })
})

test('a rebuild of a stopped sqlView starts again', async () => {
  const database = new LibSql(':memory:')
  const store = sqliteStore(database as unknown as SqliteDatabase)
  await store.createSchema()
  database.exec('CREATE TABLE counts (n int)')
  type Client = typeof database
  const make = (isBroken: boolean) => {
    const counts = defineSqlView({
      name: 'counts',
      aggregates: [counter],
      update: (client: Client, { data }) => {
        if (isBroken && data.by === 13) throw new Error('unlucky')
        return client.prepare('INSERT INTO counts VALUES (?)').run(data.by)
      },
      reset: (client: Client) => client.prepare('DELETE FROM counts').run(),
    })
    return kept(createApp({ store, aggregates: { counter }, views: { counts }, observe: () => {} }))
  }
  const broken = make(true)
  for (const by of [1, 13, 2]) await broken.aggregates.counter.execute('c', count(by))
  expect((await broken.drain()).caughtUp).toBe(false)
  for (let i = 0; i < 2; i++) expect((await failureOf(broken.views.counts.rebuild())).code).toBe('STOPPED')
  await make(false).views.counts.rebuild()
  expect((database.prepare('SELECT n FROM counts').all() as { n: number }[]).map(({ n }) => n)).toEqual([1, 13, 2])
})
