import { createApp, defineView } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test } from 'vitest'
import { failureOf, gate } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { storedBefore } from '../support/stored.ts'
import { changed } from '../support/stores.ts'
import { sizesOf, totalsOf } from '../support/totals.ts'

const apps: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()))
})
function appOn(store = memoryStore()) {
  const views = { totals: totalsOf('async'), sizes: sizesOf('async') }
  const app = createApp({ store, aggregates: { counter }, views, observe: () => {} })
  apps.push(app)
  return app
}

describe('an async view', () => {
  test('an async view is written by a drain or a started app, not by commands', async () => {
    const app = appOn()
    await app.aggregates.counter.execute('a', countEach(1, 2))
    expect(await app.views.totals.load('a')).toBeUndefined()
    await app.drain()
    expect(await app.views.totals.load('a')).toEqual({ id: 'a', view: { total: 3, count: 2 }, version: 1 })
    await app.start()
    await app.aggregates.counter.execute('a', count(4))
    await app.views.totals.caughtUp()
    expect((await app.views.totals.load('a'))?.view).toEqual({ total: 7, count: 3 })
    expect((await app.views.sizes.load('by-4'))?.view).toEqual({ times: 1, last: 'a' })
  })

  test('load() with fresh returns the latest row of one aggregate without waiting', async () => {
    const app = appOn()
    await app.aggregates.counter.execute('a', countEach(1, 2))
    expect(await app.views.totals.load('a', { fresh: true })).toMatchObject({ view: { total: 3, count: 2 } })
    await app.drain()
    await app.aggregates.counter.execute('a', count(4))
    expect(await app.views.totals.load('a')).toMatchObject({ view: { total: 3 } })
    expect(await app.views.totals.load('a', { fresh: true })).toMatchObject({ view: { total: 7, count: 3 } })
    expect(await app.views.totals.load('nobody', { fresh: true })).toBeUndefined()
    const failure = await failureOf(app.views.sizes.load('by-1', { fresh: true }))
    expect(failure).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('Use waitFor for this view') })
    expect((await failureOf(app.views.totals.load('a', { fresh: 'yes' as never }))).code).toBe('VALIDATION')
  })

  test('an async view and its checkpoint are stored together or not at all', async () => {
    const store = memoryStore()
    let broken = true
    const failing = changed(store, {
      append: async (commits) => {
        const fails = broken && commits.some(({ checkpoint }) => checkpoint !== undefined)
        return fails
          ? commits.map(() => ({ kind: 'failed', certain: true, cause: new Error('down') }) as const)
          : store.append(commits)
      },
    })
    const app = appOn(failing)
    await app.aggregates.counter.execute('a', countEach(1, 2))
    expect((await failureOf(app.drain())).code).toBe('STORE_FAILED')
    expect(await store.readCheckpoint('view/1/totals')).toBeUndefined()
    expect(await app.views.totals.load('a')).toBeUndefined()
    broken = false
    expect(await app.drain()).toMatchObject({ caughtUp: true })
    expect(await app.views.totals.load('a')).toMatchObject({ view: { total: 3 }, version: 1 })
  })

  test('an async view counts each event once when the answer of an append is lost', async () => {
    const store = memoryStore()
    let lost = 0
    const losing = changed(store, {
      append: async (commits) => {
        const outcomes = await store.append(commits)
        if (lost++ % 2 === 0) return outcomes
        return commits.map(() => ({ kind: 'failed', certain: false, cause: new Error('cut') }) as const)
      },
    })
    const app = appOn(losing)
    for (let i = 0; i < 5; i++) {
      await app.aggregates.counter.execute('a', count(1))
      await app.drain()
    }
    expect((await app.views.totals.load('a'))?.view).toEqual({ total: 5, count: 5 })
    expect((await app.views.sizes.load('by-1'))?.view.times).toBe(5)
  })

  test('an async view stops at an event that update fails on, and continues after resume()', async () => {
    const store = memoryStore()
    let broken = true
    const fragile = defineView({
      name: 'fragile',
      aggregates: [counter],
      initialView: () => ({ total: 0 }),
      update: {
        Counted: (view, event) => {
          if (broken && event.data.by === 13) throw new Error('unlucky')
          return { total: view.total + event.data.by }
        },
      },
      consistency: 'async',
    })
    const app = createApp({ store, aggregates: { counter }, views: { fragile }, observe: () => {} })
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.aggregates.counter.execute('b', countEach(5, 13, 7))
    await app.aggregates.counter.execute('a', count(3))
    expect(await app.drain()).toEqual({ caughtUp: false, events: 3 })
    expect((await app.views.fragile.load('a'))?.view).toEqual({ total: 3 })
    expect((await app.views.fragile.load('b'))?.view).toEqual({ total: 5 })
    const failure = await failureOf(app.views.fragile.caughtUp())
    expect(failure).toMatchObject({ code: 'STOPPED', eventId: 'counter/b/2', cause: { code: 'APPLY' } })
    for await (const status of app.views.fragile.status()) {
      expect(status).toMatchObject({ state: 'stopped', lag: 3 })
      break
    }
    expect(await app.aggregates.counter.execute('a', count(1))).toMatchObject({ ok: true })
    broken = false
    await app.views.fragile.resume()
    await app.views.fragile.caughtUp()
    expect((await app.views.fragile.load('b'))?.view).toEqual({ total: 25 })
    expect((await app.views.fragile.load('a'))?.view).toEqual({ total: 7 })
  })

  test('an async view stops at an event that cannot be read, and names it', async () => {
    const store = memoryStore()
    const app = appOn(store)
    await storedBefore(store, 'counter', 'old', { type: 'Counted', data: { by: 1 } }, { type: 'Gone', data: {} })
    await app.drain()
    expect((await app.views.totals.load('old'))?.view.count).toBe(1)
    expect(await failureOf(app.views.totals.caughtUp())).toMatchObject({ code: 'STOPPED', eventId: 'counter/old/2' })
  })

  test('an async view projects each event once with two concurrent processes', async () => {
    const store = memoryStore()
    const [one, two] = [appOn(store), appOn(store)]
    await one.start()
    await two.start()
    await Promise.all(
      Array.from({ length: 60 }, (_, i) => (i % 2 ? one : two).aggregates.counter.execute(`c${i % 7}`, count(1 + (i % 3)))),
    )
    await Promise.all([one.views.totals.caughtUp(), two.views.sizes.caughtUp()])
    const { items } = await one.views.totals.find()
    expect(items.reduce((sum, { view }) => sum + view.count, 0)).toBe(60)
    const sizes = (await two.views.sizes.find()).items
    expect(sizes.map(({ view }) => view.times)).toEqual([20, 20, 20])
  })
})

describe('a wait for a view', () => {
  test('waitFor shows what the command wrote, whichever process runs the view', async () => {
    const store = memoryStore()
    const writer = appOn(store)
    await writer.aggregates.counter.execute('a', count(1), { waitFor: ['totals', 'sizes'] })
    expect((await writer.views.totals.load('a'))?.view.total).toBe(1)
    expect((await writer.views.sizes.load('by-1'))?.view.times).toBe(1)
    const runner = appOn(store)
    await runner.start()
    for (let i = 0; i < 10; i++) {
      const result = await writer.aggregates.counter.execute('a', count(1), { waitFor: ['totals'] })
      expect((await writer.views.totals.load('a'))?.view.total).toBe(result.ok && result.state.total)
    }
  })

  test('waitFor returns at once after a rejection, without events, or for an inline view', async () => {
    const store = memoryStore()
    const views = { totals: totalsOf('inline') }
    const app = createApp({ store, aggregates: { counter }, views })
    expect(await app.aggregates.counter.execute('a', count(-1), { waitFor: ['totals'] })).toMatchObject({ ok: false })
    expect(await app.aggregates.counter.execute('a', countEach(), { waitFor: ['totals'] })).toMatchObject({ ok: true })
    expect(await app.aggregates.counter.execute('a', count(1), { waitFor: ['totals'] })).toMatchObject({ ok: true })
    await app.views.totals.caughtUp()
  })

  test('waitFor that times out reports that the command is stored, with its result', async () => {
    const store = memoryStore()
    await store.acquireLease({ name: 'view/1/totals', holder: 'somebody', ttlMs: 60_000 })
    const app = appOn(store)
    const failure = await failureOf(app.aggregates.counter.execute('a', count(5), { waitFor: ['totals'], timeoutMs: 30 }))
    expect(failure).toMatchObject({ code: 'NOT_YET', result: { ok: true, sequence: 1, state: { total: 5 } } })
    expect(failure.message).toContain("was stored, but the view 'totals' does not show it yet")
    expect((await app.aggregates.counter.load('a')).sequence).toBe(1)
    const caught = await failureOf(app.views.totals.caughtUp({ timeoutMs: 30 }))
    expect(caught).toMatchObject({ code: 'NOT_YET', message: expect.stringContaining('Another process runs it') })
  })

  test('app.waitFor() can wait for a position', async () => {
    const app = appOn()
    const result = await app.aggregates.counter.execute('a', count(5))
    const position = result.ok && result.events[0]?.position
    if (!position) throw new Error('no position')
    await app.waitFor('totals', position)
    expect((await app.views.totals.load('a'))?.view.total).toBe(5)
    expect((await failureOf(app.waitFor('total' as 'totals', position))).message).toContain("there is no view 'total'")
    expect((await failureOf(app.waitFor('totals', 'x' as never))).code).toBe('VALIDATION')
    expect((await failureOf(app.waitFor('totals', position, { timeoutMs: -1 }))).code).toBe('VALIDATION')
  })

  test.each([{ waitFor: 'totals' }, { waitFor: ['total'] }, { timeoutMs: -1 }])('execute() refuses %j', async (options) => {
    const failure = await failureOf(appOn().aggregates.counter.execute('a', count(5), options as never))
    expect(failure.code).toBe('VALIDATION')
  })

  test('caughtUp() and drain() do not run one view at the same time', async () => {
    const store = memoryStore()
    const door = gate()
    let reads = 0
    const slow = changed(store, {
      readFeed: async (request) => {
        if (reads++ === 0) await door.pass()
        return store.readFeed(request)
      },
    })
    const app = appOn(slow)
    await app.aggregates.counter.execute('a', count(1))
    const drained = app.drain()
    await door.reached
    const waited = app.views.totals.caughtUp()
    door.open()
    await Promise.all([drained, waited])
    expect(await app.views.totals.load('a')).toMatchObject({ view: { count: 1 }, version: 1 })
  })
})

describe('find() by ranges and in order', () => {
  const found = async (app: ReturnType<typeof appOn>, ...args: Parameters<ReturnType<typeof appOn>['views']['totals']['find']>) =>
    (await app.views.totals.find(...args)).items.map(({ id }) => id)

  async function filled() {
    const app = appOn()
    for (const [id, by] of Object.entries({ a: 5, b: 100, c: 20, d: 5, e: 0.5 }))
      await app.aggregates.counter.execute(id, count(by))
    await app.drain()
    return app
  }

  test('find() returns the rows within a range', async () => {
    const app = await filled()
    expect(await found(app, { total: { gte: 5, lt: 100 } })).toEqual(['a', 'c', 'd'])
    expect(await found(app, { total: { gt: 5 } })).toEqual(['b', 'c'])
    expect(await found(app, { total: { lte: 0.5 } })).toEqual(['e'])
    expect(await found(app, { total: 20 })).toEqual(['c'])
  })

  test('find() ignores an undefined bound', async () => {
    const app = await filled()
    expect(await found(app, { total: { gte: 20, lt: undefined } })).toEqual(['b', 'c'])
    expect(await found(app, { total: { gte: undefined, lt: undefined } })).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect((await failureOf(app.views.totals.find({ total: {} }))).code).toBe('VALIDATION')
    expect((await failureOf(app.views.totals.find({ total: undefined } as never))).code).toBe('VALIDATION')
  })

  test('find() returns pages in the order of an index, ascending or descending', async () => {
    const app = await filled()
    for (const [descending, order] of [
      [false, ['e', 'a', 'd', 'c', 'b']],
      [true, ['b', 'c', 'a', 'd', 'e']],
    ] as const) {
      const ids: string[] = []
      let after: string | undefined
      do {
        const page = await app.views.totals.find({}, { orderBy: 'total', descending, limit: 2, ...(after && { after }) })
        ids.push(...page.items.map(({ id }) => id))
        after = page.next
      } while (after !== undefined)
      expect(ids).toEqual(order)
    }
  })

  test.each([
    [{ total: {} }, {}, 'a range of them'],
    [{ total: { ge: 5 } }, {}, 'a range of them'],
    [{ total: { gt: {} } }, {}, 'must be a text'],
    [{}, { orderBy: 'count' }, "has no index 'count'"],
    [{}, { descending: true }, 'descending needs orderBy'],
    [{}, { orderBy: 'total', descending: 1 }, 'descending must be true or false'],
    [{}, { orderBy: 'total', after: 'a' }, 'the next of a page with the same order'],
    [{}, { orderBy: 'total', after: '["a"]' }, 'the next of a page with the same order'],
    [{}, { orderBy: 'total', after: '["a",{}]' }, 'the next of a page with the same order'],
  ])('find() refuses %j with %j', async (where, options, words) => {
    const failure = await failureOf(appOn().views.totals.find(where as never, options as never))
    expect(failure).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining(words) })
  })
})
