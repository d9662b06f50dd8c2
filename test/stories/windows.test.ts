// biome-ignore-all lint/suspicious/noThenProperty: an option has this name
import { createApp, defineSubscription, platformRuntime, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { failureOf, gate, settled, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { type LogHandler, type LogOptions, logging } from '../support/logging.ts'
import { randomOf } from '../support/random.ts'
import { changed } from '../support/stores.ts'
import { virtualTime } from '../support/virtual-time.ts'

const kept = keeping()
const appWith = (...args: Parameters<typeof logging>) => kept(logging(...args))

describe('a subscription', () => {
  test('a concurrency of 16 runs up to 16 handlers at once, one per aggregate, in order', async () => {
    const inside = new Map<string, number>()
    const seen = new Map<string, number[]>()
    let most = 0
    const handle = async ({ aggregateId, sequence }: { readonly aggregateId: string; readonly sequence: number }) => {
      expect(inside.has(aggregateId)).toBe(false)
      inside.set(aggregateId, sequence)
      most = Math.max(most, inside.size)
      await settled()
      inside.delete(aggregateId)
      seen.set(aggregateId, [...(seen.get(aggregateId) ?? []), sequence])
    }
    const app = appWith(memoryStore(), handle, { concurrency: 16 })
    for (let i = 0; i < 64; i++) await app.aggregates.counter.execute(`c${i}`, countEach(1, 2, 3))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 192 })
    expect(most).toBe(16)
    for (const sequences of seen.values()) expect(sequences).toEqual([1, 2, 3])
  })

  test('a concurrency of 1 keeps the order of the log across aggregates', async () => {
    const seen: string[] = []
    const app = appWith(memoryStore(), async ({ id }) => {
      await settled()
      seen.push(id)
    })
    const ids: string[] = []
    for (let i = 0; i < 30; i++) {
      await app.aggregates.counter.execute(`c${i % 4}`, count(1))
      ids.push(`counter/c${i % 4}/${1 + Math.floor(i / 4)}`)
    }
    await app.drain()
    expect(seen).toEqual(ids)
  })

  test('a concurrency of 1 continues after a slow save', async () => {
    const store = memoryStore()
    let isFirst = true
    const slow = changed(store, {
      append: async (commits) => {
        if (isFirst && commits.some(({ checkpoint }) => checkpoint !== undefined)) {
          isFirst = false
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
        return store.append(commits)
      },
    })
    let events = 0
    const app = appWith(slow, async () => {
      // The first save begins while others wait.
      if (++events === 1) await new Promise((resolve) => setTimeout(resolve, 300))
    })
    for (let i = 0; i < 5; i++) await app.aggregates.counter.execute('c', count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 5 })
  })

  test('a hanging handler blocks no other aggregate, and only its event is redelivered', async () => {
    const store = memoryStore()
    const hangs = gate()
    const seen: string[] = []
    const app = logging(
      store,
      async ({ id, aggregateId }) => {
        if (aggregateId === 'slow') await hangs.pass()
        else seen.push(id)
      },
      { concurrency: 4 },
    )
    await app.aggregates.counter.execute('slow', count(1))
    for (let i = 0; i < 90; i++) await app.aggregates.counter.execute(`c${i}`, countEach(...Array.from({ length: 10 }, () => 1)))
    await app.start()
    await hangs.reached
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(900)
    // What is done was stored, beside the event that is still open.
    await expect
      .poll(async () => (await store.readCheckpoint('subscription/log'))?.position, { timeout: 20_000 })
      .toContain('"open"')
    const again: string[] = []
    hangs.open()
    await app.close()
    const next = appWith(store, ({ id }) => void again.push(id), { concurrency: 4 })
    await next.drain()
    expect(again.filter((id) => seen.includes(id))).toEqual([])
  })

  test('handlers in flight end when the log cannot be read, before they are called again', async () => {
    const store = memoryStore()
    const isInside = gate()
    let isDown = true
    const flaky = changed(store, {
      readFeed: async (request) => {
        if (request.after === undefined || !isDown) return store.readFeed(request)
        await isInside.reached
        isDown = false
        throw new Error('down')
      },
    })
    const inside = new Set<string>()
    const twice: string[] = []
    const seen: string[] = []
    const app = appWith(
      flaky,
      async ({ id, aggregateId }) => {
        if (inside.has(aggregateId)) twice.push(id)
        inside.add(aggregateId)
        if (inside.size === 4) void isInside.pass()
        await new Promise((resolve) => setTimeout(resolve, 1))
        inside.delete(aggregateId)
        seen.push(id)
      },
      { concurrency: 4 },
    )
    for (let i = 0; i < 20; i++) await app.aggregates.counter.execute(`c${i}`, countEach(...Array.from({ length: 60 }, () => 1)))
    expect((await failureOf(app.drain())).message).toContain('down')
    expect(inside.size).toBe(0)
    expect(await app.drain()).toMatchObject({ caughtUp: true })
    expect([twice, seen.length]).toEqual([[], 1_200])
  })

  test('an aggregate with a single event is processed early beside one with many events', async () => {
    let before = 0
    let isThere = false
    const app = appWith(
      memoryStore(),
      ({ aggregateId }) => {
        if (aggregateId === 'small') isThere = true
        else if (!isThere) before++
      },
      { concurrency: 2 },
    )
    for (let i = 0; i < 10; i++) await app.aggregates.counter.execute('big', countEach(...Array.from({ length: 30 }, () => 1)))
    await app.aggregates.counter.execute('small', count(1))
    await app.drain()
    expect(before).toBeLessThan(100)
  })

  test('batches with a concurrency of 4 never have one aggregate in two batches at once', async () => {
    const busy = new Set<string>()
    const sizes: number[] = []
    const log = defineSubscription({
      name: 'log',
      aggregates: [counter],
      concurrency: 4,
      batchSize: 10,
      handleBatch: async (events) => {
        const ids = new Set(events.map(({ aggregateId }) => aggregateId))
        for (const id of ids) expect(busy.has(id)).toBe(false)
        for (const id of ids) busy.add(id)
        sizes.push(events.length)
        await settled()
        for (const id of ids) busy.delete(id)
      },
    })
    const batched = kept(createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { log } }))
    for (let i = 0; i < 40; i++) await batched.aggregates.counter.execute(`c${i % 8}`, countEach(1, 2, 3))
    await batched.drain()
    expect(sizes.reduce((sum, n) => sum + n, 0)).toBe(120)
    expect(Math.max(...sizes)).toBe(10)
  })

  test('stops reading while its handlers are busy', async () => {
    const store = memoryStore()
    let read = 0
    const counted = changed(store, {
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        read += page.events.length
        return page
      },
    })
    const isBusy = gate()
    const app = appWith(counted, () => isBusy.pass(), { concurrency: 2 })
    for (let i = 0; i < 10; i++)
      await app.aggregates.counter.execute(`c${i}`, countEach(...Array.from({ length: 1_000 }, () => 1)))
    const draining = app.drain()
    await isBusy.reached
    for (let i = 0; i < 100; i++) await settled()
    // What is in hand, and one page ahead.
    expect(read).toBeGreaterThan(0)
    expect(read).toBeLessThanOrEqual(3_000)
    isBusy.open()
    expect(await draining).toEqual({ caughtUp: true, events: 10_000 })
  })

  test('closing with 16 running handlers leaves those open that fail', async () => {
    const store = memoryStore()
    const all = gate()
    const runtime = {
      ...platformRuntime,
      // No handler gets the time that it is allowed.
      sleep: (ms: number, signal?: AbortSignal) => platformRuntime.sleep(ms === 5_000 ? 50 : ms, signal),
    }
    let inside = 0
    const handle: LogHandler = async ({ aggregateId }, { signal }) => {
      if (++inside === 16) void all.pass()
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      if (aggregateId.startsWith('bad')) throw new Error('no')
      if (aggregateId.startsWith('late')) await new Promise(() => {})
    }
    const app = appWith(store, handle, { concurrency: 16 }, {}, runtime)
    const ids = ['good', 'bad', 'late', 'good'].flatMap((kind, n) => [0, 1, 2, 3].map((i) => `${kind}${4 * n + i}`))
    for (const id of ids) await app.aggregates.counter.execute(id, count(1))
    await app.start()
    await all.reached
    await app.close()
    const again: string[] = []
    const next = appWith(store, ({ aggregateId }) => void again.push(aggregateId), { concurrency: 16 })
    expect(await next.drain()).toMatchObject({ caughtUp: true })
    expect(again).toEqual(ids.filter((id) => !id.startsWith('good')))
  })

  test('a subscription may change its concurrency between runs', async () => {
    const store = memoryStore()
    const seen: string[] = []
    for (const [i, concurrency] of [1, 16, 1].entries()) {
      const app = logging(store, ({ id }) => void seen.push(id), { concurrency })
      for (let n = 0; n < 20; n++) await app.aggregates.counter.execute(`c${n % 5}`, count(1))
      expect((await app.drain({ maxEvents: 15 })).events).toBe(15)
      await app.close()
      expect(new Set(seen).size).toBe(15 * (i + 1))
      expect(seen.length).toBe(15 * (i + 1))
    }
  })
})

describe('the options of a subscription', () => {
  const define = (options: object) =>
    thrownBy(() => defineSubscription({ name: 's', aggregates: [counter], handle: () => {}, ...options } as never))

  test('defineSubscription refuses slots and names the options that replace it', () => {
    expect(define({ slots: true })).toMatchObject({ code: 'DEFINITION' })
    expect(define({ slots: true }).message).toMatch(/concurrency.*partitions/)
  })

  test.each([{ concurrency: 0 }, { concurrency: 257 }, { partitions: 0 }, { partitions: 65 }, { partitions: 1.5 }])(
    'defineSubscription refuses %j',
    (options) => {
      expect(define(options).code).toBe('DEFINITION')
    },
  )
})

type Loaded = { readonly handle?: LogHandler } & Pick<LogOptions, 'onFailure' | 'partitions'>

describe('under constant load with overlapping handlers', () => {
  /** Handlers of 1 to 3 seconds, four at once. */
  function loaded(store: Store, time: ReturnType<typeof virtualTime>, options: Loaded) {
    const seen: string[] = []
    const handle: LogHandler = async (event, context) => {
      await options.handle?.(event, context)
      await time.sleep(1_000 + time.runtime.random() * 2_000)
      seen.push(event.id)
    }
    const app = kept(logging(store, handle, { concurrency: 4, ...options, handle }, {}, time.runtime))
    return { app, seen }
  }

  function onTime() {
    let digests = 0
    const time = virtualTime(randomOf(1), () => digests > 0)
    const digest = crypto.subtle.digest.bind(crypto.subtle)
    const counted = vi.spyOn(crypto.subtle, 'digest').mockImplementation(async (...args) => {
      digests++
      return digest(...args).finally(() => digests--)
    })
    onTestFinished(() => counted.mockRestore())
    return { time, store: memoryStore({ clock: time.now }) }
  }

  test('a subscription under load retries an event when it is due', async () => {
    const { time, store } = onTime()
    let tries = 0
    const handle: LogHandler = ({ aggregateId }) => {
      if (aggregateId === 'bad' && ++tries === 1) throw new Error('no')
    }
    const onFailure = { retry: { firstMs: 100, forMs: 3_600_000 }, then: 'park' } as const
    const { app, seen } = loaded(store, time, { handle, onFailure })
    for (const id of ['bad', ...Array.from({ length: 500 }, (_, i) => `c${i}`)])
      await app.aggregates.counter.execute(id, count(1))
    await app.start()
    await time.until(app.subscriptions.log.caughtUp(), 3_600_000)
    expect(seen.indexOf('counter/bad/1')).toBeLessThan(100)
    await time.until(app.close(), 3_600_000)
  })

  test('a subscription under load retries an event that another process has resumed', async () => {
    const { time, store } = onTime()
    let isBroken = true
    const handle: LogHandler = ({ aggregateId }) => {
      if (aggregateId === 'bad' && isBroken) throw new Error('no')
    }
    const { app, seen } = loaded(store, time, { handle, onFailure: 'park' })
    const other = kept(logging(store, () => {}, { onFailure: 'park' }))
    for (const id of ['bad', ...Array.from({ length: 500 }, (_, i) => `c${i}`)])
      await app.aggregates.counter.execute(id, count(1))
    await app.start()
    await time.until(time.sleep(3_000), 3_000)
    isBroken = false
    await other.subscriptions.log.resume()
    await time.until(app.subscriptions.log.caughtUp(), 3_600_000)
    expect(seen.indexOf('counter/bad/1')).toBeLessThan(100)
    await time.until(app.close(), 3_600_000)
  })

  test('a subscription under load gives partitions to a process that has none', async () => {
    const { time, store } = onTime()
    const one = loaded(store, time, { partitions: 4 })
    const two = loaded(store, time, { partitions: 4 })
    for (let i = 0; i < 500; i++) await one.app.aggregates.counter.execute(`c${i}`, count(1))
    await one.app.start()
    await time.until(time.sleep(1_000), 1_000)
    await two.app.start()
    await time.until(one.app.subscriptions.log.caughtUp(), 3_600_000)
    expect(two.seen.length).toBeGreaterThan(100)
    expect(new Set([...one.seen, ...two.seen]).size).toBe(500)
    expect(one.seen.length + two.seen.length).toBe(500)
    await time.until(Promise.all([one.app.close(), two.app.close()]), 3_600_000)
  })
})
