import { type App, createApp, defineAggregate, defineSubscription, platformRuntime, type Store, type Subscription } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { failureOf, gate, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { dim, lamp } from '../support/lamp.ts'
import { type LogHandler as Handler, logging as loggingOn } from '../support/logging.ts'
import { changed, unordered } from '../support/stores.ts'

// After the apps are closed: of such hooks the first one is the last.
afterEach(() => void vi.restoreAllMocks())
const kept = keeping()
const logging = (...args: Parameters<typeof loggingOn>) => kept(loggingOn(...args))

type Logging = ReturnType<typeof logging>
const counters = (app: Pick<App<{ counter: typeof counter }, Record<never, never>>, 'aggregates'>) => app.aggregates.counter

describe('a subscription', () => {
  test('a subscription receives every event once, in order, and none before start or drain', async () => {
    const seen: string[] = []
    const app = logging(memoryStore(), (event) => void seen.push(event.id))
    await counters(app).execute('a', countEach(1, 2))
    await counters(app).execute('b', count(3))
    expect(seen).toEqual([])
    expect(await app.drain()).toEqual({ caughtUp: true, events: 3 })
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/b/1'])
    expect(await app.drain()).toEqual({ caughtUp: true, events: 0 })
    expect(seen.length).toBe(3)
  })

  test('a subscription continues from its checkpoint in the next process', async () => {
    const store = memoryStore()
    const seen: number[] = []
    const first = logging(store, ({ data }) => void seen.push(data.by))
    await counters(first).execute('a', countEach(1, 2))
    await first.drain()
    await first.close()
    const second = logging(store, ({ data }) => void seen.push(data.by))
    await counters(second).execute('a', count(3))
    await second.drain()
    expect(seen).toEqual([1, 2, 3])
  })

  test('a subscription receives the event types that it names, of several aggregates', async () => {
    const seen: string[] = []
    const picky = defineSubscription({
      name: 'picky',
      aggregates: [counter, lamp],
      eventTypes: ['Counted', 'Broken'],
      handle: (event) => void seen.push(event.type === 'Broken' ? event.data.why : String(event.data.by)),
    })
    const app = createApp({ store: memoryStore(), aggregates: { counter, lamp }, subscriptions: { picky } })
    await app.aggregates.lamp.execute('l', dim(5))
    await app.aggregates.counter.execute('c', count(7))
    await app.aggregates.lamp.execute('l', { type: 'Break', data: { why: 'fell' } })
    await app.drain()
    expect(seen).toEqual(['7', 'fell'])
  })

  test("a subscription from 'now' starts after all events, and from a position after that one", async () => {
    const store = memoryStore()
    const seen: number[] = []
    const writer = logging(store, () => {})
    const result = await counters(writer).execute('a', countEach(1, 2, 3))
    const second = result.ok ? result.events[1]?.position : undefined
    const now = logging(store, ({ data }) => void seen.push(data.by), { name: 'now' as 'log', from: 'now' })
    await now.drain()
    const behind = logging(store, ({ data }) => void seen.push(data.by * 100), { name: 'behind' as 'log', from: second as never })
    await behind.drain()
    await counters(writer).execute('a', count(4))
    await now.drain()
    await behind.drain()
    expect(seen).toEqual([300, 4, 400])
  })

  test('a batch subscription receives events in order, up to batchSize at once', async () => {
    const batches: number[][] = []
    const app = logging(memoryStore(), undefined as unknown as Handler, {
      handle: undefined as never,
      handleBatch: (events) => void batches.push(events.map(({ data }) => data.by)),
      batchSize: 4,
    })
    await counters(app).execute('a', countEach(1, 2, 3, 4, 5, 6))
    await app.drain()
    expect(batches).toEqual([
      [1, 2, 3, 4],
      [5, 6],
    ])
  })

  test('a subscription of a started app catches up and is woken by commands', async () => {
    const seen: number[] = []
    const app = logging(memoryStore(), ({ data }) => void seen.push(data.by))
    await counters(app).execute('a', count(1))
    await app.start()
    await app.subscriptions.log.caughtUp()
    expect(seen).toEqual([1])
    await counters(app).execute('a', count(2))
    await app.subscriptions.log.caughtUp()
    expect(seen).toEqual([1, 2])
  })

  test('a started app receives the events of another process by polling alone', async () => {
    const store = memoryStore()
    const quiet = changed(store, { capabilities: { ...store.capabilities, push: false } })
    const arrived = gate()
    const app = logging(quiet, () => void arrived.pass(), {}, { pollMs: 20 })
    await app.start()
    await counters(createApp({ store, aggregates: { counter } })).execute('a', count(1))
    await arrived.reached
  })

  test('a started app misses no event that another process stores while it starts', async () => {
    const store = memoryStore()
    let looks = 0
    const slow = changed(store, {
      capabilities: { ...store.capabilities, push: false },
      lastPosition: async () => {
        if (looks++ === 0) await new Promise((resolve) => setTimeout(resolve, 30))
        return store.lastPosition()
      },
    })
    const arrived = gate()
    const app = logging(slow, () => void arrived.pass(), {}, { pollMs: 20 })
    await app.start()
    await new Promise((resolve) => setTimeout(resolve, 10))
    await counters(createApp({ store, aggregates: { counter } })).execute('a', count(1))
    await arrived.reached
  })

  test('close() ends a subscription after the event in flight', async () => {
    const seen: number[] = []
    const door = gate()
    const app = logging(memoryStore(), async ({ data }) => {
      await door.pass()
      seen.push(data.by)
    })
    await counters(app).execute('a', countEach(1, 2, 3))
    await app.start()
    await door.reached
    const closed = app.close()
    door.open()
    await closed
    expect(seen).toEqual([1])
    const again = logging(memoryStore(), () => {})
    await again.close()
    for (const call of [again.start(), again.drain(), again.subscriptions.log.caughtUp(), again.subscriptions.log.resume()])
      expect((await failureOf(call)).code).toBe('CLOSED')
  })

  test('a subscription of a closed app continues after the event that was in flight', async () => {
    const store = memoryStore()
    const seen: number[] = []
    const door = gate()
    const first = logging(store, async ({ data }) => {
      await door.pass()
      seen.push(data.by)
    })
    await counters(first).execute('a', countEach(1, 2))
    await first.start()
    await door.reached
    door.open()
    await first.close()
    await logging(store, ({ data }) => void seen.push(data.by)).drain()
    expect(seen).toEqual([1, 2])
  })

  test('a drain of a subscription ends by maxEvents and budgetMs', async () => {
    const seen: number[] = []
    const app = logging(memoryStore(), ({ data }) => void seen.push(data.by))
    for (let i = 0; i < 30; i++) await counters(app).execute('a', count(i))
    expect(await app.drain({ maxEvents: 10 })).toEqual({ caughtUp: false, events: 10 })
    expect(seen.length).toBe(10)
    expect(await app.drain({ budgetMs: 0 })).toEqual({ caughtUp: false, events: 0 })
    expect(await app.drain({ budgetMs: 10_000 })).toEqual({ caughtUp: true, events: 20 })
    expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i))
  })

  test('a subscription moves its checkpoint past a thousand events of other types', async () => {
    const store = memoryStore()
    const broken = defineSubscription({ name: 'log', aggregates: [lamp], eventTypes: ['Broken'], handle: () => {} })
    const app = createApp({ store, aggregates: { counter, lamp }, subscriptions: { broken } })
    for (let i = 0; i < 12; i++) await app.aggregates.counter.execute(`c${i}`, countEach(...Array(100).fill(1)))
    await app.aggregates.lamp.execute('l', dim(1))
    await app.drain()
    expect(await store.readCheckpoint('subscription/log')).toMatchObject({ position: await store.lastPosition() })
    for (let i = 0; i < 12; i++) await app.aggregates.counter.execute(`c${i}`, countEach(...Array(100).fill(1)))
    await app.drain()
    expect(await store.readCheckpoint('subscription/log')).toMatchObject({ position: await store.lastPosition() })
  })

  test('status() reports state, position, lag and parked events', async () => {
    const app = logging(memoryStore(), () => {})
    await counters(app).execute('a', countEach(1, 2, 3))
    expect(await statusOf(app)).toMatchObject({ state: 'nobody', lag: 3, parked: 0 })
    await app.drain()
    expect(await statusOf(app)).toMatchObject({ state: 'idle', position: '3', lag: 0, parked: 0 })
  })

  test('status() reports each change while it is iterated', async () => {
    const app = logging(memoryStore(), () => {})
    await counters(app).execute('a', count(1))
    const lags: (number | undefined)[] = []
    for await (const { lag } of app.subscriptions.log.status()) {
      lags.push(lag)
      if (lag === 0) break
      await app.drain()
    }
    expect(lags).toEqual([1, 0])
  })
})

async function statusOf(app: Logging) {
  for await (const status of app.subscriptions.log.status()) return status
  throw new Error('no status')
}

describe('a handler that fails', () => {
  const failing = (bad: number, seen: number[]) => (event: { data: { by: number } }) => {
    if (event.data.by === bad) throw new Error(`boom ${bad}`)
    seen.push(event.data.by)
  }

  test('a failing handler stops its subscription at that event, and no other subscription', async () => {
    const store = memoryStore()
    const seen: number[] = []
    const others: number[] = []
    const bad = defineSubscription({ name: 'log', aggregates: [counter], handle: failing(2, seen) })
    const good = defineSubscription({ name: 'good', aggregates: [counter], handle: ({ data }) => void others.push(data.by) })
    const app = createApp({ store, aggregates: { counter }, subscriptions: { bad, good }, observe: () => {} })
    await app.aggregates.counter.execute('a', countEach(1, 2, 3))
    expect(await app.drain()).toMatchObject({ caughtUp: false })
    expect([seen, others]).toEqual([[1], [1, 2, 3]])
    const failure = await failureOf(app.subscriptions.bad.caughtUp())
    expect(failure).toMatchObject({ code: 'STOPPED', eventId: 'counter/a/2', cause: { message: 'boom 2' } })
    expect(failure.message).toBe(
      "The subscription 'log' stopped at event counter/a/2: boom 2. Later events wait. Fix the cause, then call resume().",
    )
    const elsewhere = logging(store, () => {})
    expect((await failureOf(elsewhere.subscriptions.log.caughtUp())).message).toBe(failure.message)
    expect(await statusOf(elsewhere)).toMatchObject({ state: 'stopped', position: '1', lag: 2, error: { code: 'STOPPED' } })
    await app.close()
  })

  test('a failed event is retried after resume(), also in another process', async () => {
    const store = memoryStore()
    const seen: number[] = []
    const first = logging(store, failing(2, seen))
    await counters(first).execute('a', countEach(1, 2, 3))
    await first.drain()
    await first.close()
    const second = logging(store, ({ data }) => void seen.push(data.by))
    expect(await second.drain()).toEqual({ caughtUp: false, events: 0 })
    await second.subscriptions.log.resume()
    expect(await second.drain()).toEqual({ caughtUp: true, events: 2 })
    expect(seen).toEqual([1, 2, 3])
  })

  test('a failing handler is called up to maxAttempts times and receives the attempt', async () => {
    const attempts: number[] = []
    const app = logging(
      memoryStore(),
      (_, { attempt }) => {
        attempts.push(attempt)
        if (attempt < 3) throw new Error('not yet')
      },
      { maxAttempts: 3 },
    )
    await counters(app).execute('a', count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
    expect(attempts).toEqual([1, 2, 3])
  })

  test("onFailure 'retry' retries an event until it succeeds, and no event overtakes it", async () => {
    const seen: string[] = []
    let broken = true
    const app = logging(
      memoryStore(),
      ({ id }) => {
        if (broken) throw new Error('down')
        seen.push(id)
      },
      { onFailure: 'retry' },
    )
    await counters(app).execute('a', count(1))
    await counters(app).execute('b', count(1))
    expect(await app.drain()).toEqual({ caughtUp: false, events: 0 })
    expect(await statusOf(app)).toMatchObject({ state: 'waiting', error: { message: 'down' } })
    await app.start()
    broken = false
    await app.subscriptions.log.caughtUp()
    expect(seen).toEqual(['counter/a/1', 'counter/b/1'])
  })

  test("onFailure 'park' parks an event and its aggregate, and other aggregates continue", async () => {
    const store = memoryStore()
    const seen: string[] = []
    let broken = true
    const handle: Handler = ({ id, aggregateId }) => {
      if (broken && aggregateId === 'bad') throw new Error('odd')
      seen.push(id)
    }
    const app = logging(store, handle, { onFailure: 'park' })
    await counters(app).execute('good', count(1))
    await counters(app).execute('bad', countEach(1, 2))
    await counters(app).execute('good', count(2))
    expect(await app.drain()).toMatchObject({ caughtUp: true })
    await counters(app).execute('bad', count(3))
    await app.drain()
    expect(seen).toEqual(['counter/good/1', 'counter/good/2'])
    const { items } = await app.subscriptions.log.parked()
    const parked = {
      eventId: 'counter/bad/1',
      aggregateType: 'counter',
      aggregateId: 'bad',
      sequence: 1,
      message: 'odd',
      attempts: 1,
    }
    expect(items).toMatchObject([{ ...parked, state: 'parked', parkedAt: expect.stringMatching(/^\d{4}-/) }])
    expect(await statusOf(app)).toMatchObject({ parked: 1, lag: 0 })

    await app.subscriptions.log.resume()
    await app.drain()
    expect((await app.subscriptions.log.parked()).items).toMatchObject([{ eventId: 'counter/bad/1', attempts: 2 }])

    broken = false
    await app.close()
    const next = logging(store, handle, { onFailure: 'park' })
    await next.subscriptions.log.resume()
    await next.drain()
    expect(seen).toEqual(['counter/good/1', 'counter/good/2', 'counter/bad/1', 'counter/bad/2', 'counter/bad/3'])
    expect((await next.subscriptions.log.parked()).items).toEqual([])
    await counters(next).execute('bad', count(4))
    await next.drain()
    expect(seen.at(-1)).toBe('counter/bad/4')
  })

  test.each([
    ['with a global order', (store: Store) => store],
    ['without one', unordered],
  ])('a parked event is delivered first after onFailure has changed, on a store %s', async (_, as) => {
    const store = as(memoryStore())
    const seen: string[] = []
    const parks = logging(store, failing(1, []), { onFailure: 'park' })
    await counters(parks).execute('bad', countEach(1, 2))
    await parks.drain()
    await parks.close()
    const stops = logging(store, ({ id }) => void seen.push(id), { onFailure: 'stop' })
    await counters(stops).execute('bad', count(3))
    await stops.drain()
    expect(seen).toEqual([])
    await stops.subscriptions.log.resume()
    await stops.drain()
    expect(seen).toEqual(['counter/bad/1', 'counter/bad/2', 'counter/bad/3'])
    expect((await stops.subscriptions.log.parked()).items).toEqual([])
  })

  test('a failing event in a batch is found among the others', async () => {
    const store = memoryStore()
    const seen: number[] = []
    const app = logging(store, undefined as unknown as Handler, {
      handle: undefined as never,
      handleBatch: (events) => {
        if (events.some(({ data }) => data.by === 3)) throw new Error('three')
        seen.push(...events.map(({ data }) => data.by))
      },
    })
    await counters(app).execute('a', countEach(1, 2, 3, 4))
    await app.drain()
    expect(seen).toEqual([1, 2])
    expect((await failureOf(app.subscriptions.log.caughtUp())).eventId).toBe('counter/a/3')
  })

  test('a handler that rejects or exceeds timeoutMs counts as failed', async () => {
    const never = logging(memoryStore(), () => new Promise(() => {}), { timeoutMs: 20 })
    await counters(never).execute('a', count(1))
    await never.drain()
    expect((await failureOf(never.subscriptions.log.caughtUp())).message).toContain('did not end within 20 ms')
    const rejecting = logging(memoryStore(), async () => Promise.reject(new Error('later')))
    await counters(rejecting).execute('a', count(1))
    await rejecting.drain()
    expect((await failureOf(rejecting.subscriptions.log.caughtUp())).message).toContain('later')
  })

  test('an app without an observer reports a failing handler on the console', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const log = defineSubscription({ name: 'log', aggregates: [counter], handle: failing(1, []) })
    const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { log } })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    await app.drain()
    expect(told.mock.calls.map(([sentence]) => sentence)).toEqual([
      expect.stringContaining('stopped at event counter/a/1: boom 1.'),
    ])
  })
})

describe('two processes with one subscription', () => {
  test('two processes do not run one subscription at the same time', async () => {
    const store = memoryStore()
    const door = gate()
    const seen: string[] = []
    const first = logging(store, async () => {
      await door.pass()
      seen.push('first')
    })
    const second = logging(store, () => void seen.push('second'))
    await counters(first).execute('a', count(1))
    const drained = first.drain()
    await door.reached
    expect(await second.drain()).toEqual({ caughtUp: false, events: 0 })
    expect(await statusOf(second)).toMatchObject({ state: 'elsewhere' })
    door.open()
    await drained
    expect(await second.drain()).toEqual({ caughtUp: true, events: 0 })
    expect(seen).toEqual(['first'])
  })

  test('a process takes over when a lease expires, and the former holder has no effect any more', async () => {
    let now = Date.now()
    const store = memoryStore({ clock: () => now })
    const door = gate()
    const calls: string[] = []
    const runtime = { ...platformRuntime, now: () => new Date(now) }
    const handle: Handler = async ({ id }) => {
      calls.push(`frozen ${id}`)
      await door.pass()
    }
    const frozen = logging(store, handle, {}, {}, runtime)
    await counters(frozen).execute('a', countEach(1, 2))
    const drained = frozen.drain()
    await door.reached
    now += 60_000
    const other = logging(store, ({ id }) => void calls.push(`other ${id}`))
    expect(await other.drain()).toEqual({ caughtUp: true, events: 2 })
    const checkpoint = await store.readCheckpoint('subscription/log')
    door.open()
    expect(await drained).toEqual({ caughtUp: false, events: 0 })
    expect(await store.readCheckpoint('subscription/log')).toEqual(checkpoint)
    expect(calls).toEqual(['frozen counter/a/1', 'other counter/a/1', 'other counter/a/2'])
  })

  test('a process calls no handler when its lease passed to another before the first call', async () => {
    let now = Date.now()
    const store = memoryStore({ clock: () => now })
    const door = gate()
    const calls: string[] = []
    const slow = changed(store, {
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        await door.pass()
        return page
      },
    })
    const runtime = { ...platformRuntime, now: () => new Date(now) }
    const frozen = logging(slow, ({ id }) => void calls.push(`frozen ${id}`), {}, {}, runtime)
    await counters(frozen).execute('a', countEach(1, 2))
    const drained = frozen.drain()
    await door.reached
    now += 60_000
    expect(await logging(store, ({ id }) => void calls.push(`other ${id}`)).drain()).toEqual({ caughtUp: true, events: 2 })
    door.open()
    expect(await drained).toEqual({ caughtUp: false, events: 0 })
    expect(calls).toEqual(['other counter/a/1', 'other counter/a/2'])
  })

  test('a drain with a budget waits once for the lease of a dead or a live process', async () => {
    const store = memoryStore()
    const lease = { name: 'subscription/log', holder: 'dead', ttlMs: 200 }
    const seen: string[] = []
    const app = logging(store, ({ id }) => void seen.push(id))
    await counters(app).execute('a', count(1))
    await store.acquireLease(lease)
    expect(await app.drain()).toEqual({ caughtUp: false, events: 0 })
    expect(await app.drain({ budgetMs: 100 })).toEqual({ caughtUp: false, events: 0 })
    expect(await app.drain({ budgetMs: 60_000 })).toEqual({ caughtUp: true, events: 1 })
    expect(seen).toEqual(['counter/a/1'])

    const held = await store.acquireLease({ ...lease, holder: 'alive' })
    if (!held.acquired) throw new Error('The lease was not free.')
    let renewals = 0
    const sleep = async (ms: number) => {
      renewals++
      await platformRuntime.sleep(ms / 2)
      await store.renewLease({ ...lease, fence: held.fence })
      await platformRuntime.sleep(ms / 2)
    }
    const waiting = logging(store, () => {}, {}, {}, { ...platformRuntime, sleep })
    expect(await waiting.drain({ budgetMs: 60_000 })).toEqual({ caughtUp: false, events: 0 })
    expect(renewals).toBe(1)
  })

  test('two processes share a subscription by partitions, each aggregate in order', async () => {
    const store = memoryStore()
    const seen = new Map<string, number[]>()
    const by = [0, 0]
    const make = (nth: number) =>
      logging(
        store,
        async ({ aggregateId, sequence }) => {
          by[nth] = (by[nth] ?? 0) + 1
          seen.set(aggregateId, [...(seen.get(aggregateId) ?? []), sequence])
          await new Promise((resolve) => setTimeout(resolve, 1))
        },
        { partitions: 16 },
        { pollMs: 20 },
      )
    const [first, second] = [make(0), make(1)]
    await first.start()
    await second.start()
    let rounds = 0
    for (; rounds < 5 || (by.includes(0) && rounds < 500); rounds++) {
      await Promise.all(Array.from({ length: 40 }, (_, i) => counters(first).execute(`c${i}`, countEach(1, 1))))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await first.subscriptions.log.caughtUp()
    expect(by).not.toContain(0)
    expect(seen.size).toBe(40)
    const all = Array.from({ length: 2 * rounds }, (_, i) => i + 1)
    for (const sequences of seen.values()) expect(sequences).toEqual(all)
  })
})

describe('the log that a subscription reads', () => {
  test('an event that the log shows twice is delivered once', async () => {
    const store = memoryStore()
    const seen: string[] = []
    const doubling = changed(store, {
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return { ...page, events: page.events.flatMap((event) => [event, { ...event }]) }
      },
    })
    const app = logging(doubling, ({ id }) => void seen.push(id))
    await counters(app).execute('a', countEach(1, 2))
    await app.drain()
    expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
  })

  test('an event that the log has missed is read from its aggregate', async () => {
    const store = memoryStore()
    const seen: string[] = []
    const missing = changed(store, {
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return { ...page, events: page.events.filter(({ sequence }) => sequence !== 2) }
      },
    })
    const app = logging(missing, ({ id }) => void seen.push(id))
    await counters(app).execute('a', countEach(1, 2, 3))
    await app.drain()
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/a/3'])
  })

  test('a permanent gap in the log is an error, and no event after it is delivered', async () => {
    const store = memoryStore()
    const seen: string[] = []
    const without = <E extends { readonly sequence: number }>(events: readonly E[]) =>
      events.filter(({ sequence }) => sequence !== 2)
    const holed = changed(store, {
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return { ...page, events: without(page.events) }
      },
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        return request.upTo === undefined ? page : { ...page, events: without(page.events) }
      },
    })
    const app = logging(holed, ({ id }) => void seen.push(id))
    await counters(app).execute('a', countEach(1, 2, 3))
    const failure = await failureOf(app.drain())
    expect(failure).toMatchObject({ code: 'STORE_CORRUPT', message: expect.stringContaining("counter 'a' have a hole") })
    expect(seen).toEqual([])
  })

  test('a log that ends before the checkpoint is an error', async () => {
    const store = memoryStore()
    const app = logging(store, () => {})
    await counters(app).execute('a', countEach(1, 2, 3))
    await app.drain()
    const older = memoryStore()
    await counters(createApp({ store: older, aggregates: { counter } })).execute('a', count(1))
    const restored = changed(older, {
      readCheckpoint: (name) => store.readCheckpoint(name),
      // The checkpoint that comes with a lease is left out, so that it is read.
      acquireLease: async (request) => {
        const answer = await older.acquireLease(request)
        return answer.acquired ? { acquired: true, fence: answer.fence } : answer
      },
    })
    expect((await failureOf(logging(restored, () => {}).drain())).code).toBe('STORE_BEHIND')
  })
})

describe('a reaction', () => {
  test('a reaction sends commands that a redelivery does not repeat, with their cause', async () => {
    const store = memoryStore()
    let failures = 1
    const mirror = defineSubscription({
      name: 'mirror',
      aggregates: [counter],
      onFailure: 'retry',
      handle: async (event, { app, reaction }) => {
        await app.aggregate(lamp).execute(event.aggregateId, dim(event.data.by), reaction())
        await app.aggregate(lamp).execute(event.aggregateId, dim(0), reaction('off'))
        if (failures-- > 0) throw new Error('after the commands')
      },
    })
    const app = createApp({ store, aggregates: { counter, lamp }, subscriptions: { mirror }, observe: () => {} })
    await app.aggregates.counter.execute('a', count(4), { metadata: { correlationId: 'req-1' } })
    await app.drain()
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
    const events = []
    for await (const event of app.aggregates.lamp.events('a')) events.push(event)
    expect(events.map(({ data }) => data)).toEqual([{ level: 4 }, { level: 0 }])
    expect(events[0]?.metadata).toEqual({ causationId: 'counter/a/1', correlationId: 'req-1' })
    expect(thrownBy(() => app.aggregate(defineOther()))).toMatchObject({ code: 'DEFINITION' })
  })

  test('a drain continues until the events of reactions are processed too', async () => {
    const countdown = defineSubscription({
      name: 'countdown',
      aggregates: [counter],
      handle: async (event, { app, reaction }) => {
        if (event.data.by > 0) await app.aggregate(counter).execute(event.aggregateId, count(event.data.by - 1), reaction())
      },
    })
    const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { countdown } })
    await app.aggregates.counter.execute('a', count(5))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 6 })
    expect((await app.aggregates.counter.load('a')).state.total).toBe(15)
  })
})

const defineOther = () =>
  defineAggregate({ type: 'other', events: {}, commands: {}, initialState: () => ({}) }).implement({ handle: {}, apply: {} })

describe('the definition of a subscription', () => {
  const handle = () => {}
  test.each([
    [{ handle: undefined }, 'needs either handle or handleBatch'],
    [{ handleBatch: handle }, 'needs either handle or handleBatch'],
    [{ eventTypes: ['Counte'] }, "eventTypes has 'Counte'"],
    [{ eventTypes: ['__proto__'] }, "eventTypes has '__proto__'"],
    [{ from: 'start' }, "from must be 'beginning', 'now' or the position"],
    [{ onFailure: 'ignore' }, "onFailure must be 'stop', 'retry', 'park' or { retry, then }"],
    [{ maxAttempts: 0 }, 'maxAttempts must be a whole number'],
    [{ timeoutMs: 0 }, 'timeoutMs must be a whole number'],
    [{ slots: 64 }, 'slots is not an option'],
    [{ batchSize: 5 }, 'batchSize is for handleBatch'],
    [{ aggregates: [] }, 'needs at least one aggregate'],
    [{ aggregates: [counter, counter] }, 'names an aggregate twice'],
    [{ name: 'x'.repeat(201) }, '201 characters long'],
    [{ name: '' }, 'must not be empty'],
    [{ handel: handle }, "no option 'handel'"],
  ])('defineSubscription refuses %j', (wrong, words) => {
    const build = () => defineSubscription({ name: 'log', aggregates: [counter], handle, ...wrong } as never)
    expect(thrownBy(build)).toMatchObject({ code: 'DEFINITION', message: expect.stringContaining(words) })
  })

  test('createApp refuses a subscription to an unknown aggregate, or one registered twice', () => {
    const one = defineSubscription({ name: 'one', aggregates: [lamp], handle })
    const build = (subscriptions: Record<string, Subscription>) => () =>
      createApp({ store: memoryStore(), aggregates: { counter }, subscriptions })
    expect(thrownBy(build({ one })).message).toContain("the subscription 'one' follows the aggregate 'lamp'")
    const log = defineSubscription({ name: 'log', aggregates: [counter], handle })
    expect(thrownBy(build({ a: log, b: log })).message).toContain("the subscription 'log' is registered twice")
    const wrong = { log: { name: 'log' } } as unknown as Record<string, Subscription>
    expect(thrownBy(build(wrong)).message).toContain('must be a subscription made by defineSubscription')
  })

  test.each([{ following: { leaseMs: 0 } }, { following: { pollMs: 1.5 } }, { following: { poll: 1 } }])(
    'createApp refuses %j',
    (wrong) => {
      expect(thrownBy(() => createApp({ store: memoryStore(), aggregates: { counter }, ...wrong }))).toMatchObject({
        code: 'DEFINITION',
      })
    },
  )
})
