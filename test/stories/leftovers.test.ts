import { createApp, defineSqlView, defineSubscription, defineView, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf, gate } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { isStreamWait, leaping } from '../support/runtime.ts'
import { onSqlite } from '../support/sqlite.ts'
import { unordered } from '../support/stores.ts'

const stores = [
  { name: 'memory', open: async (): Promise<Store> => memoryStore() },
  { name: 'SQLite', open: onSqlite },
  { name: 'a store without a global order', open: async () => unordered(memoryStore()) },
]

const kept = keeping()
const reason = 'dropped in May'
const hour = 3_600_000
const seen: string[] = []

interface Parts {
  readonly from?: 'beginning' | 'now'
  readonly partitions?: number
  readonly viewVersion?: number
  readonly handle?: (id: string) => unknown
}
const log = ({ from = 'beginning', partitions = 1, handle = (id) => seen.push(id) }: Parts = {}) =>
  defineSubscription({ name: 'log', aggregates: [counter], from, partitions, onFailure: 'park', handle: ({ id }) => handle(id) })
const totals = (consistency: 'inline' | 'async', { viewVersion = 1 }: Parts = {}) =>
  defineView({
    name: 'totals',
    aggregates: [counter],
    consistency,
    viewVersion,
    initialView: () => ({ total: 0 }),
    update: { Counted: ({ total }, { data }) => ({ total: total + data.by }) },
  })
const other = defineSubscription({ name: 'other', aggregates: [counter], handle: () => {} })

/** Programs on one store, by a clock that is moved by hand. */
function programs(store: Store) {
  seen.length = 0
  const clock = { now: Date.UTC(2030, 0, 1) }
  const runtime = leaping(isStreamWait, clock)
  const shared = { store, aggregates: { counter }, runtime, following: { leaseMs: 30_000 }, observe: () => {} }
  return {
    clock,
    logging: (parts?: Parts) => kept(createApp({ ...shared, subscriptions: { log: log(parts) } })),
    viewing: (consistency: 'inline' | 'async', parts?: Parts) =>
      kept(createApp({ ...shared, views: { totals: totals(consistency, parts) } })),
    without: () => kept(createApp({ ...shared, subscriptions: { other } })),
  }
}
const the = async (app: ReturnType<ReturnType<typeof programs>['without']>) => {
  const [one, ...more] = await app.leftovers()
  expect(more).toEqual([])
  return one as NonNullable<typeof one>
}

describe.each(stores)('a leftover on $name', ({ open }) => {
  test('leftovers() lists consumers without a definition, with position and last run', async () => {
    const store = await open()
    const { logging, viewing, without, clock } = programs(store)
    const program = logging()
    await program.aggregates.counter.execute('a', count(1))
    await program.drain()
    expect(await program.leftovers()).toEqual([])
    await viewing('async').drain()
    const { globalOrder } = store.capabilities
    const position = globalOrder ? { position: await store.lastPosition() } : {}
    const lastRunAt = new Date(clock.now).toISOString()
    const found = await without().leftovers()
    expect(found.map(({ remove: _, ...one }) => one).sort((a, b) => (a.kind < b.kind ? -1 : 1))).toEqual([
      { kind: 'subscription', name: 'log', ...position, lastRunAt },
      { kind: 'view', name: 'totals', ...position, lastRunAt },
    ])
  })

  test('a leftover that ran within the last hour is not removed', async () => {
    const { logging, without, clock } = programs(await open())
    const program = logging()
    for (let minutes = 0; minutes <= 60; minutes += 12) {
      await program.aggregates.counter.execute('a', count(1))
      await program.drain()
      clock.now += hour / 5
    }
    clock.now += hour / 3
    const leftover = await the(without())
    expect(await failureOf(leftover.remove({ reason }))).toMatchObject({ code: 'NOT_YET' })
    expect(await the(without())).toMatchObject({ name: 'log' })
    expect((await program.drain()).events).toBe(0)
    clock.now += hour
    await leftover.remove({ reason })
    expect(await without().leftovers()).toEqual([])
  })

  test('a leftover that a process is running is not removed', async () => {
    const { logging, without, clock } = programs(await open())
    const hangs = gate()
    const program = logging({ handle: () => hangs.pass() })
    await program.aggregates.counter.execute('a', count(1))
    const draining = program.drain()
    await hangs.reached
    clock.now += 2 * hour
    const failure = await failureOf((await the(without())).remove({ reason }))
    expect(failure).toMatchObject({ code: 'NOT_YET' })
    expect(failure.message).toContain('holds its lease')
    hangs.open()
    await draining
    clock.now += 2 * hour
    await (await the(without())).remove({ reason })
  })

  test.each([1, 4])('a removed subscription starts at its from when defined again, in %i partitions', async (partitions) => {
    const store = await open()
    const { logging, without, clock } = programs(store)
    let isBroken = true
    const program = logging({
      partitions,
      handle: (id) => {
        if (isBroken && id === 'counter/b/1') throw new Error('no')
        seen.push(id)
      },
    })
    for (const id of ['a', 'b', 'c']) await program.aggregates.counter.execute(id, count(1))
    await program.drain()
    isBroken = false
    clock.now += 2 * hour
    await (await the(without())).remove({ reason, by: 'ann' })
    expect(await without().leftovers()).toEqual([])
    seen.length = 0
    const again = logging({ partitions })
    expect((await again.subscriptions.log.parked()).items).toEqual([])
    await again.drain()
    expect([...seen].sort()).toEqual(['counter/a/1', 'counter/b/1', 'counter/c/1'])
    clock.now += 2 * hour
    await (await the(without())).remove({ reason })
    clock.now += hour
    seen.length = 0
    const later = logging({ partitions, from: 'now' })
    await later.drain({ reconcile: true })
    expect(seen).toEqual([])
    clock.now += hour
    await later.aggregates.counter.execute('a', count(1))
    await later.drain({ reconcile: true })
    expect(seen).toEqual(['counter/a/2'])
  })

  test.each([
    ['inline', 1],
    ['async', 1],
    ['async', 2],
  ] as const)(
    'a removed %s view of version %i has no rows and is rebuilt when it is defined again',
    async (consistency, viewVersion) => {
      const store = await open()
      const { viewing, without, clock } = programs(store)
      const program = viewing(consistency, { viewVersion })
      for (const id of ['a', 'b']) await program.aggregates.counter.execute(id, count(2))
      await program.drain()
      clock.now += 2 * hour
      await (await the(without())).remove({ reason })
      expect(await without().leftovers()).toEqual([])
      expect((await store.findViews({ name: 'totals', generation: 'live', where: [], limit: 10 })).items).toEqual([])
      await without().aggregates.counter.execute('a', count(3))
      for (const version of [viewVersion, 1]) {
        const again = viewing(consistency, { viewVersion: version })
        await again.drain({ reconcile: true })
        const { items } = await again.views.totals.find()
        expect(items.map(({ id, view }) => [id, view.total])).toEqual([
          ['a', 5],
          ['b', 2],
        ])
        if (viewVersion === 1) break
        clock.now += 2 * hour
        await (await the(without())).remove({ reason })
      }
    },
  )

  test('a leftover is not removed without a reason', async () => {
    const { logging, without } = programs(await open())
    await logging().drain()
    const leftover = await the(without())
    for (const options of [undefined, {}, { reason: '' }, { reason, by: 1 }, { reason, when: 'now' }])
      expect(await failureOf(leftover.remove(options as never))).toMatchObject({ code: 'VALIDATION' })
  })
})

test('a removed sqlView starts from the beginning when it is defined again', async () => {
  const store = await onSqlite()
  const { clock, without } = programs(store)
  const runtime = leaping(isStreamWait, clock)
  const defined = () => {
    const table = defineSqlView({
      name: 'table',
      aggregates: [counter],
      update: (_: unknown, { id }) => void seen.push(id),
      reset: () => {},
    })
    return kept(createApp({ store, aggregates: { counter }, views: { table }, runtime }))
  }
  const program = defined()
  await program.aggregates.counter.execute('a', count(1))
  await program.drain()
  clock.now += 2 * hour
  const leftover = await the(without())
  expect(leftover).toMatchObject({ kind: 'sqlView', name: 'table', position: await store.lastPosition() })
  await leftover.remove({ reason })
  expect(await without().leftovers()).toEqual([])
  await defined().drain()
  expect(seen).toEqual(['counter/a/1', 'counter/a/1'])
})

test('leftovers() of an app without views and subscriptions is a DefinitionError', async () => {
  const app = kept(createApp({ store: memoryStore(), aggregates: { counter } }))
  expect(await failureOf(app.leftovers())).toMatchObject({ code: 'DEFINITION' })
})
