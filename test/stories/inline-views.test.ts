import { createApp, defineAggregate, defineView, noData, type Observation, reject, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf, thrownBy } from '../support/async.ts'
import { changed, sendingBy } from '../support/stores.ts'

/** Parcels that go from place to place; a view of each place, and one of each parcel. */
const parcel = defineAggregate({
  type: 'parcel',
  events: {
    Sent: typed<{ to: string; weight: number }>(),
    Moved: typed<{ to: string }>(),
    Marked: typed<{ colours: readonly string[] }>(),
    Lost: noData,
  },
  commands: {
    Send: typed<{ to: string; weight: number }>(),
    Move: typed<{ to: readonly string[] }>(),
    Mark: typed<{ colours: readonly string[] }>(),
    Lose: noData,
  },
  initialState: () => ({ at: '' }),
}).implement({
  handle: {
    Send: ({ at }, data) => (at === '' ? { type: 'Sent', data } : reject('already-sent')),
    Move: (_, { to }) => to.map((place) => ({ type: 'Moved' as const, data: { to: place } })),
    Mark: (_, data) => ({ type: 'Marked', data }),
    Lose: () => ({ type: 'Lost' }),
  },
  apply: {
    Sent: (_, { to }) => ({ at: to }),
    Moved: (_, { to }) => ({ at: to }),
    Marked: (state) => state,
    Lost: () => ({ at: '' }),
  },
})

const journeys = defineView({
  name: 'journeys',
  aggregates: [parcel],
  initialView: () => ({ at: 'nowhere', stops: 0 }),
  update: {
    Sent: ({ stops }, { data }) => ({ at: data.to, stops: stops + 1 }),
    Moved: ({ stops }, { data }) => ({ at: data.to, stops: stops + 1 }),
    Lost: () => null,
  },
  indexes: ['at', 'stops'],
})

const colours = defineView({
  name: 'colours',
  aggregates: [parcel],
  initialView: () => ({ parcels: [] as readonly string[] }),
  id: (event) => (event.type === 'Marked' ? event.data.colours : []),
  update: { Marked: ({ parcels }, { aggregateId }) => ({ parcels: [...parcels, aggregateId] }), Lost: () => null },
})

const appOn = (store: Store = memoryStore()) =>
  createApp({ store, cache: {}, aggregates: { parcel }, views: { journeys, colours } })
const send = (to: string, weight = 1) => ({ type: 'Send', data: { to, weight } }) as const
const move = (...to: string[]) => ({ type: 'Move', data: { to } }) as const
const mark = (...marked: string[]) => ({ type: 'Mark', data: { colours: marked } }) as const
const lose = { type: 'Lose' } as const

describe('a view with a row per aggregate', () => {
  test('an inline view shows a command as soon as it has returned', async () => {
    const { aggregates, views } = appOn()
    await aggregates.parcel.execute('p1', send('bern'))
    expect(await views.journeys.load('p1')).toEqual({ id: 'p1', view: { at: 'bern', stops: 1 }, version: 1 })
  })

  test('an inline view has no row before its first event', async () => {
    const { aggregates, views } = appOn()
    expect(await views.journeys.load('p1')).toBeUndefined()
    await aggregates.parcel.execute('p1', mark('red'))
    expect(await views.journeys.load('p1')).toBeUndefined()
    expect(await views.journeys.find()).toEqual({ items: [] })
  })

  test('a command saves a row once with all its events, and the version counts the saves', async () => {
    const { aggregates, views } = appOn()
    await aggregates.parcel.execute('p1', send('bern'))
    await aggregates.parcel.execute('p1', move('thun', 'chur'))
    await aggregates.parcel.execute('p1', mark('red'))
    await aggregates.parcel.execute('p1', move())
    expect(await views.journeys.load('p1')).toEqual({ id: 'p1', view: { at: 'chur', stops: 3 }, version: 2 })
  })

  test('an update that returns null deletes the row, and a later event starts a new one', async () => {
    const { aggregates, views } = appOn()
    await aggregates.parcel.execute('p1', send('bern'))
    await aggregates.parcel.execute('p1', lose)
    expect(await views.journeys.load('p1')).toBeUndefined()
    expect(await views.journeys.find()).toEqual({ items: [] })
    await aggregates.parcel.execute('p1', send('chur'))
    expect(await views.journeys.load('p1')).toEqual({ id: 'p1', view: { at: 'chur', stops: 1 }, version: 3 })
    expect(await views.journeys.find({ at: 'bern' })).toEqual({ items: [] })
  })

  test('a command that is rejected, fails or conflicts writes no row', async () => {
    const store = memoryStore()
    const { aggregates, views } = appOn(store)
    await aggregates.parcel.execute('p1', send('bern'))
    expect(await aggregates.parcel.execute('p1', send('chur'))).toMatchObject({ ok: false })
    await failureOf(aggregates.parcel.execute('p1', move('chur'), { expectedSequence: 7 }))
    const full = sendingBy(store, async () => ({ kind: 'failed', certain: true, cause: new Error('disk full') }))
    await failureOf(appOn(full).aggregates.parcel.execute('p1', move('chur')))
    expect(await views.journeys.load('p1')).toEqual({ id: 'p1', view: { at: 'bern', stops: 1 }, version: 1 })
  })

  test('an inline view added to an app with a history catches up on missed events', async () => {
    const store = memoryStore()
    const before = createApp({ store, aggregates: { parcel } }).aggregates.parcel
    await before.execute('p1', send('bern'))
    await before.execute('p1', move('thun', 'chur'))
    const { aggregates, views } = appOn(store)
    await aggregates.parcel.execute('p1', move('davos'))
    expect(await views.journeys.load('p1')).toMatchObject({ view: { at: 'davos', stops: 4 } })
  })

  test('an inline view catches up after an app without it has written', async () => {
    const store = memoryStore()
    const without = createApp({ store, aggregates: { parcel } }).aggregates.parcel
    const { aggregates, views } = appOn(store)
    await aggregates.parcel.execute('p1', send('bern'))
    await without.execute('p1', move('thun'))
    await aggregates.parcel.execute('p1', mark('red'))
    await aggregates.parcel.execute('p1', move('chur'))
    expect(await views.journeys.load('p1')).toMatchObject({ view: { at: 'chur', stops: 3 } })
  })

  test('an inline view is correct whichever of two processes writes', async () => {
    const store = memoryStore()
    const apps = [appOn(store), appOn(store)]
    await apps[0]?.aggregates.parcel.execute('p1', send('bern'))
    for (let i = 0; i < 20; i++) await apps[i % 3 ? 0 : 1]?.aggregates.parcel.execute('p1', move(`stop ${i}`))
    expect(await apps[0]?.views.journeys.load('p1')).toEqual({ id: 'p1', view: { at: 'stop 19', stops: 21 }, version: 21 })
  })
})

describe('a cached row', () => {
  test('a warm command does not read its cached row', async () => {
    const store = memoryStore()
    const reads: string[] = []
    const counted = changed(store, {
      readAggregate: (request) => {
        reads.push('events')
        return store.readAggregate(request)
      },
      readViews: (keys) => {
        reads.push('views')
        return store.readViews(keys)
      },
    })
    const { parcel: p } = appOn(counted).aggregates
    await p.execute('p1', send('bern'))
    expect(reads).toEqual(['events', 'views'])
    for (let i = 0; i < 5; i++) await p.execute('p1', move(`stop ${i}`))
    expect(reads).toHaveLength(2)
  })

  test('a cached row is read again after another writer has changed it', async () => {
    const store = memoryStore()
    const { aggregates, views } = appOn(store)
    await aggregates.parcel.execute('p1', send('bern'))
    const repaired = {
      name: 'journeys',
      generation: 1,
      id: 'p1',
      expectedVersion: 1,
      view: { at: 'bern', stops: 10 },
      sequence: 1,
    }
    expect(await store.append([{ id: 'repair', appends: [], views: [repaired] }])).toMatchObject([{ kind: 'stored' }])
    await aggregates.parcel.execute('p1', move('chur'))
    expect(await views.journeys.load('p1')).toEqual({ id: 'p1', view: { at: 'chur', stops: 11 }, version: 3 })
  })
})

describe('a view with ids of its own', () => {
  test('one event may update several rows or none, and a repeated id counts once', async () => {
    const { aggregates, views } = appOn()
    await aggregates.parcel.execute('p1', mark('red', 'blue', 'red'))
    await aggregates.parcel.execute('p2', mark('red'))
    await aggregates.parcel.execute('p3', mark())
    expect((await views.colours.load('red'))?.view).toEqual({ parcels: ['p1', 'p2'] })
    expect((await views.colours.load('blue'))?.view).toEqual({ parcels: ['p1'] })
    expect((await views.colours.find()).items.map(({ id }) => id)).toEqual(['blue', 'red'])
    await aggregates.parcel.execute('p1', lose)
    expect((await views.colours.load('red'))?.version).toBe(2)
  })

  test('one event may update thousands of rows', async () => {
    const { aggregates, views } = appOn()
    const colours = Array.from({ length: 10_000 }, (_, i) => `c${i}`)
    await aggregates.parcel.execute('p1', mark(...colours))
    expect((await views.colours.load('c9999'))?.view).toEqual({ parcels: ['p1'] })
  })

  test.each(['__proto__', 'constructor', 'a/b:c#d', '🦆', '%'])('the id of a row may be %j', async (id) => {
    const { aggregates, views } = appOn()
    await aggregates.parcel.execute('p1', mark(id))
    expect(await views.colours.load(id)).toMatchObject({ id, view: { parcels: ['p1'] } })
    expect((await views.colours.find()).items).toHaveLength(1)
  })

  test.each([[''], ['x'.repeat(256)], [7], [null]])('the id of a row must not be %j, and nothing is stored', async (id) => {
    const store = memoryStore()
    const error = await failureOf(appOn(store).aggregates.parcel.execute('p1', mark(id as string)))
    expect(error).toMatchObject({ code: 'APPLY', aggregateType: 'parcel', aggregateId: 'p1', sequence: 1 })
    expect(error.message).toContain("id of the view 'colours'")
    expect(await store.lastPosition()).toBeUndefined()
  })
})

describe('concurrent commands that update one row', () => {
  test.each([1, 2])('64 commands on one row in %i processes all succeed with one decision each', async (processes) => {
    const store = memoryStore()
    let handled = 0
    const stamp = defineAggregate({
      type: 'stamp',
      events: { Stamped: typed<{ by: number }>() },
      commands: { Stamp: typed<{ by: number }>() },
      initialState: () => 0,
    }).implement({
      handle: {
        Stamp: (_, { by }) => {
          handled++
          return { type: 'Stamped', data: { by } }
        },
      },
      apply: { Stamped: (n) => n + 1 },
    })
    const total = defineView({
      name: 'total',
      aggregates: [stamp],
      initialView: () => ({ sum: 0, times: 0 }),
      id: () => 'all',
      update: { Stamped: ({ sum, times }, { data }) => ({ sum: sum + data.by, times: times + 1 }) },
    })
    let rowsMoved = 0
    const observe = (what: Observation) => {
      if (what.kind === 'retry') rowsMoved++
    }
    const apps = Array.from({ length: processes }, () => createApp({ store, aggregates: { stamp }, views: { total }, observe }))
    const [first] = apps
    if (!first) throw new Error('no app')
    const numbers = Array.from({ length: 64 }, (_, i) => i)
    const results = await Promise.all(
      numbers.map((by) => (apps[by % processes] ?? first).aggregates.stamp.execute(`s${by}`, { type: 'Stamp', data: { by } })),
    )
    expect(results.every(({ ok }) => ok)).toBe(true)
    expect(handled).toBe(64)
    if (processes === 1) expect(rowsMoved).toBe(0)
    expect(await first.views.total.load('all')).toEqual({ id: 'all', view: { sum: 2016, times: 64 }, version: 64 })
  })

  test('commits that write the same rows in different orders do not deadlock', async () => {
    const { aggregates, views } = appOn()
    const orders = [mark('a', 'b', 'c'), mark('c', 'b', 'a'), mark('b', 'a', 'c')]
    await Promise.all(Array.from({ length: 30 }, (_, i) => aggregates.parcel.execute(`p${i}`, orders[i % 3] ?? mark())))
    for (const id of ['a', 'b', 'c']) expect((await views.colours.load(id))?.view.parcels).toHaveLength(30)
  })
})

test('a view of several aggregates receives the events of all of them', async () => {
  const letter = defineAggregate({
    type: 'letter',
    events: { Sent: typed<{ to: string }>() },
    commands: { Send: typed<{ to: string }>() },
    initialState: () => 0,
  }).implement({ handle: { Send: (_, data) => ({ type: 'Sent', data }) }, apply: { Sent: (n) => n + 1 } })
  const post = defineView({
    name: 'post',
    aggregates: [parcel, letter],
    initialView: () => ({ sent: [] as readonly string[] }),
    id: (event) => (event.type === 'Sent' ? event.data.to : []),
    update: { Sent: ({ sent }, event) => ({ sent: [...sent, event.aggregateType] }) },
  })
  const { aggregates, views } = createApp({ store: memoryStore(), aggregates: { parcel, letter }, views: { post } })
  await aggregates.parcel.execute('x', send('bern'))
  await aggregates.letter.execute('x', { type: 'Send', data: { to: 'bern' } })
  expect((await views.post.load('bern'))?.view).toEqual({ sent: ['parcel', 'letter'] })
  const alone = () => createApp({ store: memoryStore(), aggregates: { parcel }, views: { post } })
  expect(thrownBy(alone)).toMatchObject({ code: 'DEFINITION', message: expect.stringContaining("'letter'") })
})
