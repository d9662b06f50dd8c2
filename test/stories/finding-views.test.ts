import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'

const tag = defineAggregate({
  type: 'tag',
  events: { Set: typed<{ colour: string; size: number }>() },
  commands: { Set: typed<{ colour: string; size: number }>() },
  initialState: () => 0,
}).implement({ handle: { Set: (_, data) => ({ type: 'Set', data }) }, apply: { Set: (n) => n + 1 } })

const makeTags = (factor = 1, viewVersion = 1) =>
  defineView({
    name: 'tags',
    aggregates: [tag],
    initialView: () => ({ colour: '', size: 0, sets: 0 }),
    update: { Set: ({ sets }, { data }) => ({ ...data, size: data.size * factor, sets: sets + 1 }) },
    indexes: ['colour', 'size'],
    viewVersion,
  })

const appOn = (store = memoryStore(), tags = makeTags()) => createApp({ store, aggregates: { tag }, views: { tags } })
const set = (colour: string, size = 1) => ({ type: 'Set', data: { colour, size } }) as const

async function twelve() {
  const app = appOn()
  for (let i = 0; i < 12; i++) await app.aggregates.tag.execute(`t${i}`, set(i % 2 ? 'red' : 'blue', i % 3))
  return app.views.tags
}
const idsOf = ({ items }: { items: readonly { id: string }[] }) => items.map(({ id }) => id)

describe('find()', () => {
  test('find() returns the views that meet all conditions, in byte order of their ids', async () => {
    const tags = await twelve()
    expect(idsOf(await tags.find({ colour: 'red' }))).toEqual(['t1', 't11', 't3', 't5', 't7', 't9'])
    expect(idsOf(await tags.find({ colour: 'red', size: 0 }))).toEqual(['t3', 't9'])
    expect(await tags.find({ colour: 'green' })).toEqual({ items: [] })
    expect((await tags.find({ colour: 'red', size: 0 })).items[0]).toEqual({
      id: 't3',
      view: { colour: 'red', size: 0, sets: 1 },
      version: 1,
    })
  })

  test('find() returns page after page until there is no next', async () => {
    const tags = await twelve()
    const pages: string[][] = []
    let after: string | undefined
    do {
      const page = await tags.find({ colour: 'red' }, { limit: 4, ...(after === undefined ? {} : { after }) })
      pages.push(idsOf(page))
      after = page.next
    } while (after !== undefined)
    expect(pages).toEqual([
      ['t1', 't11', 't3', 't5'],
      ['t7', 't9'],
    ])
    expect('next' in (await tags.find({ colour: 'red' }, { limit: 6 }))).toBe(false)
    expect((await tags.find({}, { limit: 1 })).next).toBe('t0')
  })

  test('find() returns 100 views without a limit', async () => {
    const { aggregates, views } = appOn()
    for (let i = 0; i < 101; i++) await aggregates.tag.execute(`${i}`, set('red'))
    const page = await views.tags.find()
    expect(page.items).toHaveLength(100)
    expect((await views.tags.find({}, { limit: 1_000 })).items).toHaveLength(101)
    expect((await views.tags.find({}, { after: page.next as string })).items).toHaveLength(1)
  })

  test.each<[object, object, string]>([
    [{ sets: 1 }, {}, "no index 'sets'"],
    [{ __proto: 1 }, {}, "no index '__proto'"],
    [{ colour: undefined }, {}, 'undefined'],
    [{}, { limit: 0 }, 'limit'],
    [{}, { limit: 1_001 }, 'at most 1000'],
    [{}, { limit: 1.5 }, 'limit'],
    [{}, { limit: '10' }, "'10'"],
    [{}, { after: '' }, 'after'],
    [{}, { after: 7 }, 'after'],
    [{}, { lmit: 1 }, "no option 'lmit'"],
    [{}, null as unknown as object, 'takes an object of options'],
    [null as unknown as object, {}, 'an object of values by index'],
  ])('find() refuses %j with %j', async (where, options, words) => {
    const error = await failureOf(appOn().views.tags.find(where, options))
    expect(error.code).toBe('VALIDATION')
    expect(error.message).toContain("View 'tags'")
    expect(error.message).toContain(words)
  })

  test('load() refuses an empty id', async () => {
    expect((await failureOf(appOn().views.tags.load(''))).code).toBe('VALIDATION')
  })
})

describe('a view with a new generation', () => {
  test('a running app reads and writes the new generation after the switch', async () => {
    const store = memoryStore()
    const { aggregates, views } = appOn(store)
    await aggregates.tag.execute('t', set('red', 1))
    expect((await views.tags.load('t'))?.view.sets).toBe(1)
    await store.addViewGeneration({ name: 'tags', generation: 1, viewVersion: '1' })
    expect(await store.addViewGeneration({ name: 'tags', generation: 2, viewVersion: '1' })).toBe(true)
    await aggregates.tag.execute('t', set('red', 2))
    expect(await store.switchViewGeneration({ name: 'tags', from: 1, to: 2 })).toBe(true)
    expect(await aggregates.tag.execute('t', set('blue', 3))).toMatchObject({ ok: true, sequence: 3 })
    const key = { name: 'tags', id: 't' }
    const [old, now] = await store.readViews([
      { ...key, generation: 1 },
      { ...key, generation: 2 },
    ])
    expect(old).toMatchObject({ view: { colour: 'red', sets: 2 } })
    expect(now).toMatchObject({ view: { colour: 'blue', size: 3, sets: 3 } })
    expect((await views.tags.load('t'))?.view).toEqual({ colour: 'blue', size: 3, sets: 3 })
  })

  test('a command during a switch is decided once', async () => {
    const store = memoryStore()
    const seen: unknown[] = []
    const { aggregates } = createApp({
      store,
      aggregates: { tag },
      views: { tags: makeTags() },
      observe: (what) => what.kind === 'command' && seen.push(what.attempts),
    })
    await aggregates.tag.execute('t', set('red'))
    await store.addViewGeneration({ name: 'tags', generation: 2, viewVersion: '1' })
    await store.switchViewGeneration({ name: 'tags', from: 1, to: 2 })
    await Promise.all([1, 2, 3].map((size) => aggregates.tag.execute('t', set('red', size))))
    expect(seen).toEqual([1, 1, 1, 1])
  })

  test('every aggregate is projected into the new generation, also when its old row is cached', async () => {
    const store = memoryStore()
    const { aggregates, views } = appOn(store)
    await aggregates.tag.execute('t1', set('red'))
    await aggregates.tag.execute('t2', set('red'))
    await store.addViewGeneration({ name: 'tags', generation: 2, viewVersion: '1' })
    const rebuilt = { name: 'tags', generation: 2, expectedVersion: 0, view: { colour: 'red', size: 1, sets: 41 }, sequence: 1 }
    const rows = ['t1', 't2'].map((id) => ({ ...rebuilt, id, indexes: [] }))
    expect(await store.append([{ id: 'rebuilt', appends: [], views: rows }])).toMatchObject([{ kind: 'stored' }])
    await store.switchViewGeneration({ name: 'tags', from: 1, to: 2 })
    await aggregates.tag.execute('t1', set('blue'))
    await aggregates.tag.execute('t2', set('blue'))
    expect((await views.tags.load('t1'))?.view.sets).toBe(42)
    expect((await views.tags.load('t2'))?.view.sets).toBe(42)
  })

  test('an app that has read the old generation and never writes reads the new one', async () => {
    const store = memoryStore()
    const { aggregates } = appOn(store)
    const reader = appOn(store).views.tags
    await aggregates.tag.execute('t', set('red', 1))
    expect((await reader.load('t'))?.view.sets).toBe(1)
    await store.addViewGeneration({ name: 'tags', generation: 2, viewVersion: '1' })
    const rebuilt = { name: 'tags', generation: 2, id: 't', expectedVersion: 0, view: { colour: 'blue', size: 1, sets: 9 } }
    const settled = { name: '~ready', generation: 1, id: '2/tags', expectedVersion: 0, view: {} }
    await store.append([{ id: 'rebuilt', appends: [], views: [{ ...rebuilt, indexes: [] }, settled] }])
    await store.switchViewGeneration({ name: 'tags', from: 1, to: 2 })
    await store.removeViewGeneration({ name: 'tags', generation: 1 })
    expect((await reader.load('t'))?.view.sets).toBe(9)
    expect((await reader.find()).items.map(({ view }) => view.colour)).toEqual(['blue'])
  })
})

describe('the next cursor of a page', () => {
  const listed = defineView({
    name: 'listed',
    aggregates: [counter],
    initialView: () => ({ total: 0 }),
    update: { Counted: (view, { data }) => ({ total: view.total + data.by }) },
    indexes: ['total'],
  })
  const ids = ['["a"]', '["a","b"]', '[', 'a', 'b']
  async function filled() {
    const app = createApp({ store: memoryStore(), aggregates: { counter }, views: { listed } })
    for (const id of ids) await app.aggregates.counter.execute(id, count(1))
    return app.views.listed
  }

  test('a cursor is refused by a find() in another order', async () => {
    const views = await filled()
    const ordered = await views.find({}, { orderBy: 'total', limit: 1 })
    const plain = await views.find({}, { limit: 1 })
    for (const asked of [views.find({}, { after: ordered.next }), views.find({}, { orderBy: 'total', after: plain.next })])
      expect(await failureOf(asked)).toMatchObject({
        code: 'VALIDATION',
        message: expect.stringContaining('after must be the next of a page with the same order'),
      })
  })

  test('a cursor continues after every id', async () => {
    const views = await filled()
    for (const options of [{}, { orderBy: 'total' as const }]) {
      const found: string[] = []
      for (let after: string | undefined; ; ) {
        const page = await views.find({}, { ...options, limit: 1, after })
        found.push(...page.items.map(({ id }) => id))
        after = page.next
        if (after === undefined) break
      }
      expect(found).toEqual([...ids].sort())
    }
  })
})
