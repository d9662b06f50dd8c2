// biome-ignore-all lint/suspicious/noThenProperty: an option has this name
import {
  createApp,
  defineAggregate,
  defineSubscription,
  type Position,
  platformRuntime,
  type Store,
  type SubscriptionOptions,
  typed,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { isResend, isStreamWait, leaping, withoutStreamWaits } from '../support/runtime.ts'
import { onSqlite } from '../support/sqlite.ts'
import { changed, reporting, unordered } from '../support/stores.ts'

const ordered = [
  { name: 'memory', open: async (): Promise<Store> => memoryStore() },
  { name: 'SQLite', open: onSqlite },
]
const stores = [
  ...ordered,
  { name: 'a store without a global order', open: async () => unordered(memoryStore()) },
  { name: 'a store without a global order that reports changes', open: async () => reporting(memoryStore()) },
]

const kept = keeping()
const reason = 'the receiver has lost them'
const hour = 3_600_000

type Options = Partial<SubscriptionOptions<'log', readonly [typeof counter], 'Counted'>>

/** An app whose clock is moved by hand. */
function at(
  store: Store,
  options: Options = {},
  { clock = { now: Date.UTC(2030, 0, 1) }, following = { leaseMs: 30_000 }, passes = isStreamWait } = {},
) {
  const seen: string[] = []
  const log = defineSubscription({
    name: 'log',
    aggregates: [counter],
    handle: ({ id }: { readonly id: string }) => void seen.push(id),
    ...options,
  } as SubscriptionOptions<'log', readonly [typeof counter], 'Counted'>)
  const runtime = { ...leaping(passes, clock), random: () => 0.999999 }
  const app = kept(createApp({ store, aggregates: { counter }, subscriptions: { log }, runtime, following, observe: () => {} }))
  const write = async (...ids: string[]) => {
    for (const id of ids) await app.aggregates.counter.execute(id, count(1))
  }
  /** What is delivered meanwhile. */
  const drained = async () => {
    const before = seen.length
    await app.drain({ reconcile: true })
    return seen.slice(before)
  }
  return { app, seen, write, drained, clock, log: app.subscriptions.log, reset: app.subscriptions.log.reset }
}
const sorted = (ids: readonly string[]) => [...ids].sort()

describe.each(stores)('a reset on $name', ({ open }) => {
  test("a reset to 'beginning' delivers every event again, in the order of each aggregate", async () => {
    const { write, drained, reset } = at(await open())
    await write('a', 'b', 'a')
    await drained()
    await reset({ to: 'beginning', reason })
    const again = await drained()
    expect(sorted(again)).toEqual(['counter/a/1', 'counter/a/2', 'counter/b/1'])
    expect(again.indexOf('counter/a/1')).toBeLessThan(again.indexOf('counter/a/2'))
    expect(await drained()).toEqual([])
    await write('a', 'c')
    expect(sorted(await drained())).toEqual(['counter/a/3', 'counter/c/1'])
  })

  test("a reset to 'now' passes over the events that were not delivered yet", async () => {
    const { write, drained, reset, clock } = at(await open())
    await write('a')
    await drained()
    await write('a', 'b')
    await reset({ to: 'now', reason })
    clock.now += hour
    await write('a', 'c')
    expect(sorted(await drained())).toEqual(['counter/a/3', 'counter/c/1'])
  })

  test('a reset to a Date starts a minute before it', async () => {
    const { write, drained, reset, clock } = at(await open())
    await write('a', 'b')
    clock.now += hour
    const then = new Date(clock.now)
    clock.now -= 59_000
    await write('a')
    clock.now += hour
    await write('b', 'c')
    await drained()
    await reset({ to: then, reason })
    expect(sorted(await drained())).toEqual(['counter/a/2', 'counter/b/2', 'counter/c/1'])
    await reset({ to: new Date(0), reason })
    expect((await drained()).length).toBe(5)
    await reset({ to: new Date(clock.now - 61_000), reason })
    expect((await drained()).length).toBe(2)
  })

  test('a reset of a subscription that never ran overrides its from', async () => {
    const store = await open()
    await at(store).write('a')
    const { drained, reset, write, clock } = at(store, { from: 'now' })
    await reset({ to: 'beginning', reason })
    expect(await drained()).toEqual(['counter/a/1'])
    const other = at(store, { name: 'log' })
    await reset({ to: 'now', reason })
    clock.now += hour
    await write('a')
    other.clock.now = clock.now
    expect(await other.drained()).toEqual(['counter/a/2'])
  })

  test('a reset of a stopped subscription ends the stop', async () => {
    let isBroken = true
    const done: string[] = []
    const { write, app, log, clock } = at(await open(), {
      handle: ({ id }) => {
        if (isBroken) throw new Error('no')
        done.push(id)
      },
    })
    await write('a')
    expect((await app.drain()).caughtUp).toBe(false)
    await log.reset({ to: 'now', reason })
    clock.now += hour
    isBroken = false
    await write('b')
    expect((await app.drain({ reconcile: true })).caughtUp).toBe(true)
    expect(done).toEqual(['counter/b/1'])
  })

  test('a reset drops failed events after its position and keeps those before', async () => {
    let broken = ['counter/a/1', 'counter/b/2']
    const done: string[] = []
    const { write, app, log, clock, reset } = at(await open(), {
      onFailure: 'park',
      handle: ({ id }) => {
        if (broken.includes(id)) throw new Error(`no ${id}`)
        done.push(id)
      },
    })
    await write('a', 'b')
    clock.now += hour
    const then = new Date(clock.now)
    await write('a', 'b', 'b', 'c')
    await app.drain()
    const parked = async () => sorted((await log.parked()).items.map(({ eventId }) => eventId))
    expect(await parked()).toEqual(['counter/a/1', 'counter/b/2'])
    await reset({ to: then, reason })
    await app.drain({ reconcile: true })
    expect(await parked()).toEqual(['counter/a/1', 'counter/b/2'])
    broken = ['counter/a/1']
    done.length = 0
    await reset({ to: then, reason })
    await app.drain({ reconcile: true })
    expect(await parked()).toEqual(['counter/a/1'])
    expect(sorted(done)).toEqual(['counter/b/2', 'counter/b/3', 'counter/c/1'])
    broken = []
    done.length = 0
    await log.resume()
    await app.drain()
    expect(sorted(done)).toEqual(['counter/a/1', 'counter/a/2'])
    await reset({ to: 'beginning', reason })
    done.length = 0
    await app.drain({ reconcile: true })
    expect(done.length).toBe(6)
  })

  test('a reset delivers a skipped event after its position again', async () => {
    let isBroken = true
    const done: string[] = []
    const { write, app, log, reset } = at(await open(), {
      onFailure: 'park',
      handle: ({ id }) => {
        if (isBroken && id === 'counter/a/2') throw new Error('no')
        done.push(id)
      },
    })
    await write('a', 'a')
    await app.drain()
    expect(await log.skip('counter/a/2', { reason: 'never mind' })).toBe(true)
    isBroken = false
    await reset({ to: 'beginning', reason })
    done.length = 0
    await app.drain({ reconcile: true })
    expect(done).toEqual(['counter/a/1', 'counter/a/2'])
    expect((await log.skipped()).items.length).toBe(1)
  })

  test('a reset does not repeat commands that a handler sent with reaction()', async () => {
    const stock = defineAggregate({
      type: 'stock',
      events: { Reserved: typed<{ for: string }>() },
      commands: { Reserve: typed<{ for: string }>() },
      initialState: () => ({ reserved: 0 }),
    }).implement({
      handle: { Reserve: (_, data) => ({ type: 'Reserved', data }) },
      apply: { Reserved: ({ reserved }) => ({ reserved: reserved + 1 }) },
    })
    let handled = 0
    const reserving = defineSubscription({
      name: 'reserving',
      aggregates: [counter],
      handle: async ({ aggregateId }, { app, reaction }) => {
        handled++
        await app.aggregate(stock).execute('tea', { type: 'Reserve', data: { for: aggregateId } }, reaction())
      },
    })
    const app = kept(
      createApp({
        store: await open(),
        aggregates: { counter, stock },
        subscriptions: { reserving },
        ...withoutStreamWaits,
      }),
    )
    for (const id of ['a', 'b', 'a']) await app.aggregates.counter.execute(id, count(1))
    await app.drain()
    await app.subscriptions.reserving.reset({ to: 'beginning', reason })
    await app.drain({ reconcile: true })
    expect(handled).toBe(6)
    expect((await app.aggregates.stock.load('tea')).state.reserved).toBe(3)
  })

  test('a reset by another process reaches an idle, started app without a new event', async () => {
    const store = await open()
    const all = gate()
    let seen = 0
    // What others ask for is looked for every 5 s.
    const passes = (ms: number) => ms === 5_000 || isStreamWait(ms)
    const one = at(store, { handle: () => void (++seen === 2 && all.pass()) }, { passes })
    await one.write('a')
    await one.app.start().catch(() => {})
    await one.app.drain({ reconcile: true })
    await at(store).reset({ to: 'beginning', reason })
    // Without a feed of changes nothing keeps it running.
    if (!store.capabilities.globalOrder && store.readChanges === undefined) await one.app.drain({ reconcile: true })
    await all.reached
    expect(seen).toBe(2)
  })

  test('a reset records its reason and who requested it', async () => {
    const store = await open()
    const { reset, clock } = at(store)
    await reset({ to: 'beginning', reason, by: 'ann' })
    const [row] = await store.readViews([{ name: '~processor', generation: 1, id: 'subscription/log' }])
    const said = { reason, by: 'ann', at: new Date(clock.now).toISOString() }
    expect(row?.view).toMatchObject({ reset: said, epoch: 2, touched: 1 })
  })

  test.each([
    [{ to: 'end', reason }, 'reset: to must be'],
    [{ reason }, 'reset: to must be'],
    [{ to: new Date(Number.NaN), reason }, 'reset: to must be'],
    [{ to: new Date(Date.UTC(2031, 0, 1)), reason }, 'in the future'],
    [{ to: 'now' }, 'a reason is needed'],
    [{ to: 'now', reason: '' }, 'a reason is needed'],
    [{ to: 'now', reason, by: 1 }, 'by must be a text'],
    [{ to: 'now', reason, form: 'x' }, "no option 'form'"],
    [undefined, 'takes an object'],
  ])('a reset refuses %j', async (options, message) => {
    const { reset } = at(await open())
    const failure = await failureOf(reset(options as never))
    expect(failure).toMatchObject({ code: 'VALIDATION' })
    expect(failure.message).toContain(message)
  })
})

test('a reset to a position is a DefinitionError on a store without a global order', async () => {
  const { reset } = at(unordered(memoryStore()))
  expect(await failureOf(reset({ to: '1' as Position, reason }))).toMatchObject({ code: 'DEFINITION' })
})

describe.each(ordered)('a reset in the log of $name', ({ open }) => {
  test('a reset to a position delivers what is after it, and refuses one after the end', async () => {
    const store = await open()
    const { app, write, drained, reset } = at(store)
    await write('a', 'b', 'c')
    await drained()
    const { events } = await store.readFeed({ limit: 10 })
    await reset({ to: events[1]?.position as Position, reason })
    expect(await drained()).toEqual(['counter/c/1'])
    const end = await store.lastPosition()
    const failure = await failureOf(reset({ to: String(BigInt(end as string) + 1n) as Position, reason }))
    expect(failure).toMatchObject({ code: 'VALIDATION' })
    expect(failure.message).toContain(`the log ends at ${end}`)
    expect((await app.drain()).events).toBe(0)
  })

  test.each([1, 4])(
    "a reset with %i partitions under load loses nothing and keeps each aggregate's order",
    async (partitions) => {
      const store = await open()
      const runs = new Map<string, number[]>()
      const options: Options = {
        partitions,
        concurrency: 4,
        handle: async ({ aggregateId, sequence }) => {
          await settled()
          runs.set(aggregateId, [...(runs.get(aggregateId) ?? []), sequence])
        },
      }
      const following = { leaseMs: 2_000, pollMs: 20 }
      const live = () => {
        const log = defineSubscription({ name: 'log', aggregates: [counter], ...options } as never)
        return kept(createApp({ store, aggregates: { counter }, subscriptions: { log }, following, observe: () => {} }))
      }
      const apps = [live(), live()] as const
      for (const app of apps) await app.start()
      for (let round = 1; round <= 3; round++) {
        for (let n = 0; n < 40; n++) await apps[n % 2 ? 1 : 0].aggregates.counter.execute(`c${n % 8}`, count(1))
        await apps[0].subscriptions.log.reset({ to: 'beginning', reason })
      }
      await apps[1].subscriptions.log.caughtUp()
      for (const sequences of runs.values()) {
        // Each run through it is whole, but for those that a reset has ended.
        const last = sequences.lastIndexOf(1)
        expect(sequences.slice(last)).toEqual(Array.from({ length: 15 }, (_, i) => i + 1))
        expect(sequences.every((sequence, i) => sequence === 1 || sequence === (sequences[i - 1] as number) + 1)).toBe(true)
      }
      expect(runs.size).toBe(8)
    },
  )

  test('a reset killed after any of its calls is done or not done, and loses nothing', async () => {
    let [isLast, done] = [false, 0]
    for (let calls = 1; !isLast; calls++) {
      const store = await open()
      let broken = ['counter/b/2']
      const handled: string[] = []
      const options: Options = {
        partitions: 3,
        onFailure: 'park',
        handle: ({ id }) => {
          if (broken.includes(id)) throw new Error(`no ${id}`)
          handled.push(id)
        },
      }
      const clock = { now: Date.UTC(2030, 0, 1) }
      const first = at(store, options, { clock })
      await first.write('a', 'b', 'b', 'b', 'c', 'd', 'e', 'f')
      await first.app.drain()
      expect(handled.length).toBe(6)
      broken = []
      let left = calls
      const mortal = new Proxy(store, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name)
          if (typeof member !== 'function') return member
          return async (...args: unknown[]) => {
            if (left <= 0) throw new Error('killed')
            left--
            return member.apply(target, args)
          }
        },
      })
      const killed = at(mortal, options, { clock, following: { leaseMs: 5 }, passes: isResend })
      isLast = await killed.reset({ to: 'beginning', reason }).then(
        () => true,
        () => false,
      )
      handled.length = 0
      const second = at(store, options, { clock })
      const drain = async () => {
        while (!(await second.app.drain({ budgetMs: 1_000 })).caughtUp) await settled()
      }
      await drain()
      const [row] = await store.readViews([{ name: '~processor', generation: 1, id: 'subscription/log' }])
      const isReset = (row?.view as { readonly reset?: object } | undefined)?.reset !== undefined
      if (isReset) {
        done++
        expect([calls, sorted(handled)]).toEqual([
          calls,
          ['a/1', 'b/1', 'b/2', 'b/3', 'c/1', 'd/1', 'e/1', 'f/1'].map((id) => `counter/${id}`),
        ])
        expect((await second.log.parked()).items).toEqual([])
      } else {
        expect([calls, handled]).toEqual([calls, []])
        await second.log.resume()
        await drain()
        expect([calls, handled]).toEqual([calls, ['counter/b/2', 'counter/b/3']])
      }
    }
    expect(done).toBeGreaterThan(1)
  })

  test('a reset by a process that froze does not drop events that failed again meanwhile', async () => {
    const store = await open()
    const options: Options = {
      onFailure: 'park',
      handle: () => {
        throw new Error('no')
      },
    }
    const following = { leaseMs: 50 }
    const first = at(store, options)
    await first.write('a')
    await first.app.drain()
    const [asked, goOn] = [gate(), gate()]
    let isFrozen = false
    const freezing = changed(store, {
      findViews: async (request) => {
        if (!isFrozen && request.name === '~failed') {
          isFrozen = true
          void asked.pass()
          await goOn.pass()
        }
        return store.findViews(request)
      },
    })
    const frozen = at(freezing, options, { following })
    const reset = frozen.reset({ to: 'beginning', reason })
    await asked.reached
    await new Promise((resolve) => setTimeout(resolve, 100))
    const second = at(store, options, { following })
    await second.app.drain()
    expect((await second.log.parked()).items.length).toBe(1)
    goOn.open()
    await reset
    expect((await second.log.parked()).items.length).toBe(1)
  })

  test('a reset gives up when a handler does not end, and changes nothing', async () => {
    const store = await open()
    const hangs = gate()
    const busy = kept(
      createApp({
        store,
        aggregates: { counter },
        subscriptions: {
          log: defineSubscription({ name: 'log', aggregates: [counter], handle: () => hangs.pass() }),
        },
        following: { leaseMs: 60_000 },
      }),
    )
    await busy.aggregates.counter.execute('a', count(1))
    const draining = busy.drain()
    await hangs.reached
    const runtime = {
      ...platformRuntime,
      sleep: (ms: number, signal?: AbortSignal) => platformRuntime.sleep(ms === 5_100 ? 20 : ms, signal),
    }
    const log = defineSubscription({ name: 'log', aggregates: [counter], handle: () => {} })
    const other = createApp({ store, aggregates: { counter }, subscriptions: { log }, following: { leaseMs: 100 }, runtime })
    expect(await failureOf(kept(other).subscriptions.log.reset({ to: 'beginning', reason }))).toMatchObject({ code: 'NOT_YET' })
    hangs.open()
    expect(await draining).toMatchObject({ events: 1 })
    expect(await busy.drain()).toEqual({ caughtUp: true, events: 0 })
  })
})
