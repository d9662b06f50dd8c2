import { createApp, defineSubscription, defineView, type Position, platformRuntime, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { gate } from '../support/async.ts'
import { bankAccount } from '../support/bank-account.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { logging } from '../support/logging.ts'
import { newer, older, order, place, programOf as programBy } from '../support/orders.ts'
import { changed, counting, unordered } from '../support/stores.ts'
import { totalsOf } from '../support/totals.ts'
import { virtualTime } from '../support/virtual-time.ts'

const kept = keeping()
type Logging = ReturnType<typeof logging>
const programOf = (...of: Parameters<typeof programBy> extends [unknown, ...infer R] ? R : never) => programBy(kept, ...of)
const lease = (store: Store, holder: string, name = 'subscription/log') => store.acquireLease({ name, holder, ttlMs: 60_000 })

/** A store without the optional reads. */
const plain = (store: Store): Store =>
  new Proxy(store, {
    get: (target, name) => {
      const member: unknown = name === 'readConsumers' ? undefined : Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })

const boom = () => {
  throw new Error('boom')
}

/** Three events of counters, stored by another app. */
async function written(store: Store, ...ids: readonly string[]) {
  const writer = createApp({ store, aggregates: { counter } })
  for (const id of ids) await writer.aggregates.counter.execute(id, count(1))
  await writer.close()
  return store
}

describe('the state of a subscription', () => {
  const of = (app: Logging) => app.subscriptions.log.health()

  test("a subscription's state is `nobody` while events wait and no process runs it", async () => {
    const app = kept(logging(await written(memoryStore(), 'a', 'b', 'c'), () => {}))
    expect(await of(app)).toMatchObject({
      state: 'nobody',
      lag: 3,
      holders: [],
      oldest: { eventId: 'counter/a/1', seconds: expect.any(Number) },
      because: expect.stringMatching(
        /^No process holds its lease, and its event counter\/a\/1 has waited for \d+ s\. Call app\.start/,
      ),
    })
  })

  test("a subscription's state is `idle` when it has caught up and no process runs it", async () => {
    const app = kept(logging(await written(memoryStore(), 'a'), () => {}))
    await app.drain()
    expect(await of(app)).toEqual({
      state: 'idle',
      because: 'It has caught up.',
      position: '1',
      lag: 0,
      holders: [],
      parked: 0,
      retrying: 0,
      isMore: false,
    })
  })

  test("a subscription's state is `idle` when all later events belong to other aggregates", async () => {
    const store = memoryStore()
    const other = defineSubscription({ name: 'other', aggregates: [bankAccount], handle: () => {} })
    const services = { account: { validateCheck: async () => true } } as never
    const aggregates = { counter, account: bankAccount }
    const app = kept(createApp({ store, aggregates, services, subscriptions: { other } } as never)) as unknown as {
      subscriptions: { other: Logging['subscriptions']['log'] }
    }
    await written(store, 'a', 'b')
    expect(await app.subscriptions.other.health()).toMatchObject({ state: 'idle', lag: 0, position: '2' })
  })

  test("a subscription's state is `elsewhere` while another process holds its lease", async () => {
    const store = await written(memoryStore(), 'a')
    const app = kept(logging(store, () => {}))
    await lease(store, 'orders-7f9c')
    expect(await of(app)).toMatchObject({
      state: 'elsewhere',
      lag: 1,
      holders: [{ holder: 'orders-7f9c', isThisApp: false, partitions: 1 }],
      because: expect.stringMatching(/^Another app runs it, 'orders-7f9c', and its event counter\/a\/1 has waited/),
    })
  })

  test("a subscription's state is `running` while this app runs it, under the app's name", async () => {
    const door = gate()
    const app = kept(logging(await written(memoryStore(), 'a'), () => door.pass(), {}, { holder: 'orders-1' }))
    const draining = app.drain()
    await door.reached
    const status = await of(app)
    expect(status).toMatchObject({ state: 'running', because: expect.stringMatching(/^This app runs it, and its event/) })
    expect(status.holders).toMatchObject([{ holder: expect.stringMatching(/^orders-1\/./), isThisApp: true, partitions: 1 }])
    door.open()
    await draining
  })

  test("a subscription's state is `running` in a started app that is about to take the lease", async () => {
    const memory = memoryStore()
    const door = gate()
    const acquireLease: Store['acquireLease'] = async (request) => {
      await door.pass()
      return memory.acquireLease(request)
    }
    const store = changed(memory, { acquireLease })
    const app = kept(logging(store, () => {}))
    await app.aggregates.counter.execute('a', count(1))
    await app.start()
    await door.reached
    expect(await of(app)).toMatchObject({
      state: 'running',
      because: expect.stringMatching(/^This app was started and runs it next/),
    })
    door.open()
  })

  test("a subscription's state is `stopped` at an event until resume()", async () => {
    const app = kept(logging(await written(memoryStore(), 'a'), boom))
    await app.drain()
    expect(await of(app)).toMatchObject({
      state: 'stopped',
      because: expect.stringMatching(/^Since 2.*Z: The subscription 'log' stopped at event counter\/a\/1: boom\./),
      error: { code: 'STOPPED', cause: { message: 'boom' } },
    })
    await app.subscriptions.log.resume()
    expect(await of(app)).toMatchObject({ state: 'nobody' })
  })

  test("a subscription's state is `waiting` after an error that is retried", async () => {
    const app = kept(logging(await written(memoryStore(), 'a'), boom, { onFailure: 'retry' }))
    await app.drain()
    expect(await of(app)).toMatchObject({
      state: 'waiting',
      because: 'It retries after an error: boom',
      error: { message: 'boom' },
    })
  })

  test("a subscription's state is `waiting`, with a time, while only failed events are retried", async () => {
    const retry = { firstMs: 60_000, forMs: 600_000 }
    const store = await written(memoryStore(), 'a', 'b')
    // biome-ignore lint/suspicious/noThenProperty: the name of the option
    const app = kept(logging(store, boom, { onFailure: { retry, then: 'park' } }))
    const { nextDue } = await app.drain()
    expect(await of(app)).toMatchObject({
      state: 'waiting',
      lag: 0,
      retrying: 2,
      nextTryAt: nextDue?.toISOString(),
      because: `2 aggregates wait for a retry, the next at ${nextDue?.toISOString()}.`,
    })
  })

  test("a subscription's state mentions parked events when it has caught up otherwise", async () => {
    const app = kept(logging(await written(memoryStore(), 'a'), boom, { onFailure: 'park' }))
    await app.drain()
    expect(await of(app)).toMatchObject({
      state: 'idle',
      parked: 1,
      because: 'It has caught up, but 1 aggregate waits for resume() or retry().',
    })
  })

  test("a subscription's state counts up to 100 failed aggregates", async () => {
    const ids = Array.from({ length: 102 }, (_, i) => `c${i}`)
    const app = kept(logging(await written(memoryStore(), ...ids), boom, { onFailure: 'park' }))
    await app.drain()
    expect(await of(app)).toMatchObject({ parked: 100, isMore: true, because: expect.stringContaining('more than 100') })
  })

  test("a subscription's state is `outdated` while an event is left to a newer program", async () => {
    const store = memoryStore()
    const [old, young] = [programOf(older, store), programOf(newer, store)]
    await order(young).execute('a', place)
    await old.app.drain()
    const outdated = await old.app.subscriptions.mailer.health()
    expect(outdated).toMatchObject({ state: 'outdated', error: { code: 'STOPPED' } })
    expect(outdated.because).toContain('leaves event order/a/1')
    await lease(store, 'a newer process', 'subscription/mailer')
    expect(await old.app.subscriptions.mailer.health()).toMatchObject({ state: 'elsewhere' })
  })

  test("a subscription's state is `outdated` when a newer package version wrote its checkpoint", async () => {
    const store = memoryStore()
    const app = kept(logging(await written(store, 'a'), () => {}))
    await app.drain()
    const held = await store.acquireLease({ name: 'subscription/log', holder: 'newer', ttlMs: 1_000 })
    if (!held.acquired) throw new Error('It is held.')
    const { fence } = held
    const checkpoint = { name: 'subscription/log', fence, position: '{"v":9}', expectedPosition: '1' }
    await store.append([{ id: 'newer', appends: [], checkpoint }])
    await store.releaseLease({ name: 'subscription/log', fence })
    expect(await of(app)).toMatchObject({ state: 'outdated', error: { code: 'SCHEMA_TOO_NEW' } })
  })

  test("a subscription's state before its first run starts at its from", async () => {
    const store = await written(memoryStore(), 'a', 'b', 'c')
    expect(await of(kept(logging(store, () => {}, { from: 'now' })))).toMatchObject({ state: 'idle', lag: 0 })
    const from = '2' as never
    expect(await of(kept(logging(store, () => {}, { from })))).toMatchObject({ lag: 1, oldest: { eventId: 'counter/c/1' } })
  })
})

test('a consumer that has caught up says how much of the log older transactions hold back', async () => {
  const store = memoryStore()
  const held = changed(store, { endPosition: async () => '7' as Position })
  const app = kept(logging(held, () => {}))
  await app.aggregates.counter.execute('a', count(1))
  await app.drain()
  expect(await app.subscriptions.log.health()).toMatchObject({
    state: 'idle',
    lag: 6,
    because: 'It has caught up, and the last 6 positions of the log become readable once older transactions end.',
  })
})

describe('the state of a view', () => {
  test('says how far a rebuild to another version has come', async () => {
    const store = memoryStore()
    const appOf = (viewVersion: number) =>
      kept(createApp({ store, aggregates: { counter }, views: { totals: totalsOf('async', { viewVersion }) } }))
    const [old, young] = [appOf(1), appOf(2)]
    await old.aggregates.counter.execute('a', countEach(...Array.from({ length: 8 }, () => 1)))
    await old.drain()
    const because = async () => (await young.views.totals.health()).because
    expect(await because()).toMatch(/^No process holds its lease, and its rows have another version\./)
    await young.drain({ maxEvents: 2 })
    expect(await because()).toMatch(/its rows have another version: the rebuild has reached 25 % of the log\./)
    await young.drain()
    expect(await because()).toBe('It has caught up.')
  })

  test("an inline view's state is `idle`", async () => {
    const views = { totals: totalsOf('inline') }
    const app = kept(createApp({ store: memoryStore(), aggregates: { counter }, views }))
    await app.aggregates.counter.execute('a', count(1))
    expect(await app.views.totals.health()).toMatchObject({ state: 'idle', lag: 0, position: '1' })
  })

  test("an async view's state is `nobody` until its rows have the version of the program", async () => {
    const store = memoryStore()
    const appOf = (viewVersion: number) =>
      kept(createApp({ store, aggregates: { counter }, views: { totals: totalsOf('async', { viewVersion }) } }))
    const [old, young] = [appOf(1), appOf(2)]
    await old.aggregates.counter.execute('a', count(1))
    await old.drain()
    expect(await young.views.totals.health()).toMatchObject({ state: 'nobody', lag: 1 })
    await young.drain()
    expect(await young.views.totals.health()).toMatchObject({ state: 'idle', lag: 0 })
    expect(await appOf(1).views.totals.health()).toMatchObject({ state: 'idle', lag: 0 })
  })
})

describe('a store without readConsumers', () => {
  test('health() reads checkpoints and shows no holders on a store without readConsumers', async () => {
    const memory = memoryStore()
    const app = kept(logging(await written(plain(memory), 'a'), () => {}, { partitions: 4 }))
    expect(await app.subscriptions.log.health()).toMatchObject({ state: 'nobody', lag: 1, holders: [] })
    await app.drain()
    expect(await app.subscriptions.log.health()).toMatchObject({ state: 'idle', lag: 0 })
    await written(memory, 'b')
    for (const name of ['', '1/', '2/', '3/']) await lease(memory, 'another', `${name}subscription/log`)
    await app.drain()
    expect(await app.subscriptions.log.health()).toMatchObject({ state: 'elsewhere', holders: [] })
  })
})

test('health() shows no position and no lag on a store without a global order', async () => {
  const app = kept(logging(unordered(memoryStore()), boom))
  await app.aggregates.counter.execute('a', count(1))
  const status = await app.subscriptions.log.health()
  expect(Object.keys(status).sort()).toEqual(['because', 'holders', 'isMore', 'parked', 'retrying', 'state'])
  await app.drain()
  expect(await app.subscriptions.log.health()).toMatchObject({ state: 'stopped' })
})

describe('health() and status()', () => {
  test.each([{}, { concurrency: 8 }, { partitions: 64, concurrency: 8 }])(
    'health() of a subscription with %j takes at most five calls of the store',
    async (options) => {
      const calls: string[] = []
      const app = kept(logging(counting(memoryStore(), calls), () => {}, options))
      for (const id of ['a', 'b', 'c']) await app.aggregates.counter.execute(id, count(1))
      for (const state of ['nobody', 'idle']) {
        calls.length = 0
        expect(await app.subscriptions.log.health()).toMatchObject({ state })
        expect(calls.length).toBeLessThanOrEqual(5)
        await app.drain()
      }
    },
  )

  test('health() of an app takes few calls of the store and names each consumer', async () => {
    const calls: string[] = []
    const store = counting(memoryStore(), calls)
    const subscriptions = Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [
        `s${i}`,
        defineSubscription({ name: `sub-${i}`, aggregates: [counter], handle: () => {} }),
      ]),
    )
    const app = kept(createApp({ store, aggregates: { counter }, subscriptions, views: { totals: totalsOf('async') } }))
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    calls.length = 0
    const { consumers } = await app.health()
    expect(calls.length).toBeLessThanOrEqual(13)
    expect(consumers.map(({ key, name, kind, state }) => `${kind} ${key} ${name} ${state}`)).toEqual([
      'view totals totals idle',
      ...Array.from({ length: 10 }, (_, i) => `subscription s${i} sub-${i} idle`),
    ])
    expect(await kept(createApp({ store, aggregates: { counter } })).health()).toEqual({ consumers: [] })
  })

  test('all iterations over status() share the calls of the store', async () => {
    const calls: string[] = []
    const store = counting(memoryStore(), calls)
    const time = virtualTime(
      () => 0.5,
      () => false,
    )
    const app = kept(logging(store, () => {}, {}, {}, time.runtime))
    const seen: string[][] = []
    const watching = Array.from({ length: 100 }, async () => {
      const states: string[] = []
      seen.push(states)
      for await (const { state } of app.subscriptions.log.status()) states.push(state)
    })
    await time.until(time.sleep(10_500), 60_000)
    const calledPerLook = 4
    expect(calls.length).toBeLessThanOrEqual(11 * calledPerLook)
    await app.aggregates.counter.execute('a', count(1))
    await time.until(time.sleep(1_500), 60_000)
    await time.until(app.close(), 60_000)
    await Promise.all(watching)
    expect(seen).toEqual(Array.from({ length: 100 }, () => ['idle', 'nobody']))
  })

  test('status() does not report that time passes', async () => {
    const time = virtualTime(
      () => 0.5,
      () => false,
    )
    const app = kept(logging(memoryStore(), () => {}, {}, {}, time.runtime))
    await app.aggregates.counter.execute('a', count(1))
    const seen: (number | undefined)[] = []
    const watching = (async () => {
      for await (const { oldest } of app.subscriptions.log.status()) seen.push(oldest?.seconds)
    })()
    await time.until(time.sleep(5_500), 60_000)
    await app.close()
    await watching
    expect(seen).toEqual([0])
  })

  test('health() tells the age of the oldest event by the clock of the app', async () => {
    let now = Date.UTC(2030, 0, 1)
    const runtime = { ...platformRuntime, now: () => new Date(now) }
    const app = kept(logging(memoryStore(), () => {}, {}, {}, runtime))
    await app.aggregates.counter.execute('a', count(1))
    now += 90_500
    expect(await app.subscriptions.log.health()).toMatchObject({
      oldest: { eventId: 'counter/a/1', recordedAt: '2030-01-01T00:00:00.000Z', seconds: 90.5 },
    })
  })
})

test('health() is refused after close()', async () => {
  const tables = defineView({ name: 'v', aggregates: [counter], initialView: () => ({}), update: {}, consistency: 'async' })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, views: { tables } })
  await app.close()
  await expect(app.health()).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(app.views.tables.health()).rejects.toMatchObject({ code: 'CLOSED' })
})
