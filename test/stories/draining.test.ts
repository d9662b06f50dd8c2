import { createApp, defineSubscription, platformRuntime } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { gate } from '../support/async.ts'
import { bankAccount } from '../support/bank-account.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { logging } from '../support/logging.ts'
import { changed, unordered, withReleases } from '../support/stores.ts'

const kept = keeping()

describe('a drain', () => {
  test.each([
    ['one by one', memoryStore, 1, 1_000, 50],
    ['several at a time', memoryStore, 16, 1_000, 50],
    // A look at all aggregates begins after two seconds.
    ['aggregate by aggregate', () => unordered(memoryStore()), 1, 2_000, 70],
  ] as const)(
    'a drain with a budget ends in time when the clock is set back: %s',
    async (_, open, concurrency, budgetMs, most) => {
      let now = Date.now()
      let seen = 0
      const handle = async () => {
        now += ++seen === 5 ? -86_400_000 : 100
      }
      const runtime = { ...platformRuntime, now: () => new Date(now) }
      const app = kept(logging(open(), handle, { concurrency }, {}, runtime))
      for (let i = 0; i < 100; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
      expect(await app.drain({ budgetMs })).toMatchObject({ caughtUp: false })
      expect(seen).toBeGreaterThan(5)
      expect(seen).toBeLessThan(most)
    },
  )

  test('a drain also processes the events that a resumed event leads to', async () => {
    let works = false
    const store = memoryStore()
    const isDone = gate()
    const watched = withReleases(store, (name) => {
      if (works && name === 'subscription/second') void isDone.pass()
    })
    const got: string[] = []
    const first = defineSubscription({
      name: 'first',
      aggregates: [counter],
      onFailure: 'park',
      handle: async ({ aggregateId }, { app, reaction }) => {
        if (aggregateId !== 'x') return
        if (!works) throw new Error('not yet')
        // The other one has had its turn, and found nothing.
        await isDone.reached
        await app.aggregate(counter).execute('led-to', count(1), reaction())
      },
    })
    const second = defineSubscription({ name: 'second', aggregates: [counter], handle: ({ id }) => void got.push(id) })
    const app = kept(createApp({ store: watched, aggregates: { counter }, subscriptions: { first, second }, observe: () => {} }))
    await app.aggregates.counter.execute('x', count(1))
    await app.drain()
    works = true
    await app.subscriptions.first.resume()
    expect(await app.drain()).toEqual({ caughtUp: true, events: 3 })
    expect(got).toEqual(['counter/x/1', 'counter/led-to/1'])
  })

  test('a drain with maxEvents shares them among the subscriptions that have events', async () => {
    const seen: string[] = []
    const of = (name: string, aggregates: readonly [typeof counter] | readonly [typeof bankAccount]) =>
      defineSubscription({ name, aggregates: aggregates as readonly [typeof counter], handle: () => void seen.push(name) })
    const all = { a: of('a', [counter]), b: of('b', [counter]), c: of('c', [counter]) }
    const store = memoryStore()
    const app = kept(createApp({ store, aggregates: { counter }, subscriptions: all }))
    for (let i = 0; i < 30; i++) await app.aggregates.counter.execute(`c${i}`, count(1))
    expect(await app.drain({ maxEvents: 12 })).toEqual({ caughtUp: false, events: 12 })
    expect([...seen].sort().join('')).toBe('aaaabbbbcccc')

    const others = { idle: of('idle', [bankAccount]), too: of('too', [bankAccount]), one: of('one', [counter]) }
    const services = { account: { validateCheck: async () => true } } as never
    const aggregates = { counter, account: bankAccount }
    const next = kept(createApp({ store, aggregates, subscriptions: others, services } as never))
    expect(await next.drain({ maxEvents: 12 })).toEqual({ caughtUp: false, events: 12 })
  })

  test('drains with maxEvents: 1 reach the last attempt of a failing event', async () => {
    let tries = 0
    const onFailure = 'park'
    const fails = () => {
      tries++
      throw new Error('no')
    }
    const app = kept(logging(memoryStore(), fails, { maxAttempts: 3, onFailure }))
    await app.aggregates.counter.execute('c', count(1))
    for (let i = 0; i < 3; i++) await app.drain({ maxEvents: 1 })
    expect(tries).toBe(3)
    expect((await app.subscriptions.log.parked()).items).toMatchObject([{ attempts: 3, state: 'parked' }])
    await app.subscriptions.log.resume()
    await app.drain()
    expect(tries).toBe(6)
  })

  test('an aborted drain returns what it has done', async () => {
    const stop = new AbortController()
    const door = gate()
    const app = kept(
      logging(memoryStore(), async ({ sequence }) => {
        if (sequence === 2) await door.pass()
      }),
    )
    const { counter: c } = app.aggregates
    expect(await app.drain({ signal: AbortSignal.abort(new Error('before')) })).toEqual({ caughtUp: false, events: 0 })
    await c.execute('a', count(1))
    await app.drain()
    await c.execute('a', count(1))
    const other = app.drain()
    await door.reached
    const waiting = app.drain({ signal: stop.signal })
    stop.abort(new Error('while another one had its turn'))
    door.open()
    expect(await waiting).toEqual({ caughtUp: false, events: 0 })
    expect(await other).toEqual({ caughtUp: true, events: 1 })
  })

  test('a started, idle app releases its lease after caughtUp() and drain()', async () => {
    const store = memoryStore()
    let released = gate()
    const quiet = changed(store, { capabilities: { ...store.capabilities, push: false } })
    const watched = withReleases(quiet, () => void released.pass())
    const server = kept(logging(watched, () => {}, {}, { pollMs: 3_600_000 }))
    const other = kept(logging(store, () => {}))
    await server.start()
    await released.reached
    await other.aggregates.counter.execute('a', count(1))
    for (const work of [() => server.subscriptions.log.caughtUp(), () => server.drain()]) {
      released = gate()
      await work()
      expect(await other.drain()).toEqual({ caughtUp: true, events: 0 })
    }
  })
})
