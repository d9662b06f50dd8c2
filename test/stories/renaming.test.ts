import { createApp, defineAggregate, defineSqlView, defineSubscription, defineView, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { withoutStreamWaits } from '../support/runtime.ts'
import { onSqlite } from '../support/sqlite.ts'
import { unordered } from '../support/stores.ts'

const stores = [
  { name: 'memory', open: async (): Promise<Store> => memoryStore() },
  { name: 'SQLite', open: onSqlite },
  { name: 'a store without a global order', open: async () => unordered(memoryStore()) },
]

const stock = defineAggregate({
  type: 'stock',
  events: { Reserved: typed<{ for: string }>() },
  commands: { Reserve: typed<{ for: string }>() },
  initialState: () => ({ reserved: 0 }),
}).implement({
  handle: { Reserve: (_, data) => ({ type: 'Reserved', data }) },
  apply: { Reserved: ({ reserved }) => ({ reserved: reserved + 1 }) },
})

interface Named {
  readonly name: string
  readonly storedAs?: string
}

const kept = keeping()
const settings = { ...withoutStreamWaits, observe: () => {} }
const reserving = (named: Named, seen: string[], handle: () => void = () => {}) =>
  defineSubscription({
    ...named,
    aggregates: [counter],
    onFailure: 'park',
    handle: async ({ id, aggregateId }, { app, reaction }) => {
      seen.push(id)
      handle()
      await app.aggregate(stock).execute('tea', { type: 'Reserve', data: { for: aggregateId } }, reaction())
    },
  })
const sums = (named: Named, consistency: 'inline' | 'async') =>
  defineView({
    ...named,
    aggregates: [counter],
    consistency,
    initialView: () => ({ total: 0 }),
    update: { Counted: ({ total }, { data }) => ({ total: total + data.by }) },
  })

describe.each(stores)('storedAs on $name', ({ open }) => {
  test('a renamed subscription continues from its checkpoint and keeps its failed events', async () => {
    const store = await open()
    const seen: string[] = []
    let isBroken = false
    const appWith = (named: Named) => {
      const subscription = reserving(named, seen, () => {
        if (isBroken) throw new Error('no')
      })
      return kept(createApp({ store, aggregates: { counter, stock }, subscriptions: { subscription }, ...settings }))
    }
    const before = appWith({ name: 'reserving' })
    await before.aggregates.counter.execute('a', count(1))
    await before.drain()
    isBroken = true
    await before.aggregates.counter.execute('b', count(1))
    await before.drain()
    isBroken = false
    seen.length = 0
    const after = appWith({ name: 'stock-keeping', storedAs: 'reserving' })
    await after.aggregates.counter.execute('c', count(1))
    await after.drain()
    expect(seen).toEqual(['counter/c/1'])
    expect((await after.subscriptions.subscription.parked()).items.map(({ eventId }) => eventId)).toEqual(['counter/b/1'])
    await after.subscriptions.subscription.resume()
    await after.drain()
    expect(seen).toEqual(['counter/c/1', 'counter/b/1'])
    expect((await store.readCheckpoint('subscription/stock-keeping')) ?? null).toBeNull()
  })

  test('a renamed subscription does not repeat the commands that it sent by its old name', async () => {
    const store = await open()
    const appWith = (named: Named) => {
      const subscription = reserving(named, [])
      return kept(createApp({ store, aggregates: { counter, stock }, subscriptions: { subscription }, ...settings }))
    }
    const before = appWith({ name: 'reserving' })
    for (const id of ['a', 'b']) await before.aggregates.counter.execute(id, count(1))
    await before.drain()
    const after = appWith({ name: 'stock-keeping', storedAs: 'reserving' })
    await after.subscriptions.subscription.reset({ to: 'beginning', reason: 'to see' })
    await after.drain({ reconcile: true })
    expect((await after.aggregates.stock.load('tea')).state.reserved).toBe(2)
  })

  test.each(['inline', 'async'] as const)('a renamed %s view keeps its rows', async (consistency) => {
    const store = await open()
    const appWith = (named: Named) => {
      const view = sums(named, consistency)
      return kept(createApp({ store, aggregates: { counter }, views: { view }, ...settings }))
    }
    const before = appWith({ name: 'totals' })
    for (const id of ['a', 'b']) await before.aggregates.counter.execute(id, count(2))
    await before.drain()
    const after = appWith({ name: 'sums', storedAs: 'totals' })
    expect(await after.views.view.load('a')).toMatchObject({ view: { total: 2 }, version: 1 })
    await after.aggregates.counter.execute('a', count(3))
    expect((await after.drain({ reconcile: true })).events).toBe(consistency === 'inline' ? 0 : 1)
    expect(await after.views.view.load('a')).toMatchObject({ view: { total: 5 }, version: 2 })
    expect((await after.views.view.find()).items.length).toBe(2)
    await after.views.view.rebuild()
    expect(await after.views.view.load('a')).toMatchObject({ view: { total: 5 } })
    expect((await before.views.view.load('b'))?.view).toEqual({ total: 2 })
  })

  test('two subscriptions, and two views, may swap their stored names', async () => {
    const store = await open()
    const seen: { one: string[]; two: string[] } = { one: [], two: [] }
    const appWith = (one: Named, two: Named, views: readonly [Named, Named]) =>
      kept(
        createApp({
          store,
          aggregates: { counter, stock },
          views: { one: sums(views[0], 'async'), two: sums(views[1], 'inline') },
          subscriptions: { one: reserving(one, seen.one), two: reserving(two, seen.two) },
          ...settings,
        }),
      )
    const before = appWith({ name: 'one' }, { name: 'two' }, [{ name: 'v1' }, { name: 'v2' }])
    await before.aggregates.counter.execute('a', count(1))
    await before.drain()
    await before.subscriptions.two.reset({ to: 'beginning', reason: 'to tell them apart' })
    const swapped = appWith({ name: 'one', storedAs: 'two' }, { name: 'two', storedAs: 'one' }, [
      { name: 'v2', storedAs: 'v1' },
      { name: 'v1', storedAs: 'v2' },
    ])
    for (const of of Object.values(seen)) of.length = 0
    await swapped.drain({ reconcile: true })
    expect(seen).toEqual({ one: ['counter/a/1'], two: [] })
    expect([(await swapped.views.one.load('a'))?.version, (await swapped.views.two.load('a'))?.version]).toEqual([1, 1])
  })
})

test('a renamed sqlView continues from its checkpoint', async () => {
  const db = new Database(':memory:')
  const store = sqliteStore(db as unknown as SqliteDatabase)
  await store.createSchema()
  const seen: string[] = []
  const appWith = (named: Named) => {
    const view = defineSqlView({
      ...named,
      aggregates: [counter],
      update: (_: unknown, { id }) => void seen.push(id),
      reset: () => {},
    })
    return kept(createApp({ store, aggregates: { counter }, views: { view } }))
  }
  const before = appWith({ name: 'table' })
  await before.aggregates.counter.execute('a', count(1))
  await before.drain()
  const after = appWith({ name: 'sheet', storedAs: 'table' })
  await after.aggregates.counter.execute('a', count(1))
  await after.drain()
  expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
})

test('two definitions stored under one name are a DefinitionError', () => {
  const store = memoryStore()
  const subscriptions = { one: reserving({ name: 'one' }, []), two: reserving({ name: 'two', storedAs: 'one' }, []) }
  expect(thrownBy(() => createApp({ store, aggregates: { counter, stock }, subscriptions }))).toMatchObject({
    code: 'DEFINITION',
    message:
      "createApp: the subscription stored as 'one' is registered twice, as subscriptions.one and subscriptions.two. Remove one, or give one a name of its own.",
  })
  const views = { one: sums({ name: 'one', storedAs: 'rows' }, 'async'), two: sums({ name: 'two', storedAs: 'rows' }, 'inline') }
  expect(thrownBy(() => createApp({ store, aggregates: { counter }, views }))).toMatchObject({
    code: 'DEFINITION',
    message:
      "createApp: the view stored as 'rows' is registered twice, as views.one and views.two. Remove one, or give one a name of its own.",
  })
})

test.each(['', 'x'.repeat(201), 1])('storedAs %j is a DefinitionError', (storedAs) => {
  const named = { name: 'one', storedAs } as never
  expect(thrownBy(() => reserving(named, []))).toMatchObject({ code: 'DEFINITION' })
  expect(thrownBy(() => sums(named, 'async'))).toMatchObject({ code: 'DEFINITION' })
  expect(
    thrownBy(() => defineSqlView({ ...(named as Named), aggregates: [counter], update: () => {}, reset: () => {} })),
  ).toMatchObject({ code: 'DEFINITION' })
})

test('storedAs of a view must not start with a reserved character', () => {
  expect(thrownBy(() => sums({ name: 'one', storedAs: '~processor' }, 'async')).message).toContain('are reserved')
})
