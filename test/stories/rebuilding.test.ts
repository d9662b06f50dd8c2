import { createApp, type RebuildProgress, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test } from 'vitest'
import { failureOf, gate } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { changed } from '../support/stores.ts'
import { sizesOf, totalsOf } from '../support/totals.ts'

const apps: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()))
})
function appOn(store: Store, consistency: 'inline' | 'async', { viewVersion = 1, times = 1 } = {}) {
  const views = { totals: totalsOf(consistency, { viewVersion, times }), sizes: sizesOf(consistency) }
  const app = createApp({ store, aggregates: { counter }, views, observe: () => {}, following: { pollMs: 20 } })
  apps.push(app)
  return app
}
type Bank = ReturnType<typeof appOn>

/** Breaks rows as a bug in an old `update` would have. */
async function spoil(store: Store, name: string, id: string) {
  const [row] = await store.readViews([{ name, generation: 'live', id }])
  if (row === undefined) throw new Error('no row')
  const write = {
    name,
    generation: row.generation,
    id,
    expectedVersion: row.version,
    view: { total: -1, count: -1, times: -1, last: '' },
  }
  const sequence = row.sequence === undefined ? {} : { sequence: row.sequence }
  await store.append([{ id: crypto.randomUUID(), appends: [], views: [{ ...write, ...sequence, indexes: [] }] }])
}

describe.each(['inline', 'async'] as const)('a rebuild of an %s view', (consistency) => {
  test('a rebuild replaces every row, and reads and commands use the new rows', async () => {
    const store = memoryStore()
    const app = appOn(store, consistency)
    for (let i = 1; i <= 10; i++) await app.aggregates.counter.execute(`c${i % 3}`, count(i))
    await app.drain()
    await spoil(store, 'totals', 'c1')
    await spoil(store, 'sizes', 'by-1')
    expect((await app.views.totals.load('c1'))?.view.total).toBe(-1)
    const progress: RebuildProgress[] = []
    await app.views.totals.rebuild({ onProgress: (one) => progress.push(one) })
    await app.views.sizes.rebuild()
    expect(progress.at(-1)).toMatchObject({ events: 10, total: 10, remainingMs: 0, done: true })
    expect((await app.views.totals.load('c1'))?.view).toEqual({ total: 22, count: 4 })
    expect((await app.views.sizes.load('by-1'))?.view).toEqual({ times: 1, last: 'c1' })
    expect((await app.views.totals.find({ total: 22 })).items.map(({ id }) => id)).toEqual(['c1'])
    await app.aggregates.counter.execute('c1', count(1))
    await app.drain()
    expect((await app.views.totals.load('c1'))?.view).toEqual({ total: 23, count: 5 })
    expect((await app.views.sizes.load('by-1'))?.view).toEqual({ times: 2, last: 'c1' })
    expect((await store.viewGenerations('totals')).at(-1)).toEqual({ generation: 2, viewVersion: '1', state: 'live' })
  })

  test('repeated rebuilds keep only the live rows and those before', async () => {
    const store = memoryStore()
    const app = appOn(store, consistency)
    await app.aggregates.counter.execute('c', count(1))
    for (let i = 0; i < 3; i++) await app.views.totals.rebuild()
    expect((await store.viewGenerations('totals')).map(({ generation, state }) => [generation, state])).toEqual([
      [3, 'retired'],
      [4, 'live'],
    ])
    expect((await app.views.totals.load('c'))?.view.total).toBe(1)
  })

  test('a rebuild runs beside commands of two processes, and no reader sees a wrong row', async () => {
    const store = memoryStore()
    const [one, two] = [appOn(store, consistency), appOn(store, consistency)]
    if (consistency === 'async') await one.start()
    let writing = true
    const acknowledged = new Map<string, number>()
    const begun = new Map<string, number>()
    const write = async (app: Bank, id: string) => {
      for (let n = 1; writing; n++) {
        begun.set(id, n)
        await app.aggregates.counter.execute(id, count(1))
        acknowledged.set(id, n)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const read = async (app: Bank, id: string) => {
      for (let last = 0; writing; ) {
        const least = consistency === 'inline' ? (acknowledged.get(id) ?? 0) : last
        const seen = (await app.views.totals.load(id))?.view.count ?? 0
        expect(seen).toBeGreaterThanOrEqual(least)
        expect(seen).toBeLessThanOrEqual(begun.get(id) ?? 0)
        const found = (await app.views.totals.find({ total: { gte: 0 } })).items.find((item) => item.id === id)?.view.count ?? 0
        expect(found).toBeGreaterThanOrEqual(seen)
        last = found
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const ids = ['a', 'b', 'c']
    const busy = [
      ...ids.map((id, i) => write(i === 1 ? two : one, id)),
      ...ids.map((id) => read(two, id)),
      ...ids.map((id) => read(one, id)),
    ]
    for (let i = 0; i < 5; i++) {
      await (i % 2 ? one : two).views.totals.rebuild()
      await one.views.sizes.rebuild()
    }
    writing = false
    await Promise.all(busy)
    await one.drain()
    let times = 0
    for (const id of ids) {
      expect((await two.views.totals.load(id))?.view.count).toBe(acknowledged.get(id))
      times += acknowledged.get(id) ?? 0
    }
    expect((await two.views.sizes.load('by-1'))?.view.times).toBe(times)
  })

  test('an interrupted rebuild resumes', async () => {
    const store = memoryStore()
    const app = appOn(store, consistency)
    for (let i = 0; i < 2_500; i++) await app.aggregates.counter.execute(`c${i % 50}`, count(1))
    await app.drain()
    let reads = 0
    const stop = new AbortController()
    const counting = changed(store, {
      readFeed: (request) => {
        if (++reads === 2) stop.abort(new Error('enough'))
        return store.readFeed({ ...request, limit: 500 })
      },
    })
    const other = appOn(counting, consistency)
    expect((await failureOf(other.views.totals.rebuild({ signal: stop.signal }))).message).toBe('enough')
    const position = (await store.readCheckpoint('view/2/totals'))?.position
    expect(Number(position ?? 0)).toBeLessThan(2_500)
    await app.views.totals.rebuild()
    expect((await store.viewGenerations('totals')).at(-1)).toMatchObject({ generation: 2, state: 'live' })
    expect((await app.views.totals.load('c7'))?.view.count).toBe(50)
  })

  test('concurrent rebuilds by two processes are one rebuild', async () => {
    const store = memoryStore()
    const [one, two] = [appOn(store, consistency), appOn(store, consistency)]
    for (let i = 0; i < 20; i++) await one.aggregates.counter.execute(`c${i % 3}`, count(1))
    await Promise.all([one.views.totals.rebuild(), two.views.totals.rebuild()])
    expect((await store.viewGenerations('totals')).at(-1)).toMatchObject({ state: 'live' })
    expect((await two.views.totals.load('c1'))?.view.count).toBe(7)
    expect((await one.views.totals.find()).items.length).toBe(3)
  })

  test('a rebuild of one row replaces that row in place', async () => {
    const store = memoryStore()
    const app = appOn(store, consistency)
    await app.aggregates.counter.execute('c1', count(5))
    await app.drain()
    await spoil(store, 'totals', 'c1')
    await app.views.totals.rebuild({ id: 'c1' })
    await app.views.totals.rebuild({ id: 'nobody' })
    expect((await app.views.totals.load('c1'))?.view).toEqual({ total: 5, count: 1 })
    expect(await app.views.totals.load('nobody')).toBeUndefined()
    await app.aggregates.counter.execute('c1', count(5))
    await app.drain()
    expect((await app.views.totals.load('c1'))?.view).toEqual({ total: 10, count: 2 })
    expect((await failureOf(app.views.sizes.rebuild({ id: 'by-1' }))).code).toBe('VALIDATION')
  })

  test('a rebuild starts by itself on start or drain when viewVersion was raised', async () => {
    const store = memoryStore()
    const old = appOn(store, consistency)
    for (let i = 0; i < 10; i++) await old.aggregates.counter.execute(`c${i % 3}`, count(1))
    await old.drain()
    await old.close()
    const drained = appOn(store, consistency, { viewVersion: 2, times: 10 })
    await drained.drain()
    expect((await drained.views.totals.load('c0'))?.view).toEqual({ total: 40, count: 4 })
    const started = appOn(store, consistency, { viewVersion: 3, times: 100 })
    await started.start()
    await started.views.totals.caughtUp()
    expect((await started.views.totals.find({ total: 400 })).items.length).toBe(1)
    expect((await store.viewGenerations('totals')).at(-1)).toMatchObject({ viewVersion: '3', state: 'live' })
  })

  test('an older program starts no rebuild and can no longer use the rows', async () => {
    const store = memoryStore()
    const old = appOn(store, consistency)
    await old.aggregates.counter.execute('c', count(1))
    await old.drain()
    const young = appOn(store, consistency, { viewVersion: 2, times: 10 })
    await young.drain()
    const restarted = appOn(store, consistency)
    await restarted.aggregates.counter.execute('d', count(1))
    await restarted.drain()
    expect((await store.viewGenerations('totals')).at(-1)).toMatchObject({ viewVersion: '2', state: 'live' })
    await young.drain()
    expect((await young.views.totals.load('d'))?.view.total).toBe(10)
    expect((await failureOf(old.views.totals.find())).code).toBe('VIEW_OUTDATED')
  })

  test('a program that is two versions older starts no rebuild, whatever was rebuilt since', async () => {
    const store = memoryStore()
    for (const viewVersion of [1, 2, 3]) {
      const app = appOn(store, consistency, { viewVersion })
      if (viewVersion === 1) await app.aggregates.counter.execute('c', count(1))
      await app.drain()
      if (viewVersion === 3) await app.views.totals.rebuild()
    }
    await appOn(store, consistency, { viewVersion: 2 }).drain()
    expect((await store.viewGenerations('totals')).at(-1)).toMatchObject({ viewVersion: '3', state: 'live' })
    const back = appOn(store, consistency, { viewVersion: 2, times: 5 })
    await back.views.totals.rebuild()
    expect((await back.views.totals.load('c'))?.view.total).toBe(5)
  })

  test('rebuild() refuses unknown and invalid options', async () => {
    const app = appOn(memoryStore(), consistency)
    for (const wrong of [{ onProgres: () => {} }, { onProgress: 1 }, { id: '' }, { signal: 1 }])
      expect((await failureOf(app.views.totals.rebuild(wrong as never))).code).toBe('VALIDATION')
  })
})

describe('programs with two versions of an inline view, side by side', () => {
  test('programs with two versions of an inline view both take commands and read correct rows', async () => {
    const store = memoryStore()
    const old = appOn(store, 'inline')
    const young = appOn(store, 'inline', { viewVersion: 2, times: 10 })
    const total = async (app: Bank, id: string) => (await app.views.totals.load(id))?.view.total
    await old.aggregates.counter.execute('a', count(1))
    await young.aggregates.counter.execute('a', count(1))
    expect([await total(old, 'a'), await total(young, 'a')]).toEqual([2, 20])
    expect((await old.views.totals.find()).items.map(({ view }) => view.total)).toEqual([2])
    expect((await failureOf(young.views.totals.find())).code).toBe('VIEW_OUTDATED')
    await young.drain()
    expect((await young.views.totals.find()).items.map(({ view }) => view.total)).toEqual([20])
    await old.aggregates.counter.execute('a', count(1))
    await old.aggregates.counter.execute('b', count(1))
    expect((await young.views.totals.find()).items.map(({ view }) => view.total)).toEqual([30, 10])
    await old.aggregates.counter.execute('a', count(1))
    expect([await total(old, 'a'), await total(young, 'a')]).toEqual([4, 40])
    await young.aggregates.counter.execute('b', count(1))
    expect([await total(old, 'b'), await total(young, 'b')]).toEqual([2, 20])
    expect((await failureOf(old.views.totals.find())).code).toBe('VIEW_OUTDATED')
  })

  test('a command that touches shared rows of another version is refused and stores nothing', async () => {
    const store = memoryStore()
    const make = (viewVersion: number) =>
      createApp({ store, aggregates: { counter }, views: { sizes: sizesOf('inline', { viewVersion }) } })
    const [old, young] = [make(1), make(2)]
    await old.aggregates.counter.execute('a', count(1))
    const failure = await failureOf(young.aggregates.counter.execute('a', count(1)))
    expect(failure).toMatchObject({ code: 'VIEW_OUTDATED', message: expect.stringContaining("the view 'sizes'") })
    expect((await old.aggregates.counter.load('a')).sequence).toBe(1)
    await young.drain()
    await young.aggregates.counter.execute('a', count(1))
    expect((await young.views.sizes.load('by-1'))?.view.times).toBe(2)
    expect((await failureOf(old.aggregates.counter.execute('a', count(1)))).code).toBe('VIEW_OUTDATED')
    expect((await old.aggregates.counter.load('a')).sequence).toBe(2)
  })

  test('a view that starts with a higher version has its first rows in that version', async () => {
    const store = memoryStore()
    const app = appOn(store, 'inline', { viewVersion: 7 })
    await app.aggregates.counter.execute('a', count(1))
    expect((await app.views.totals.load('a'))?.view.total).toBe(1)
    // Not the first generation, which every program of version 1 takes to be its own.
    expect((await store.viewGenerations('totals')).at(-1)).toEqual({ generation: 2, viewVersion: '7', state: 'live' })
  })
})

describe('a switch to rebuilt rows', () => {
  test('readers and commands wait until the new rows have what was stored before the switch', async () => {
    const store = memoryStore()
    const door = gate()
    let switched = false
    const slow = changed(store, {
      switchViewGeneration: async (change) => {
        // A command that knows nothing of the new rows is stored just before the switch.
        await bystander.aggregates.counter.execute('late', count(7))
        const done = await store.switchViewGeneration(change)
        switched = true
        return done
      },
      readFeed: async (request) => {
        if (switched) await door.pass()
        return store.readFeed(request)
      },
    })
    const bystander = appOn(store, 'inline')
    const app = appOn(slow, 'inline')
    await app.aggregates.counter.execute('a', count(1))
    const rebuilt = app.views.totals.rebuild()
    await door.reached
    let answered = false
    const read = app.views.totals.find().then((page) => {
      answered = true
      return page
    })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(answered).toBe(false)
    door.open()
    await rebuilt
    expect((await read).items.map(({ id, view }) => [id, view.total])).toEqual([
      ['a', 1],
      ['late', 7],
    ])
    expect((await bystander.views.totals.load('late'))?.view.total).toBe(7)
  })

  test('a reader finishes a switch whose process has died', async () => {
    const store = memoryStore()
    const app = appOn(store, 'inline')
    await app.aggregates.counter.execute('a', count(1))
    let switched = false
    const dying = changed(store, {
      switchViewGeneration: async (change) => {
        await app.aggregates.counter.execute('b', count(2))
        switched = await store.switchViewGeneration(change)
        return switched
      },
      readFeed: async (request) => {
        if (switched) throw new Error('killed')
        return store.readFeed(request)
      },
    })
    const rebuilt = await failureOf(appOn(dying, 'inline').views.totals.rebuild())
    expect(rebuilt.message).toContain('killed')
    const reader = appOn(store, 'inline')
    expect((await reader.views.totals.find()).items.map(({ view }) => view.total)).toEqual([1, 2])
    await reader.aggregates.counter.execute('b', count(2))
    expect((await app.views.totals.load('b'))?.view.total).toBe(4)
  })
})
