import { platformRuntime } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { gate } from '../support/async.ts'
import { count } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { logging } from '../support/logging.ts'
import { leaping } from '../support/runtime.ts'
import { changed, withReleases } from '../support/stores.ts'

const kept = keeping()
const appWith = (...args: Parameters<typeof logging>) => kept(logging(...args))
// Before the apps are closed: of such hooks the last one is the first.
afterEach(() => void vi.useRealTimers())

/** Until `signal` aborts. */
const forEver = (signal: AbortSignal | undefined) => platformRuntime.sleep(Number.POSITIVE_INFINITY, signal)
const failing = () => {
  throw new Error('down')
}

describe("an event with onFailure 'retry'", () => {
  test("an event with onFailure 'retry' is retried by one process, which keeps the lease meanwhile", async () => {
    const store = memoryStore()
    const waits = gate()
    const runtime = {
      ...platformRuntime,
      random: () => 0.5,
      sleep: (ms: number, signal?: AbortSignal) => {
        if (ms !== 100) return platformRuntime.sleep(ms, signal)
        void waits.pass()
        return forEver(signal)
      },
    }
    const calls: string[] = []
    const make = (name: string, ...rest: [object?, typeof runtime?]) => {
      const handle = () => {
        calls.push(name)
        failing()
      }
      return appWith(store, handle, { onFailure: 'retry' }, ...rest)
    }
    const one = make('one', { leaseMs: 60_000 }, runtime)
    const other = make('other')
    await one.aggregates.counter.execute('a', count(1))
    await one.start()
    await waits.reached
    expect(await other.drain()).toEqual({ caughtUp: false, events: 0 })
    expect(calls).toEqual(['one'])
    await one.close()
    await other.drain()
    expect(calls).toEqual(['one', 'other'])
  })

  test("the waits of onFailure 'retry' grow, also after another process had the subscription", async () => {
    let now = Date.now()
    const store = memoryStore({ clock: () => now })
    const third = gate()
    const waits: number[] = []
    const runtime = {
      ...platformRuntime,
      now: () => new Date(now),
      random: () => 0.5,
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (ms === 1_000) now += 5_000
        else if (ms < 100 || ms > 400) return platformRuntime.sleep(ms, signal)
        else waits.push(ms)
        if (waits.length === 2 && ms !== 1_000) {
          now += 120_000
          await store.acquireLease({ name: 'subscription/log', holder: 'other', ttlMs: 1_000 })
        }
        if (waits.length < 3) return platformRuntime.sleep(0, signal)
        void third.pass()
        return forEver(signal)
      },
    }
    const app = appWith(store, failing, { onFailure: 'retry' }, { leaseMs: 60_000 }, runtime)
    await app.aggregates.counter.execute('a', count(1))
    await app.start()
    await third.reached
    expect(waits).toEqual([100, 200, 400])
  })
})

describe('a parked event', () => {
  test('a parked event is retried after another process calls resume(), without new events', async () => {
    const store = memoryStore()
    const isIdle = gate()
    const unpushed = changed(store, { capabilities: { ...store.capabilities, push: false } })
    const quiet = withReleases(unpushed, () => void isIdle.pass())
    const again = gate()
    let works = false
    const handle = () => (works ? void again.pass() : failing())
    // What others ask for is looked for every 5 s.
    const runtime = leaping((ms) => ms === 5_000)
    const server = appWith(quiet, handle, { onFailure: 'park' }, { pollMs: 3_600_000 }, runtime)
    await server.aggregates.counter.execute('a', count(1))
    await server.start()
    await isIdle.reached
    expect((await server.subscriptions.log.parked()).items.length).toBe(1)
    works = true
    await appWith(store, () => {}, { onFailure: 'park' }).subscriptions.log.resume()
    await again.reached
  })

  test('a parked event is retried when resume() is called while parked events are read', async () => {
    const store = memoryStore()
    let during: (() => Promise<void>) | undefined
    let isIdle = gate()
    const watched = changed(store, {
      findViews: async (request) => {
        const page = await store.findViews(request)
        const work = during
        during = undefined
        await work?.()
        return page
      },
      releaseLease: async (request) => {
        await store.releaseLease(request)
        void isIdle.pass()
      },
    })
    const again = gate()
    let works = false
    // It is found at once, not only when what is parked is looked for by the clock.
    const runtime = {
      ...platformRuntime,
      sleep: (ms: number, signal?: AbortSignal) => (ms === 5_000 ? forEver(signal) : platformRuntime.sleep(ms, signal)),
    }
    const handle = ({ aggregateId }: { aggregateId: string }) => {
      if (aggregateId === 'a') return works ? void again.pass() : failing()
    }
    const app = appWith(watched, handle, { onFailure: 'park' }, {}, runtime)
    await app.aggregates.counter.execute('a', count(1))
    await app.start()
    await isIdle.reached
    isIdle = gate()
    during = async () => {
      works = true
      await app.subscriptions.log.resume()
    }
    await app.aggregates.counter.execute('b', count(1))
    await again.reached
  })
})

describe('a time longer than the limit of timers', () => {
  test('timeoutMs may be longer than the limit of timers', async () => {
    const store = memoryStore()
    const app = appWith(store, () => new Promise((resolve) => setTimeout(resolve, 20)), { timeoutMs: Number.MAX_SAFE_INTEGER })
    await app.aggregates.counter.execute('a', count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
  })

  test('sleep() waits the full time beyond the limit of timers', async () => {
    vi.useFakeTimers()
    const ended: string[] = []
    void platformRuntime.sleep(2 ** 32).then(() => ended.push('long'))
    const stop = new AbortController()
    const stopped = platformRuntime.sleep(2 ** 32, stop.signal).catch(() => ended.push('aborted'))
    await vi.advanceTimersByTimeAsync(2 ** 32 - 1)
    expect(ended).toEqual([])
    stop.abort()
    await stopped
    await vi.advanceTimersByTimeAsync(1)
    expect(ended).toEqual(['aborted', 'long'])
    expect(vi.getTimerCount()).toBe(0)
  })
})
