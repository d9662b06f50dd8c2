import { createApp, defineSubscription, defineView, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test, vi } from 'vitest'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { dim, lamp } from '../support/lamp.ts'
import { logging } from '../support/logging.ts'
import { changed, counting } from '../support/stores.ts'
import { virtualTime } from '../support/virtual-time.ts'

const kept = keeping()

/** Digests are computed beside the event loop, in real time. */
let digests = 0
const digest = crypto.subtle.digest.bind(crypto.subtle)
vi.spyOn(crypto.subtle, 'digest').mockImplementation((...of) => {
  digests++
  return digest(...of).finally(() => digests--)
})
const time = () =>
  virtualTime(
    () => 0.5,
    () => digests > 0,
  )

/** A store that notes its calls with what they are about. */
function noting(store: Store) {
  const calls: string[] = []
  return { store: counting(store, calls, (name, args) => `${name} ${JSON.stringify(args)}`), calls }
}

const silent = (store: Store) => changed(store, { capabilities: { ...store.capabilities, push: false } })
const isLookForAsked = (call: string) => call.startsWith('readViews') && !call.includes('~stopped')

describe.each([
  ['with push', (store: Store) => store],
  ['by polling', silent],
] as const)('a started app %s', (_, as) => {
  const lamps = defineSubscription({ name: 'lamps', aggregates: [lamp], handle: () => {} })
  const shining = defineView({ name: 'shining', aggregates: [lamp], initialView: () => ({}), update: {}, consistency: 'async' })

  test.each(['this process', 'another one'])(
    'a started app runs no statement for consumers of other aggregates when %s commits',
    async (who) => {
      const { until, sleep, runtime } = time()
      const memory = as(memoryStore())
      const { store, calls } = noting(memory)
      const seen: string[] = []
      const counts = defineSubscription({ name: 'counts', aggregates: [counter], handle: ({ id }) => void seen.push(id) })
      const app = kept(
        createApp({
          store,
          aggregates: { counter, lamp },
          subscriptions: { counts, lamps },
          views: { shining },
          runtime,
        }),
      )
      const other = kept(createApp({ store: memory, aggregates: { counter, lamp } }))
      await app.start()
      await until(sleep(1_500), 60_000)
      calls.length = 0
      const writer = who === 'this process' ? app : other
      for (let i = 0; i < 5; i++) {
        await writer.aggregates.counter.execute('a', count(1))
        await until(sleep(1_500), 60_000)
      }
      expect(seen).toHaveLength(5)
      const about = calls.filter((call) => !isLookForAsked(call) && /lamps|shining/.test(call))
      expect(about).toEqual([])
      await writer.aggregates.lamp.execute('l', dim(1))
      await until(sleep(1_500), 60_000)
      expect(calls.some((call) => /acquireLease.*lamps/.test(call))).toBe(true)
      expect(calls.some((call) => /acquireLease.*shining/.test(call))).toBe(true)
      await until(app.close(), 60_000)
    },
  )

  test('a started app moves the checkpoint of a consumer past 1,000 events of other aggregates', async () => {
    const { until, sleep, runtime } = time()
    const store = as(memoryStore())
    const app = kept(createApp({ store, aggregates: { counter, lamp }, subscriptions: { lamps }, runtime }))
    await app.aggregates.lamp.execute('l', dim(1))
    await app.start()
    await until(sleep(1_500), 60_000)
    const stored = async () => (await store.readCheckpoint('subscription/lamps'))?.position
    const write = async (events: number) => {
      for (let i = 0; i < events; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
      await until(sleep(15_000), 60_000)
    }
    await write(900)
    expect(await stored()).toBe('1')
    await write(200)
    expect(Number(await stored())).toBeGreaterThan(900)
    await until(app.close(), 60_000)
  })

  test('a started app delivers more than a page of events that another process stores at once', async () => {
    const { until, sleep, runtime } = time()
    const store = as(memoryStore())
    let seen = 0
    const app = kept(logging(store, () => void seen++, {}, {}, runtime))
    const other = kept(createApp({ store, aggregates: { counter } }))
    await app.start()
    await until(sleep(1_500), 60_000)
    await Promise.all(Array.from({ length: 450 }, (_, i) => other.aggregates.counter.execute(`c${i}`, count(1))))
    await until(sleep(10_000), 60_000)
    expect(seen).toBe(450)
    await until(app.close(), 60_000)
  })
})

describe('a started app', () => {
  test('a started app finds events whose notification was lost', async () => {
    const { until, sleep, runtime } = time()
    const memory = memoryStore()
    const seen: string[] = []
    const app = kept(logging(changed(memory, { watch: () => () => {} }), ({ id }) => void seen.push(id), {}, {}, runtime))
    const other = kept(createApp({ store: memory, aggregates: { counter } }))
    await app.start()
    await until(sleep(1_500), 60_000)
    await other.aggregates.counter.execute('a', count(1))
    await until(sleep(12_500), 60_000)
    expect(seen).toEqual(['counter/a/1'])
    await until(app.close(), 60_000)
  })

  test('a started app finds events after the end of the log could not be read for a while', async () => {
    const { until, sleep, runtime } = time()
    const memory = silent(memoryStore())
    let isDown = true
    const down = async <T>(read: () => Promise<T>): Promise<T> => {
      if (isDown) throw new Error('away')
      return read()
    }
    const store = changed(memory, {
      lastPosition: () => down(() => memory.lastPosition()),
      readFeed: (request) => down(() => memory.readFeed(request)),
    })
    const seen: string[] = []
    const app = kept(logging(store, ({ id }) => void seen.push(id), {}, {}, runtime))
    const other = kept(createApp({ store: memory, aggregates: { counter } }))
    await app.start()
    await other.aggregates.counter.execute('a', count(1))
    await until(sleep(5_000), 60_000)
    isDown = false
    await until(sleep(40_000), 60_000)
    expect(seen).toEqual(['counter/a/1'])
    await other.aggregates.counter.execute('b', count(1))
    await until(sleep(2_000), 60_000)
    expect(seen).toEqual(['counter/a/1', 'counter/b/1'])
    await until(app.close(), 60_000)
  })

  test('a started app retries the due events of a dead process within about a minute', async () => {
    const { until, sleep, runtime } = time()
    const memory = memoryStore()
    const retry = { firstMs: 20_000, forMs: 3_600_000 }
    // biome-ignore lint/suspicious/noThenProperty: the name of the option
    const options = { onFailure: { retry, then: 'park' } } as const
    const fails = () => {
      throw new Error('down')
    }
    // It learns of nothing by the log.
    const deaf = changed(silent(memory), { lastPosition: async () => undefined })
    const seen: string[] = []
    const app = kept(logging(deaf, ({ id }) => void seen.push(id), options, {}, runtime))
    await app.start()
    await until(sleep(1_500), 60_000)
    const dies = kept(logging(memory, fails, options, {}, runtime))
    await dies.aggregates.counter.execute('a', count(1))
    expect((await until(dies.drain(), 60_000)).nextDue).toBeInstanceOf(Date)
    await until(sleep(90_000), 600_000)
    expect(seen).toEqual(['counter/a/1'])
    await until(app.close(), 60_000)
  })

  test('a started app continues when its clock is set back by a day', async () => {
    const { until, sleep, runtime } = time()
    let offMs = 0
    const clock = { ...runtime, now: () => new Date(runtime.now().getTime() - offMs) }
    const seen: string[] = []
    const app = kept(logging(silent(memoryStore()), ({ id }) => void seen.push(id), { concurrency: 4 }, {}, clock))
    await app.start()
    await app.aggregates.counter.execute('a', count(1))
    await until(sleep(2_000), 60_000)
    offMs = 86_400_000
    await app.aggregates.counter.execute('b', count(1))
    await until(sleep(2_000), 60_000)
    expect(seen).toEqual(['counter/a/1', 'counter/b/1'])
    await until(app.close(), 60_000)
  })

  test('an idle app polls once a second, and every five seconds for requests of ten subscriptions', async () => {
    const { until, sleep, runtime } = time()
    const { store, calls } = noting(silent(memoryStore()))
    const subscriptions = Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [
        `s${i}`,
        defineSubscription({ name: `sub-${i}`, aggregates: [counter], onFailure: 'park', handle: () => {} }),
      ]),
    )
    const app = kept(createApp({ store, aggregates: { counter }, subscriptions, runtime }))
    await app.aggregates.counter.execute('a', count(1))
    await app.start()
    await until(sleep(3_000), 60_000)
    calls.length = 0
    await until(sleep(50_000), 60_000)
    const polls = calls.filter((call) => call.startsWith('lastPosition'))
    const asked = calls.filter(isLookForAsked)
    expect([polls.length, asked.length]).toEqual([50, 10])
    expect(calls).toHaveLength(60)
    await until(app.close(), 60_000)
  })
})

test('a drain does not wait for an event that is retried in an hour', async () => {
  const { until, runtime, now } = time()
  const retry = { firstMs: 7_200_000, maxMs: 7_200_000, forMs: 86_400_000 }
  const fails = () => {
    throw new Error('down')
  }
  // biome-ignore lint/suspicious/noThenProperty: the name of the option
  const app = kept(logging(memoryStore(), fails, { onFailure: { retry, then: 'park' } }, {}, runtime))
  await app.aggregates.counter.execute('a', count(1))
  const began = now()
  const { nextDue } = await until(app.drain(), 10_000)
  expect((nextDue as Date).getTime() - began).toBeGreaterThanOrEqual(3_600_000)
  await until(app.close(), 60_000)
})
