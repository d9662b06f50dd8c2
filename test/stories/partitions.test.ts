import { platformRuntime } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf, gate, settled } from '../support/async.ts'
import { count, countEach } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { logging } from '../support/logging.ts'
import { changed, counting } from '../support/stores.ts'

const partitions = 64
const leaseName = (partition: number) => (partition === 0 ? 'subscription/log' : `${partition}/subscription/log`)

const kept = keeping()
const appWith = (...args: Parameters<typeof logging>) => {
  const [store, handle, options, ...rest] = args
  return kept(logging(store, handle, { partitions, concurrency: 64, ...options }, ...rest))
}

describe('a subscription in partitions', () => {
  test('a failing partition ends the handlers of the others before they are called again', async () => {
    const store = memoryStore()
    let isDown = true
    const flaky = changed(store, {
      append: async (commits) =>
        isDown && commits.some(({ checkpoint }) => checkpoint !== undefined)
          ? commits.map(() => ({ kind: 'failed', certain: true, cause: new Error('down') }) as const)
          : store.append(commits),
    })
    const isInside = gate()
    let [inside, most] = [0, 0]
    const app = appWith(flaky, async ({ aggregateId }, { signal }) => {
      if (aggregateId === 'quick') return isInside.reached
      most = Math.max(most, ++inside)
      void isInside.pass()
      if (isDown) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      await settled()
      inside--
    })
    await app.aggregates.counter.execute('slow', count(1))
    await app.aggregates.counter.execute('quick', count(1))
    expect((await failureOf(app.drain())).message).toContain('down')
    expect(inside).toBe(0)
    isDown = false
    expect(await app.drain()).toEqual({ caughtUp: true, events: 2 })
    expect(most).toBe(1)
  })

  test('a process takes half of the partitions with work when another process waits for some', async () => {
    const store = memoryStore()
    const another = { holder: 'another', ttlMs: 60_000 }
    await store.acquireLease({ name: 'waiting/subscription/log', ...another })
    let free = 0
    const app = appWith(store, async () => {
      const names = Array.from({ length: partitions }, (_, partition) => leaseName(partition))
      const answers = await Promise.all(names.map((name) => store.acquireLease({ name, ...another })))
      free = answers.filter(({ acquired }) => acquired).length
    })
    for (let i = 0; i < 200; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    expect((await app.drain()).events).toBeGreaterThan(0)
    // All but a few of the partitions have an event among the first.
    expect(free).toBeGreaterThanOrEqual(partitions / 2)
    expect(free).toBeLessThan(partitions * 0.6)
  })

  test('a process keeps no lease when one of the partitions cannot be taken', async () => {
    const store = memoryStore()
    let isDown = true
    const flaky = changed(store, {
      acquireLease: async (request) => {
        if (isDown && request.name === leaseName(7)) throw new Error('down')
        await settled()
        return store.acquireLease(request)
      },
    })
    const app = appWith(flaky, () => {})
    for (let i = 0; i < 200; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    expect((await failureOf(app.drain())).message).toContain('down')
    await settled()
    for (let partition = 0; partition < partitions; partition++)
      expect(await store.acquireLease({ name: leaseName(partition), holder: 'other', ttlMs: 1 })).toMatchObject({
        acquired: true,
      })
    isDown = false
  })

  test("a subscription from 'now' starts once for all partitions, also for those taken much later", async () => {
    let now = Date.now()
    const store = memoryStore({ clock: () => now })
    const seen: string[] = []
    const app = appWith(store, ({ id }) => void seen.push(id), { from: 'now' })
    await app.aggregates.counter.execute('before', count(1))
    for (let partition = 0; partition < partitions / 2; partition++)
      await store.acquireLease({ name: leaseName(partition), holder: 'other', ttlMs: 1_000 })
    await app.drain()
    for (let i = 0; i < 20; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    now += 60_000
    await app.drain()
    expect(seen.sort()).toEqual(Array.from({ length: 20 }, (_, i) => `counter/c${i}/1`).sort())
  })

  test('a subscription in partitions runs many handlers at once without warnings about signals', async () => {
    const warnings: string[] = []
    const note = (warning: Error) => void warnings.push(warning.message)
    process.on('warning', note)
    const all = gate()
    let inside = 0
    const app = appWith(memoryStore(), async () => {
      if (++inside === 15) all.open()
      await all.pass()
    })
    for (let i = 0; i < 60; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    await app.drain()
    await settled()
    process.off('warning', note)
    expect(inside).toBe(60)
    expect(warnings).toEqual([])
  })

  test('a drain with a budget waits for the lease of a dead process on one partition', async () => {
    const store = memoryStore()
    const app = appWith(store, () => {})
    for (let i = 0; i < 200; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    await store.acquireLease({ name: leaseName(3), holder: 'dead', ttlMs: 3_000 })
    expect(await app.drain()).toMatchObject({ caughtUp: false })
    expect(await app.drain({ budgetMs: 60_000 })).toMatchObject({ caughtUp: true })
  })

  test('a started app takes over the partitions of a dead process without a new event', async () => {
    const store = memoryStore()
    for (let partition = 0; partition < partitions; partition += 2)
      await store.acquireLease({ name: leaseName(partition), holder: 'dead', ttlMs: 300 })
    const all = gate()
    const seen = new Set<string>()
    const app = appWith(store, ({ id }) => {
      if (seen.add(id).size === 80) void all.pass()
    })
    for (let i = 0; i < 40; i++) await app.aggregates.counter.execute(`c${i}`, countEach(1, 2))
    await app.start()
    await all.reached
    expect(seen.size).toBe(80)
  })

  test('costs a lone event few statements', async () => {
    const calls: string[] = []
    const app = appWith(counting(memoryStore(), calls), () => {})
    for (let i = 0; i < 100; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    await app.drain()
    await app.aggregates.counter.execute('c1', count(1))
    calls.length = 0
    expect(await app.drain({ maxEvents: 1 })).toMatchObject({ events: 1 })
    expect(calls).toContain('append')
    expect(calls.length).toBeLessThanOrEqual(8)
  })

  test('changes its layout at most once a minute, however often programs of two versions start', async () => {
    let now = Date.UTC(2030, 0, 1)
    const store = memoryStore({ clock: () => now })
    const runtime = { ...platformRuntime, now: () => new Date(now) }
    let seen = 0
    for (let start = 0; start < 300; start++) {
      const app = logging(store, () => void seen++, { partitions: start % 2 === 0 ? 2 : 4 }, {}, runtime)
      await app.aggregates.counter.execute(`c${start}`, count(1))
      expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
      await app.close()
      now += 600
    }
    expect(seen).toBe(300)
    const [row] = await store.readViews([{ name: '~processor', generation: 1, id: 'subscription/log' }])
    const { epoch } = (row as { readonly view: object }).view as { readonly epoch: number }
    // In three minutes.
    expect([2, 3, 4]).toContain(epoch)
  })

  test('a subscription in partitions continues though most partitions never have an event', async () => {
    let seen = 0
    const app = appWith(memoryStore(), () => void seen++)
    for (let round = 1; round <= 4; round++) {
      await app.aggregates.counter.execute('only', countEach(...Array.from({ length: 150 }, () => 1)))
      await app.drain()
      expect(seen).toBe(round * 150)
    }
  })

  test('a subscription has caught up when partitions without events have not moved', async () => {
    const app = appWith(memoryStore(), () => {})
    for (let n = 1; n <= 300; n++) {
      await app.aggregates.counter.execute('only', count(1))
      if (n % 100 !== 1) continue
      await app.subscriptions.log.caughtUp({ timeoutMs: 10_000 })
      for await (const status of app.subscriptions.log.status()) {
        expect(status).toMatchObject({ state: 'idle', position: `${n}`, lag: 0 })
        break
      }
    }
    await app.aggregates.counter.execute('another', count(1))
    for await (const status of app.subscriptions.log.status()) {
      expect(status).toMatchObject({ state: 'nobody', position: '201', lag: 100, oldest: { eventId: 'counter/only/202' } })
      break
    }
  })

  test('a subscription processes events far after those of a slow partition of another process', async () => {
    const store = memoryStore()
    const seen: string[] = []
    const other = appWith(store, ({ id }) => void seen.push(id))
    await other.aggregates.counter.execute('slow', countEach(...Array.from({ length: 500 }, () => 1)))
    await other.drain()
    const isSlow = gate()
    const slow = appWith(store, () => isSlow.pass())
    await slow.aggregates.counter.execute('slow', countEach(...Array.from({ length: 300 }, () => 1)))
    const draining = slow.drain()
    await isSlow.reached
    await other.aggregates.counter.execute('quick', count(1))
    await other.drain()
    expect(seen.slice(500)).toEqual(['counter/quick/1'])
    isSlow.open()
    await draining
  })
})
