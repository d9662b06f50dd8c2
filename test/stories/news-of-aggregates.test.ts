import { createApp, defineSubscription, type Position, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { StoreError } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { standingStill } from '../support/runtime.ts'
import { changed, unordered } from '../support/stores.ts'
import { sizesOf, totalsOf } from '../support/totals.ts'

function appOn(
  store: Store,
  seen: string[] = [],
  options: { from?: 'now'; fail?: (id: string) => boolean; park?: boolean } = {},
) {
  const log = defineSubscription({
    name: 'log',
    aggregates: [counter],
    from: options.from ?? 'beginning',
    onFailure: options.park ? 'park' : 'stop',
    handle: ({ id }) => {
      if (options.fail?.(id)) throw new Error('odd')
      seen.push(id)
    },
  })
  return createApp({
    store,
    aggregates: { counter },
    views: { totals: totalsOf('async'), sizes: sizesOf('async') },
    subscriptions: { log },
    observe: () => {},
  })
}
const change = (aggregateId: string, sequence: number) => ({ aggregateType: 'counter', aggregateId, sequence })

describe('on a store without a global order', () => {
  test('late, duplicate and unordered records deliver each event once and in order', async () => {
    const seen: string[] = []
    const app = appOn(unordered(memoryStore()), seen)
    await app.aggregates.counter.execute('a', countEach(1, 2, 3))
    await app.aggregates.counter.execute('b', count(1))
    expect(await app.catchUp([change('a', 3), change('b', 1), change('a', 1), change('a', 2)])).toEqual(Array(4).fill(undefined))
    await app.catchUp([change('a', 2), change('a', 3)])
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/a/3', 'counter/b/1'])
    expect((await app.views.totals.load('a'))?.view).toEqual({ total: 6, count: 3 })
    expect((await app.views.sizes.load('by-1'))?.view.times).toBe(2)
  })

  test('a record that fails does not block the others', async () => {
    const seen: string[] = []
    const app = appOn(unordered(memoryStore()), seen, { fail: (id) => id === 'counter/bad/1', park: true })
    await app.aggregates.counter.execute('bad', countEach(1, 2))
    await app.aggregates.counter.execute('good', count(1))
    await app.catchUp([change('bad', 1), change('good', 1), change('bad', 2)])
    expect(seen).toEqual(['counter/good/1'])
    expect((await app.subscriptions.log.parked()).items).toMatchObject([{ eventId: 'counter/bad/1' }])
  })

  test('a stopped subscription fails each record until it is resumed', async () => {
    const seen: string[] = []
    let broken = true
    const app = appOn(unordered(memoryStore()), seen, { fail: () => broken })
    await app.aggregates.counter.execute('a', count(1))
    await app.aggregates.counter.execute('b', count(1))
    const outcomes = await app.catchUp([change('a', 1), change('b', 1)])
    expect(outcomes).toMatchObject([{ error: { code: 'STOPPED' } }, { error: { code: 'STOPPED' } }])
    expect((await app.views.totals.load('b'))?.view.count).toBe(1)
    broken = false
    await app.subscriptions.log.resume()
    expect(await app.catchUp([change('a', 1), change('b', 1)])).toEqual([undefined, undefined])
    expect(seen).toEqual(['counter/a/1', 'counter/b/1'])
  })

  test('catchUp() reads the progress of many aggregates together', async () => {
    const store = memoryStore()
    const looks: number[] = []
    const readViews: Store['readViews'] = (keys) => {
      if (keys.some(({ name }) => name === '~seen')) looks.push(keys.length)
      return store.readViews(keys)
    }
    const seen: string[] = []
    const log = defineSubscription({ name: 'log', aggregates: [counter], handle: ({ id }) => void seen.push(id) })
    const app = createApp({ store: unordered(store, { readViews }), aggregates: { counter }, subscriptions: { log } })
    for (let i = 0; i < 150; i++) await app.aggregates.counter.execute(`c${i}`, countEach(1, 2))
    const records = Array.from({ length: 300 }, (_, i) => change(`c${i >> 1}`, 1 + (i % 2)))
    expect(await app.catchUp(records)).toEqual(records.map(() => undefined))
    expect(new Set(seen).size).toBe(300)
    expect(seen.length).toBe(300)
    expect(looks).toEqual([100, 54])
  })

  test('concurrent calls of catchUp() and drain() in one process deliver each event once', async () => {
    const seen: string[] = []
    const app = appOn(unordered(memoryStore()), seen)
    const ids = Array.from({ length: 30 }, (_, i) => `c${i}`)
    for (const id of ids) await app.aggregates.counter.execute(id, countEach(1, 2))
    const records = ids.map((id) => change(id, 2))
    await Promise.all([app.catchUp(records), app.catchUp([...records].reverse()), app.drain(), app.catchUp(records)])
    expect(seen.length).toBe(60)
    expect(new Set(seen).size).toBe(60)
    expect((await app.views.totals.load('c7'))?.view).toEqual({ total: 3, count: 2 })
  })

  test('catchUp() reads progress again after a while, as another process may have continued', async () => {
    const store = unordered(memoryStore())
    const seen: string[] = []
    const other = appOn(store, seen)
    let ms = Date.parse('2020-02-02T02:02:02.020Z')
    const log = defineSubscription({
      name: 'log',
      aggregates: [counter],
      handle: async ({ id }) => {
        seen.push(id)
        if (id !== 'counter/a/1') return
        await other.catchUp([change('b', 1)])
        ms += 5_000
      },
    })
    const untilAborted = (_: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
    const runtime = { ...standingStill().runtime, now: () => new Date(ms), sleep: untilAborted }
    const app = createApp({ store, aggregates: { counter }, subscriptions: { log }, runtime })
    for (const id of ['a', 'b', 'c']) await app.aggregates.counter.execute(id, count(1))
    await app.catchUp([change('a', 1), change('b', 1), change('c', 1)])
    expect(seen).toEqual(['counter/a/1', 'counter/b/1', 'counter/c/1'])
  })

  test("a subscription from 'now' retries a failed event before the next record of its aggregate", async () => {
    const seen: string[] = []
    let fails = true
    const handle = ({ id }: { readonly id: string }) => {
      if (fails && id === 'counter/a/2') throw new Error('odd')
      seen.push(id)
    }
    const log = defineSubscription({ name: 'log', aggregates: [counter], from: 'now', onFailure: 'retry', handle })
    const app = createApp({ store: unordered(memoryStore()), aggregates: { counter }, subscriptions: { log }, observe: () => {} })
    for (const by of [1, 2, 3]) await app.aggregates.counter.execute('a', count(by))
    const records = [change('a', 2), change('a', 3)]
    expect(await app.catchUp(records)).toMatchObject([{ error: { message: 'odd' } }, { error: { message: 'odd' } }])
    fails = false
    await app.catchUp(records)
    expect(seen).toEqual(['counter/a/2', 'counter/a/3'])
  })

  describe("a subscription from 'now'", () => {
    /** Apps of several processes on one store, whose handlers fail at `failing`. */
    function following(store = unordered(memoryStore())) {
      const seen: string[] = []
      const failing = new Set<string>()
      const handle = ({ id }: { readonly id: string }) => {
        if (failing.has(id)) throw new Error('odd')
        seen.push(id)
      }
      const log = defineSubscription({ name: 'log', aggregates: [counter], from: 'now', onFailure: 'retry', handle })
      const process = () => createApp({ store, aggregates: { counter }, subscriptions: { log }, observe: () => {} })
      const write = (id: string, ...by: number[]) => process().aggregates.counter.execute(id, countEach(...by))
      return { process, write, seen, failing }
    }

    test("a subscription from 'now' starts at an event that has failed, not at the next one", async () => {
      const { process, write, seen, failing } = following()
      await write('a', 1)
      failing.add('counter/a/1')
      expect(await process().catchUp([change('a', 1)])).toMatchObject([{ error: { message: 'odd' } }])
      failing.clear()
      await write('a', 1)
      await process().catchUp([change('a', 2)])
      expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
    })

    test("a subscription from 'now' that runs already starts at an event without a record", async () => {
      const { process, write, seen } = following()
      await write('other', 1)
      await process().catchUp([change('other', 1)])
      await new Promise((resolve) => setTimeout(resolve, 2))
      for (let i = 0; i < 300; i++) await write('a', 1)
      await process().catchUp([change('a', 300)])
      expect(seen.slice(1)).toEqual(Array.from({ length: 300 }, (_, i) => `counter/a/${i + 1}`))
    })

    test("a subscription from 'now' starts with the whole commit, in any order of its records", async () => {
      const { process, write, seen } = following()
      await write('a', 1)
      await write('a', 1, 2, 3)
      await process().catchUp([change('a', 4)])
      await process().catchUp([change('a', 2), change('a', 3)])
      expect(seen).toEqual(['counter/a/2', 'counter/a/3', 'counter/a/4'])
    })

    test("the first drain from 'now' omits no event that waits for a retry or a record", async () => {
      const { process, write, seen, failing } = following()
      await write('a', 1)
      await process().catchUp([change('a', 1)])
      failing.add('counter/a/2')
      await write('a', 1)
      await process().catchUp([change('a', 2)])
      await new Promise((resolve) => setTimeout(resolve, 2))
      await write('late', 1)
      expect((await process().drain()).caughtUp).toBe(false)
      expect(seen).toEqual(['counter/a/1', 'counter/late/1'])
      failing.clear()
      await process().catchUp([change('a', 2), change('late', 1)])
      expect(seen).toEqual(['counter/a/1', 'counter/late/1', 'counter/a/2'])
    })

    test("a subscription from 'now' starts once for all processes, also when two reconcile at once", async () => {
      const { process, write, seen } = following()
      for (let i = 0; i < 20; i++) await write(`old-${i}`, 1, 2)
      await Promise.all([process().drain(), process().drain(), process().drain()])
      await Promise.all([process().catchUp([change('old-3', 2)]), process().drain()])
      expect(seen).toEqual([])
      await write('old-3', 1)
      await Promise.all([process().drain(), process().catchUp([change('old-3', 3)])])
      expect(new Set(seen)).toEqual(new Set(['counter/old-3/3']))
    })
  })

  describe('a parked event', () => {
    test('a retry of a parked event does not lose an event that arrives meanwhile', async () => {
      const store = unordered(memoryStore())
      const seen: string[] = []
      let broken = true
      const told = appOn(store, seen, { park: true, fail: (id) => broken && id === 'counter/a/1' })
      await told.aggregates.counter.execute('a', count(1))
      await told.catchUp([change('a', 1)])
      broken = false
      await told.subscriptions.log.resume()
      let comes = true
      const append: Store['append'] = async (commits) => {
        if (comes && commits.some(({ views = [] }) => views.some(({ name, view }) => name === '~failed' && view === null))) {
          comes = false
          await told.aggregates.counter.execute('a', count(1))
          await told.catchUp([change('a', 2)])
        }
        return store.append(commits)
      }
      const drains = appOn(changed(store, { append }), seen, { park: true })
      await drains.drain()
      expect(comes).toBe(false)
      expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
      expect((await told.subscriptions.log.parked()).items).toEqual([])
    })

    test('an event parked by one process blocks later events in another running process', async () => {
      const store = unordered(memoryStore())
      const seen: string[] = []
      const fail = (id: string) => id === 'counter/b/1'
      const told = appOn(store, seen, { park: true, fail })
      for (const id of ['a', 'b']) await told.aggregates.counter.execute(id, count(1))
      let comes = true
      const readAggregate: Store['readAggregate'] = async (request) => {
        if (comes && request.aggregateId === 'b') {
          comes = false
          await told.catchUp([change('b', 1)])
          await told.aggregates.counter.execute('b', count(1))
        }
        return store.readAggregate(request)
      }
      await appOn(changed(store, { readAggregate }), seen, { park: true, fail }).drain()
      expect(comes).toBe(false)
      expect(seen).toEqual(['counter/a/1'])
      expect((await told.subscriptions.log.parked()).items).toMatchObject([{ eventId: 'counter/b/1' }])
    })

    test('an event that two processes park at once is parked once, and resumed in order', async () => {
      const store = unordered(memoryStore())
      const seen: string[] = []
      let broken = true
      const fail = (id: string) => broken && id === 'counter/a/1'
      const processes = [1, 2, 3].map(() => appOn(store, seen, { park: true, fail }))
      const [one] = processes as [(typeof processes)[number]]
      await one.aggregates.counter.execute('a', countEach(1, 2, 3))
      await Promise.all(processes.map((app) => app.catchUp([change('a', 3)])))
      expect((await one.subscriptions.log.parked()).items).toMatchObject([{ eventId: 'counter/a/1', attempts: 1 }])
      broken = false
      await one.subscriptions.log.resume()
      await Promise.all(processes.map((app) => app.drain()))
      expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/a/3'])
    })
  })

  describe('a reconciliation of all aggregates', () => {
    test('a reconciliation continues after an aggregate that fails', async () => {
      const seen: string[] = []
      let broken = true
      const fail = ({ id }: { readonly id: string }) => {
        if (broken && id.startsWith('counter/bad')) throw new Error('odd')
        seen.push(id)
      }
      const log = defineSubscription({ name: 'log', aggregates: [counter], onFailure: 'retry', handle: fail })
      const app = createApp({
        store: unordered(memoryStore()),
        aggregates: { counter },
        subscriptions: { log },
        observe: () => {},
      })
      for (let i = 0; i < 3; i++) await app.aggregates.counter.execute(`bad-${i}`, count(1))
      for (let i = 0; i < 300; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
      expect(await app.drain()).toEqual({ caughtUp: false, events: 300 })
      expect(seen.length).toBe(300)
      broken = false
      expect(await app.drain()).toEqual({ caughtUp: true, events: 3 })
    })

    test('a reconciliation ends when every aggregate fails, and loses none', async () => {
      let broken = true
      let calls = 0
      const seen: string[] = []
      const handle = ({ id }: { readonly id: string }) => {
        calls++
        if (broken) throw new Error('odd')
        seen.push(id)
      }
      const log = defineSubscription({ name: 'log', aggregates: [counter], onFailure: 'retry', handle })
      const app = createApp({
        store: unordered(memoryStore()),
        aggregates: { counter },
        subscriptions: { log },
        observe: () => {},
      })
      for (let i = 0; i < 500; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
      expect(await app.drain()).toEqual({ caughtUp: false, events: 0 })
      expect(calls).toBeLessThan(250)
      broken = false
      expect(await app.drain()).toEqual({ caughtUp: true, events: 500 })
      expect(new Set(seen).size).toBe(500)
    })

    test('a reconciliation fails when events were restored to an earlier moment', async () => {
      const seen: string[] = []
      const store = unordered(memoryStore())
      await appOn(store).aggregates.counter.execute('a', countEach(1, 2))
      await appOn(store, seen).drain()
      const readAggregate: Store['readAggregate'] = async (request) => {
        const page = await store.readAggregate(request)
        return { ...page, events: page.events.filter(({ sequence }) => sequence < 2), more: false }
      }
      const restored = appOn(changed(store, { readAggregate }), seen)
      const { code, message } = await failureOf(restored.drain())
      expect(code).toBe('STORE_BEHIND')
      expect(message).toMatch(/has processed event 2 of counter 'a'.*restored/)
    })
  })

  test('an aborted catchUp() ends, reports each record that it has not done, and loses nothing', async () => {
    const seen: string[] = []
    const ending = new AbortController()
    const log = defineSubscription({
      name: 'log',
      aggregates: [counter],
      handle: async ({ id }, { signal }) => {
        if (id === 'counter/b/1' && !ending.signal.aborted) {
          ending.abort(new Error('time is up'))
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('interrupted'))))
        }
        seen.push(id)
      },
    })
    const store = unordered(memoryStore())
    const app = createApp({ store, aggregates: { counter }, subscriptions: { log } })
    const changes = [change('a', 2), change('b', 1), change('c', 1)]
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.aggregates.counter.execute('b', count(1))
    await app.aggregates.counter.execute('c', count(1))
    const timeIsUp = { error: expect.objectContaining({ message: 'time is up' }) }
    expect(await app.catchUp(changes, { signal: ending.signal })).toEqual([undefined, timeIsUp, timeIsUp])
    expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
    expect(await app.catchUp(changes, { signal: ending.signal })).toEqual([timeIsUp, timeIsUp, timeIsUp])
    expect(await app.catchUp(changes)).toEqual([undefined, undefined, undefined])
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/b/1', 'counter/c/1'])
  })

  test('a drain reconciles every aggregate and finds events without a record', async () => {
    const seen: string[] = []
    const app = appOn(unordered(memoryStore()), seen)
    for (let i = 0; i < 300; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 900 })
    expect(new Set(seen).size).toBe(300)
    expect((await app.views.sizes.load('by-1'))?.view.times).toBe(300)
    await app.aggregates.counter.execute('c7', count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 3 })
    expect(seen.at(-1)).toBe('counter/c7/2')
  })

  test("a subscription from 'now' omits the existing events of every aggregate", async () => {
    const store = unordered(memoryStore())
    const seen: string[] = []
    const writer = appOn(store)
    await writer.aggregates.counter.execute('a', countEach(1, 2))
    const app = appOn(store, seen, { from: 'now' })
    await app.drain()
    expect(seen).toEqual([])
    await writer.aggregates.counter.execute('a', count(3))
    await writer.aggregates.counter.execute('b', count(1))
    await app.drain()
    expect([...seen].sort()).toEqual(['counter/a/3', 'counter/b/1'])
  })

  test('a command can wait for a view, which catches up on its aggregate alone', async () => {
    const app = appOn(unordered(memoryStore()))
    await app.aggregates.counter.execute('a', count(5), { waitFor: ['totals', 'sizes'] })
    expect((await app.views.totals.load('a'))?.view.total).toBe(5)
    expect((await app.views.sizes.load('by-5'))?.view.times).toBe(1)
  })

  test('a command that waits for a view does not accept rows of another version', async () => {
    const store = unordered(memoryStore())
    const totals = (viewVersion: number) => ({ totals: totalsOf('async', { viewVersion }) })
    const old = createApp({ store, aggregates: { counter }, views: totals(1) })
    await old.aggregates.counter.execute('a', count(1), { waitFor: ['totals'] })
    const newer = createApp({ store, aggregates: { counter }, views: totals(2) })
    const failure = await failureOf(newer.aggregates.counter.execute('a', count(2), { waitFor: ['totals'] }))
    expect(failure).toMatchObject({ code: 'NOT_YET', result: { sequence: 2 }, cause: { code: 'VIEW_OUTDATED' } })
  })

  test('a reconciliation finds changes that the store has forgotten', async () => {
    const store = memoryStore()
    const { runtime } = standingStill()
    let forgotten = false
    const following = unordered(store, {
      readChanges: async ({ cursor, limit }) => {
        if (cursor !== undefined && forgotten) {
          forgotten = false
          throw new StoreError('STORE_BEHIND', 'trimmed')
        }
        const end = String((await store.lastPosition()) ?? 0)
        const page = await store.readFeed({
          limit,
          ...(cursor !== undefined && cursor !== '0' ? { after: cursor as never } : {}),
        })
        return cursor === undefined
          ? { changes: [], cursor: end, more: false }
          : { changes: page.events, cursor: page.position ?? '0', more: page.more }
      },
    })
    const seen: string[] = []
    const log = defineSubscription({ name: 'log', aggregates: [counter], from: 'now', handle: ({ id }) => void seen.push(id) })
    const app = createApp({ store: following, aggregates: { counter }, subscriptions: { log }, runtime })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    await app.aggregates.counter.execute('a', count(1))
    await app.aggregates.counter.execute('b', count(1))
    forgotten = true
    await app.drain()
    expect([...seen].sort()).toEqual(['counter/a/2', 'counter/b/1'])
  })

  test('start() without a source of changes is refused, and so are invalid changes', async () => {
    const app = appOn(unordered(memoryStore()))
    expect((await failureOf(app.start())).message).toContain('call app.catchUp or app.drain')
    for (const wrong of [undefined, [undefined], [{}], [change('a', 0)], [{ ...change('a', 1), first: 0 }]])
      expect((await failureOf(app.catchUp(wrong as never))).code).toBe('VALIDATION')
    expect((await failureOf(app.drain({ reconcile: 1 as never }))).code).toBe('VALIDATION')
  })

  test.each(['{"scan', '17', '[]', '{"scan":{"type":"counter","at":"now"}}', '{"left":["counter/a"]}'])(
    'a checkpoint that is damaged is an error that says so, and stays as it is: %s',
    async (text) => {
      const store = memoryStore()
      const name = 'subscription/log'
      const { fence } = (await store.acquireLease({ name, holder: 'h', ttlMs: 1_000 })) as { readonly fence: number }
      const checkpoint = { name, fence, position: text as Position, expectedPosition: null }
      await store.append([{ id: crypto.randomUUID(), appends: [], checkpoint }])
      await store.releaseLease({ name, fence })
      const log = defineSubscription({ name: 'log', aggregates: [counter], handle: () => {} })
      const app = createApp({ store: unordered(store), aggregates: { counter }, subscriptions: { log } })
      expect(await failureOf(app.drain())).toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining('A checkpoint is damaged'),
      })
      expect(await store.readCheckpoint(name)).toMatchObject({ position: text })
      await app.close()
    },
  )
})
