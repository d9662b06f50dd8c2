import {
  createApp,
  defineAggregate,
  defineView,
  type SnapshotPolicy,
  type Store,
  semanticVersionUpcaster,
  typed,
  versions,
} from 'cqrs-es'
import type { TestDatabase } from 'cqrs-es/conformance'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { databases } from '../conformance/hosts.ts'
import { collect, failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { storedBefore } from '../support/stored.ts'

const adding = (snapshots: SnapshotPolicy) =>
  defineAggregate({
    type: 'sum',
    events: { Added: typed<{ n: number }>() },
    commands: { Add: typed<{ n: number }>() },
    initialState: () => ({ sum: 0 }),
    snapshots,
  }).implement({
    handle: { Add: (_, data) => ({ type: 'Added', data }) },
    apply: { Added: ({ sum }, { n }) => ({ sum: sum + n }) },
  })

describe.each(databases)('on $name', ({ name, skipped, host }) => {
  let opened: TestDatabase[] = []
  afterEach(async () => {
    await Promise.all(opened.map((one) => one.close()))
    opened = []
  })
  async function created({ schema = true } = {}) {
    const database = await host.open({ schema })
    opened.push(database)
    return database
  }

  test.skipIf(skipped)('a process continues from what another process has stored', async () => {
    const { store, connect } = await created()
    const first = await createApp({ store, aggregates: { counter } }).aggregates.counter.execute('c', countEach(1, 2), {
      metadata: { userId: 'ann' },
      idempotencyKey: 'req-42',
    })
    const { counter: c } = createApp({ store: await connect(), aggregates: { counter } }).aggregates
    expect(await c.execute('c', countEach(1, 2), { idempotencyKey: 'req-42' })).toEqual({ ...first, replayed: true })
    expect(await c.execute('c', count(4))).toMatchObject({ ok: true, sequence: 3, state: { total: 7 } })
    const events = await collect(c.events('c'))
    expect(events.map(({ sequence, metadata }) => [sequence, metadata])).toEqual([
      [1, { userId: 'ann' }],
      [2, { userId: 'ann' }],
      [3, {}],
    ])
    expect(first.ok && first.events).toStrictEqual(events.slice(0, 2))
  })

  // DynamoDB loses no acknowledged write.
  test.skipIf(skipped || name === 'DynamoDB')('a command decided on events that the database lost is decided again', async () => {
    const { store, connect, loseEvents } = await created()
    const warm = createApp({ store, aggregates: { counter } }).aggregates.counter
    await warm.execute('c', count(1))
    await warm.execute('c', count(5))
    await loseEvents?.('counter', 'c', 1)
    const other = createApp({ store: await connect(), aggregates: { counter } }).aggregates.counter
    await other.execute('c', count(2))
    expect(await warm.execute('c', count(-5))).toMatchObject({ ok: false })
    expect(await warm.execute('c', count(-3))).toMatchObject({ ok: true, sequence: 3, state: { total: 0 } })
    expect((await collect(other.events('c'))).map(({ data }) => data)).toEqual([{ by: 1 }, { by: 2 }, { by: -3 }])
  })

  test.skipIf(skipped).each<SnapshotPolicy>(['never', 'always', { every: 3 }])(
    'commands are stored and loaded with snapshots %j, in this process and in the next',
    async (snapshots) => {
      const { store, connect } = await created()
      const { sum } = createApp({ store, aggregates: { sum: adding(snapshots) } }).aggregates
      for (const n of [1, 2, 3, 4, 5]) await sum.execute('s', { type: 'Add', data: { n } }, { metadata: { n } })
      const next = createApp({ store: await connect(), aggregates: { sum: adding(snapshots) }, cache: false }).aggregates.sum
      expect(await next.load('s')).toEqual({ state: { sum: 15 }, sequence: 5 })
      expect(await next.execute('s', { type: 'Add', data: { n: 6 } })).toMatchObject({
        ok: true,
        state: { sum: 21 },
        sequence: 6,
      })
      expect((await collect(sum.events('s'))).map(({ data, metadata }) => [data.n, metadata])).toEqual([
        ...[1, 2, 3, 4, 5].map((n) => [n, { n }]),
        [6, {}],
      ])
      const request = { aggregateType: 'sum', aggregateId: 's', after: 0, snapshot: { stateVersion: '1' } }
      expect((await store.readAggregate(request)).snapshot?.sequence).toBe(snapshots === 'never' ? undefined : 6)
      expect((await next.ids()).items).toEqual(['s'])
    },
  )

  test.skipIf(skipped)('aggregates of two types with one id have events and snapshots of their own', async () => {
    const { store, connect } = await created()
    const named = (type: string) =>
      defineAggregate({
        type,
        events: { Added: typed<{ n: number }>() },
        commands: { Add: typed<{ n: number }>() },
        initialState: () => ({ sum: 0 }),
        snapshots: 'always',
      }).implement({
        handle: { Add: (_, data) => ({ type: 'Added', data }) },
        apply: { Added: ({ sum }, { n }) => ({ sum: sum + n }) },
      })
    const aggregates = { one: named('one'), other: named('other') }
    const first = createApp({ store, aggregates }).aggregates
    await first.one.execute('same', { type: 'Add', data: { n: 1 } })
    await first.other.execute('same', { type: 'Add', data: { n: 10 } })
    await first.one.execute('same', { type: 'Add', data: { n: 2 } })
    const next = await connect()
    const stored = async (aggregateType: string) => {
      const request = { aggregateType, aggregateId: 'same', after: 0 }
      const { events } = await next.readAggregate(request)
      const { snapshot } = await next.readAggregate({ ...request, snapshot: { stateVersion: '1' } })
      return { events: events.map((event) => [event.aggregateType, event.data]), snapshot }
    }
    expect(await stored('one')).toEqual({
      events: [
        ['one', { n: 1 }],
        ['one', { n: 2 }],
      ],
      snapshot: expect.objectContaining({ sequence: 2, stateVersion: '1', version: 2, state: { sum: 3 } }),
    })
    expect(await stored('other')).toEqual({
      events: [['other', { n: 10 }]],
      snapshot: expect.objectContaining({ sequence: 1, stateVersion: '1', version: 1, state: { sum: 10 } }),
    })
    const again = createApp({ store: next, aggregates, cache: false }).aggregates
    expect(await again.one.load('same')).toEqual({ state: { sum: 3 }, sequence: 2 })
    expect(await again.other.load('same')).toEqual({ state: { sum: 10 }, sequence: 1 })
  })

  test.skipIf(skipped)('two processes that write one aggregate and one view row lose nothing', async () => {
    const total = defineView({
      name: 'total',
      aggregates: [counter],
      initialView: () => ({ sum: 0 }),
      id: () => 'all',
      update: { Counted: ({ sum }, { data }) => ({ sum: sum + data.by }) },
    })
    const { store, connect } = await created()
    const apps = [store, await connect()].map((each) =>
      createApp({ store: each, aggregates: { counter }, views: { total }, maxAttempts: 51 }),
    )
    await Promise.all(
      Array.from({ length: 60 }, (_, i) => apps[i % 2]?.aggregates.counter.execute(i % 3 ? 'shared' : `own-${i}`, count(1))),
    )
    expect(await apps[0]?.aggregates.counter.load('shared')).toEqual({ state: { total: 40 }, sequence: 40 })
    expect(await apps[1]?.views.total.load('all')).toEqual({ id: 'all', view: { sum: 60 }, version: 60 })
  })

  test.skipIf(skipped).each<SnapshotPolicy>(['always', { every: 2 }])(
    'a corrupt snapshot is ignored, and the next commit replaces it (%j)',
    async (snapshots) => {
      const { store, corruptSnapshot } = await created()
      const appOf = () => createApp({ store, aggregates: { sum: adding(snapshots) }, cache: false }).aggregates.sum
      const add = () => appOf().execute('s', { type: 'Add', data: { n: 1 } })
      await add()
      await add()
      await corruptSnapshot?.('sum', 's')
      expect(await appOf().load('s')).toEqual({ state: { sum: 2 }, sequence: 2 })
      await add()
      await add()
      const request = { aggregateType: 'sum', aggregateId: 's', after: 0, snapshot: { stateVersion: '1' } }
      expect((await store.readAggregate(request)).snapshot).toMatchObject({ sequence: 4, state: { sum: 4 } })
      expect(await appOf().load('s')).toEqual({ state: { sum: 4 }, sequence: 4 })
    },
  )

  test.skipIf(skipped).each<SnapshotPolicy>(['always', { every: 2 }])(
    'a snapshot that does not fit stateSchema is ignored, and the next one replaces it (%j)',
    async (snapshots) => {
      const { store } = await created()
      const total = defineAggregate({
        type: 'sum',
        events: { Added: typed<{ n: number }>() },
        commands: { Add: typed<{ n: number }>() },
        initialState: () => ({ total: 0 }),
        snapshots,
        stateSchema: z.object({ total: z.number() }),
      }).implement({
        handle: { Add: (_, data) => ({ type: 'Added', data }) },
        apply: { Added: (state, { n }) => ({ total: state.total + n }) },
      })
      const add = { type: 'Add', data: { n: 1 } } as const
      const old = createApp({ store, aggregates: { sum: adding(snapshots) } }).aggregates.sum
      for (let i = 0; i < 2; i++) await old.execute('s', add)
      const snapshot = async () =>
        (await store.readAggregate({ aggregateType: 'sum', aggregateId: 's', after: 0, snapshot: { stateVersion: '1' } }))
          .snapshot
      expect(await snapshot()).toMatchObject({ sequence: 2, state: { sum: 2 } })
      const appOf = (cache: object = {}) => createApp({ store, aggregates: { total }, ...cache }).aggregates.total
      expect(await appOf().load('s')).toEqual({ state: { total: 2 }, sequence: 2 })
      expect(await appOf({ cache: false }).load('s', { asOf: 2 })).toEqual({ state: { total: 2 }, sequence: 2 })
      const warm = appOf()
      for (let i = 0; i < 2; i++) await warm.execute('s', add)
      expect(await snapshot()).toMatchObject({ sequence: 4, state: { total: 4 } })
      expect(await appOf().load('s')).toEqual({ state: { total: 4 }, sequence: 4 })
    },
  )

  test.skipIf(skipped)('an old event is upcast when its aggregate is loaded', async () => {
    const note = defineAggregate({
      type: 'note',
      events: { Written: versions('2.0', typed<{ text: string; by: string }>(), {}) },
      commands: {},
      initialState: (): { text: string; by: string } => ({ text: '', by: '' }),
      upcasters: [
        semanticVersionUpcaster('Written', '1.1', (data) => ({ text: data.body })),
        semanticVersionUpcaster('Written', '2.0', (data) => ({ ...data, by: 'unknown' })),
      ],
    }).implement({ handle: {}, apply: { Written: (_, data) => data } })
    const { store, connect } = await created()
    await storedBefore(
      store,
      'note',
      'n',
      { type: 'Written', data: { body: 'old' } },
      { type: 'Written', version: '1.1', data: { text: 'less old' } },
    )
    const { notes } = createApp({ store: await connect(), aggregates: { notes: note } }).aggregates
    expect((await notes.load('n', { asOf: 1 })).state).toEqual({ text: 'old', by: 'unknown' })
    expect((await notes.load('n')).state).toEqual({ text: 'less old', by: 'unknown' })
  })

  test.skipIf(skipped)('an event with corrupt JSON stops its aggregate and no other', async () => {
    const { store, corruptEvent } = await created()
    const app = createApp({ store, aggregates: { counter }, cache: false })
    const { counter: c } = app.aggregates
    await c.execute('bad', countEach(1, 2, 3))
    await c.execute('good', count(1))
    await corruptEvent?.('counter', 'bad', 2)
    const error = await failureOf(c.execute('bad', count(1)))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateType: 'counter', aggregateId: 'bad', sequence: 2 })
    expect(await c.execute('good', count(1))).toMatchObject({ ok: true, sequence: 2 })
    const told: string[] = []
    expect(await app.replay(() => {}, { onError: (_, eventId) => told.push(eventId) })).toEqual({ events: 4 })
    expect(told).toEqual(['counter/bad/2'])
  })

  test.skipIf(skipped)('every call reports a missing schema, and works once the schema is there', async () => {
    const { store } = await created({ schema: false })
    const { counter: c } = createApp({ store, aggregates: { counter } }).aggregates
    for (const ask of [() => c.execute('c', count(1)), () => c.load('c'), () => c.ids(), () => collect(c.events('c'))])
      expect(await failureOf(ask())).toMatchObject({ code: 'SCHEMA_MISSING', message: expect.stringContaining('createSchema') })
    await store.createSchema()
    expect(await c.execute('c', count(1))).toMatchObject({ ok: true, sequence: 1 })
  })
})

test('a custom store works like any other store', async () => {
  const kept = memoryStore()
  const calls: string[] = []
  const noting =
    <K extends keyof Store>(name: K, method: Store[K]) =>
    (...args: unknown[]) => {
      calls.push(name)
      return (method as (...args: unknown[]) => unknown).apply(kept, args)
    }
  const own = Object.fromEntries(
    (['append', 'readAggregate', 'readIds', 'readKey', 'readViews', 'findViews', 'viewGenerations', 'readFeed'] as const).map(
      (name) => [name, noting(name, kept[name])],
    ),
  )
  const received: unknown[] = []
  const app = createApp({
    store: { ...own, capabilities: kept.capabilities } as unknown as Store,
    aggregates: { counter },
    queries: [(events) => void received.push(...events)],
  })
  const result = await app.aggregates.counter.execute('c', count(1), { idempotencyKey: 'k' })
  expect(result).toMatchObject({ ok: true, state: { total: 1 } })
  expect(received).toEqual(result.ok && result.events)
  expect(calls).toEqual(['readKey', 'readAggregate', 'append'])
})
