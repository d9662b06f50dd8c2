import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'

type Row = { total: number; tags: readonly unknown[]; by?: unknown }

/** An app with one view whose update is `update`. */
function appWith(update: (view: Row, by: number) => unknown, options: { cache?: false } = {}) {
  const store = memoryStore()
  const row = defineView({
    name: 'row',
    aggregates: [counter],
    initialView: (): Row => ({ total: 0, tags: [] }),
    update: { Counted: (view, { data }) => update(view, data.by) as Row },
  })
  const app = createApp({ store, aggregates: { counter }, views: { row }, ...options })
  return { store, c: app.aggregates.counter, rows: app.views.row }
}

describe('an update', () => {
  const cause = new Error('no idea')
  test.each<[string, (view: Row) => unknown, string]>([
    [
      'throws',
      () => {
        throw cause
      },
      'no idea',
    ],
    ['returns nothing', () => undefined, 'it returned undefined'],
    ['returns a promise', async (view) => view, 'it returned a promise'],
    ['returns a Date', (view) => ({ ...view, tags: [new Date(0)] }), 'tags[0] is a Date'],
    ['returns NaN', (view) => ({ ...view, total: Number.NaN }), 'total is NaN'],
    ['returns a Map', () => new Map(), 'it is a Map'],
    [
      'changes the view it is given',
      (view) => {
        view.total = 7
        return view
      },
      'read only',
    ],
  ])('an update that %s fails the command, and nothing is stored', async (_, update, words) => {
    const { store, c, rows } = appWith(update)
    const error = await failureOf(c.execute('c', count(1)))
    expect(error).toMatchObject({ code: 'APPLY', aggregateType: 'counter', aggregateId: 'c', sequence: 1 })
    expect(error.message).toContain("update.Counted of the view 'row' failed at event 1 (Counted) of counter 'c'")
    expect(error.message).toContain(words)
    expect(await store.lastPosition()).toBeUndefined()
    expect(await rows.load('c')).toBeUndefined()
  })

  test.each([{}, { cache: false as const }])('an update must not change a view that was read back (%j)', async (options) => {
    const { c, rows } = appWith((view, by) => {
      if (by < 2) return { ...view, total: by }
      ;(view.tags as unknown[]).push(by)
      return view
    }, options)
    await c.execute('c', count(1))
    expect((await failureOf(c.execute('c', count(2)))).code).toBe('APPLY')
    expect((await rows.load('c'))?.view).toEqual({ total: 1, tags: [] })
    expect(await c.execute('c', count(1))).toMatchObject({ ok: true, sequence: 2 })
  })

  test('an update must not change the result of the event before', async () => {
    const { store, c } = appWith((view, by) => {
      if (by < 2) return { ...view, tags: [by] }
      ;(view.tags as unknown[]).push(by)
      return view
    })
    expect(await failureOf(c.execute('c', countEach(1, 2)))).toMatchObject({ code: 'APPLY', sequence: 2 })
    expect(await store.lastPosition()).toBeUndefined()
  })

  test('an update that leaves undefined and -0 is stored as JSON', async () => {
    const received: unknown[] = []
    const { c, rows } = appWith((view) => {
      received.push(view)
      return { ...view, total: -0, by: undefined }
    })
    await c.execute('c', count(1))
    expect((await rows.load('c'))?.view).toStrictEqual({ total: 0, tags: [] })
    await c.execute('c', count(1))
    expect(received[1]).toStrictEqual({ total: 0, tags: [] })
  })
})

test('an id function that throws fails the command, and nothing is stored', async () => {
  const store = memoryStore()
  const cause = new Error('no id')
  const row = defineView({
    name: 'row',
    aggregates: [counter],
    initialView: () => ({}),
    id: () => {
      throw cause
    },
    update: { Counted: (view) => view },
  })
  const app = createApp({ store, aggregates: { counter }, views: { row } })
  const error = await failureOf(app.aggregates.counter.execute('c', count(1)))
  expect(error).toMatchObject({ code: 'APPLY', cause })
  expect(error.message).toContain("id of the view 'row'")
  expect(await store.lastPosition()).toBeUndefined()
})

test('a loaded view is frozen', async () => {
  const { c, rows } = appWith((view, by) => ({ ...view, tags: [{ by }] }))
  await c.execute('c', count(1))
  const loaded = await rows.load('c')
  expect(Object.isFrozen(loaded?.view)).toBe(true)
  expect(Object.isFrozen(loaded?.view.tags[0])).toBe(true)
  const [found] = (await rows.find()).items
  expect(Object.isFrozen(found?.view.tags)).toBe(true)
})

describe('defineView', () => {
  const good = { name: 'row', aggregates: [counter], initialView: () => ({ total: 0 }), update: {} } as const
  test.each<[string, object, string]>([
    ['a misspelt option', { index: ['total'] }, "no option 'index'"],
    ['an event the aggregates do not have', { update: { Cuonted: (view: unknown) => view } }, "'Cuonted'"],
    ['an update that is no function', { update: { Counted: 7 } }, 'update.Counted'],
    ['no name', { name: '' }, 'must not be empty'],
    ['a reserved name', { name: '~row' }, 'reserved'],
    ['no aggregate', { aggregates: [] }, 'at least one aggregate'],
    ['an aggregate twice', { aggregates: [counter, counter] }, 'twice'],
    ['an aggregate that is none', { aggregates: [{}] }, 'defineAggregate'],
    ['an initial view that is not JSON', { initialView: () => ({ at: new Date(0) }) }, 'at is a Date'],
    ['no initial view', { initialView: undefined }, 'initialView'],
    ['an index twice', { indexes: ['total', 'total'] }, 'twice'],
    ['an index that is no field', { indexes: ['totl'] }, "index 'totl' is not a field"],
    ['the index __proto__', { indexes: ['__proto__'] }, '__proto__'],
    ['an index of a view that is no object', { initialView: () => 0, indexes: ['total'] }, 'object'],
    ['an unknown consistency', { consistency: 'eventual' }, 'consistency'],
    ['a view version that is none', { viewVersion: '' }, 'viewVersion'],
  ])('defineView refuses %s', (_, wrong, words) => {
    const error = thrownBy(() => defineView({ ...good, ...wrong } as never))
    expect(error.code).toBe('DEFINITION')
    expect(error.message).toContain(words)
  })
})

describe('an index value', () => {
  const thing = defineAggregate({
    type: 'thing',
    events: { Set: typed<{ value: unknown }>() },
    commands: { Set: typed<{ value: unknown }>() },
    initialState: () => 0,
  }).implement({ handle: { Set: (_, data) => ({ type: 'Set', data }) }, apply: { Set: (n) => n + 1 } })
  const byValue = defineView({
    name: 'byValue',
    aggregates: [thing],
    initialView: (): { value?: string | number | boolean | null } => ({ value: null }),
    update: { Set: (_, { data }) => data as { value?: string } },
    indexes: ['value'],
  })
  const appOn = () => createApp({ store: memoryStore(), aggregates: { thing }, views: { byValue } })
  const set = (value: unknown) => ({ type: 'Set', data: { value } }) as const

  test('an index value may be a text, a number, a boolean or null, and finds only its own rows', async () => {
    const { aggregates, views } = appOn()
    const values = [
      '',
      '1',
      'true',
      'null',
      '__proto__',
      'constructor',
      "' OR 1=1",
      'é',
      'e\u0301',
      '🦆',
      'x'.repeat(255),
      1,
      0,
      -1,
      1.5,
      1e300,
      true,
      false,
      null,
    ]
    for (const [i, value] of values.entries()) await aggregates.thing.execute(`t${i}`, set(value))
    await aggregates.thing.execute('without', set(undefined))
    for (const [i, value] of values.entries())
      expect((await views.byValue.find({ value })).items.map(({ id }) => id)).toEqual([`t${i}`])
    expect((await views.byValue.find({ value: -0 })).items).toHaveLength(1)
    expect((await views.byValue.find()).items).toHaveLength(values.length + 1)
  })

  test('find() returns no row for an index value that the view no longer has', async () => {
    const { aggregates, views } = appOn()
    await aggregates.thing.execute('t', set('old'))
    await aggregates.thing.execute('t', set('new'))
    expect((await views.byValue.find({ value: 'old' })).items).toEqual([])
    expect((await views.byValue.find({ value: 'new' })).items).toMatchObject([{ id: 't', version: 2 }])
    await aggregates.thing.execute('t', set(undefined))
    expect((await views.byValue.find({ value: 'new' })).items).toEqual([])
  })

  test.each([
    ['x'.repeat(256), 'is 256 characters long'],
    [{ a: 1 }, 'must be a text, a finite number, a boolean or null'],
    [['a'], 'must be a text, a finite number, a boolean or null'],
  ])('an index value must not be %j, neither in a command nor in find()', async (value, words) => {
    const { aggregates, views } = appOn()
    const error = await failureOf(aggregates.thing.execute('t', set(value)))
    expect(error.code).toBe('APPLY')
    expect(error.message).toContain(`the index 'value' of the view 't' ${words}`)
    const asked = await failureOf(views.byValue.find({ value: value as string }))
    expect(asked.code).toBe('VALIDATION')
    expect(asked.message).toContain(words)
  })
})
