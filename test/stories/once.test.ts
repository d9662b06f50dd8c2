import { isCqrsError, platformRuntime, type Store, type SubscriptionContext } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, countEach } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { type LogHandler, type LogOptions, logging as loggingWith } from '../support/logging.ts'
import { withoutStreamWaits } from '../support/runtime.ts'
import { changed, reporting } from '../support/stores.ts'

const kept = keeping()

const logging = (store: Store, handle: LogHandler, options: Partial<LogOptions> = {}) =>
  loggingWith(store, handle, options, withoutStreamWaits.following, withoutStreamWaits.runtime)

/** Records its calls: each returns the number of calls before it. */
function service() {
  const keys: string[] = []
  return { keys, send: (key: string) => ({ nth: keys.push(key) }) }
}

/** A store whose process can die: every later write of it is lost. */
function mortal(store: Store) {
  let isDead = false
  const die = () => {
    isDead = true
  }
  const dying = changed(store, {
    append: (commits) => (isDead ? new Promise(() => {}) : store.append(commits)),
    releaseLease: async (request) => {
      if (!isDead) await store.releaseLease(request)
    },
  })
  return { store: dying, die }
}

const never = new Promise<never>(() => {})

describe.each([
  ['memory', (store: Store) => store],
  ['a store without a global order', reporting],
])('once on %s', (_, made) => {
  let now = Date.now()
  const fresh = () => made(memoryStore({ clock: () => now }))
  const appOn = (store: Store, handle: LogHandler, options: Partial<LogOptions> = {}) => kept(logging(store, handle, options))

  test('a retry in the same process receives the stored result', async () => {
    const { keys, send } = service()
    const given: unknown[] = []
    const handle: LogHandler = async (_, { once, attempt }) => {
      given.push(await once('mail', send))
      if (attempt < 3) throw new Error('later')
    }
    const app = appOn(fresh(), handle, { maxAttempts: 3 })
    await app.aggregates.counter.execute('a', count(1))
    expect((await app.drain()).caughtUp).toBe(true)
    expect(keys).toEqual(['log/counter/a/1/mail'])
    expect(given).toEqual([{ nth: 1 }, { nth: 1 }, { nth: 1 }])
  })

  test('another process receives the stored result, also of a parked event', async () => {
    for (const onFailure of ['stop', 'park'] as const) {
      const { keys, send } = service()
      const store = fresh()
      let works = false
      const given: unknown[] = []
      const handle: LogHandler = async ({ id }, { once }) => {
        given.push([id, await once('mail', send)])
        if (!works) throw new Error('down')
      }
      const app = appOn(store, handle, { onFailure })
      await app.aggregates.counter.execute('a', countEach(1, 2, 3))
      await app.drain().catch(() => {})
      await app.close()
      works = true
      const next = appOn(store, handle, { onFailure })
      await next.subscriptions.log.resume()
      await next.drain()
      expect((await next.subscriptions.log.parked()).items).toEqual([])
      expect(keys).toEqual([1, 2, 3].map((nth) => `log/counter/a/${nth}/mail`))
      expect(given.slice(0, 2)).toEqual([1, 1].map((nth) => ['counter/a/1', { nth }]))
      expect(given.length).toBe(4)
    }
  })

  test('an event that fails again after retry() keeps its result', async () => {
    const { keys, send } = service()
    let failures = 3
    const handle: LogHandler = async (_, { once }) => {
      await once('mail', send)
      if (failures-- > 0) throw new Error('down')
    }
    const app = appOn(fresh(), handle, { onFailure: 'park' })
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.drain()
    for (let i = 0; i < 3; i++) {
      await app.subscriptions.log.retry('counter/a/1')
      await app.drain()
    }
    expect((await app.subscriptions.log.parked()).items).toEqual([])
    expect(keys).toEqual(['log/counter/a/1/mail', 'log/counter/a/2/mail'])
  })

  test('a process that dies before the result is stored leads to a second call with the same key', async () => {
    const { keys, send } = service()
    const store = fresh()
    const { store: dying, die } = mortal(store)
    let called = () => {}
    const isCalled = new Promise<void>((resolve) => {
      called = resolve
    })
    const dead = logging(dying, async (_, { once }) => {
      await once('mail', (key) => {
        die()
        called()
        return send(key)
      })
    })
    await dead.aggregates.counter.execute('a', count(1))
    void dead.drain().catch(() => {})
    await isCalled
    now += 120_000
    const app = appOn(store, async (_, { once }) => void (await once('mail', send)))
    await app.drain()
    expect(keys).toEqual(['log/counter/a/1/mail', 'log/counter/a/1/mail'])
  })

  test('a process that dies after a stored result leads to no second call', async () => {
    const { keys, send } = service()
    const store = fresh()
    const { store: dying, die } = mortal(store)
    let isStored = () => {}
    const stored = new Promise<void>((resolve) => {
      isStored = resolve
    })
    const dead = logging(dying, async ({ sequence }, { once }) => {
      await once('mail', send)
      if (sequence < 3) return
      die()
      isStored()
      await never
    })
    await dead.aggregates.counter.execute('a', countEach(1, 2, 3))
    void dead.drain().catch(() => {})
    await stored
    now += 120_000
    const app = appOn(store, async (_, { once }) => void (await once('mail', send)))
    await app.drain()
    expect(keys).toEqual([1, 2, 3].map((nth) => `log/counter/a/${nth}/mail`))
  })

  test('a process that dies among waiting events leads to no second call for them', async () => {
    const { keys, send } = service()
    const store = fresh()
    const parking = appOn(
      store,
      () => {
        throw new Error('down')
      },
      { onFailure: 'park' },
    )
    await parking.aggregates.counter.execute('a', countEach(1, 2, 3))
    await parking.drain()
    await parking.subscriptions.log.resume()
    await parking.close()
    const { store: dying, die } = mortal(store)
    let isStored = () => {}
    const stored = new Promise<void>((resolve) => {
      isStored = resolve
    })
    const handle: LogHandler = async ({ sequence }, { once }) => {
      await once('mail', send)
      if (sequence < 3) return
      die()
      isStored()
      await never
    }
    const dead = logging(dying, handle, { onFailure: 'park' })
    void dead.drain().catch(() => {})
    await stored
    now += 120_000
    const app = appOn(store, async (_, { once }) => void (await once('mail', send)), { onFailure: 'park' })
    await app.drain()
    expect((await app.subscriptions.log.parked()).items).toEqual([])
    expect(keys).toEqual([1, 2, 3].map((nth) => `log/counter/a/${nth}/mail`))
  })

  test('each name has its result, and a repeated name the same one', async () => {
    const { keys, send } = service()
    const given: unknown[] = []
    const handle: LogHandler = async (_, { once, attempt }) => {
      const both = await Promise.all([once('a', send), once('b', send), once('a', send), once('none', () => {})])
      given.push([...both, await once('b', send)])
      if (attempt === 1) throw new Error('later')
    }
    const app = appOn(fresh(), handle, { maxAttempts: 2 })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    expect([...keys].sort()).toEqual(['log/counter/a/1/a', 'log/counter/a/1/b'])
    const [first] = given
    expect(given).toEqual([first, first])
    expect(first).toEqual([{ nth: 1 }, { nth: 2 }, { nth: 1 }, undefined, { nth: 2 }])
  })

  test('a failed call is made again, with the same key', async () => {
    const keys: string[] = []
    const send = (key: string) => {
      if (keys.push(key) < 3) throw new Error('away')
    }
    const handle: LogHandler = async (_, { once }) => {
      await once('mail', send).catch(() => once('mail', send))
    }
    const app = appOn(fresh(), handle, { maxAttempts: 2 })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    expect(keys).toEqual(Array.from({ length: 3 }, () => 'log/counter/a/1/mail'))
  })

  test.each([
    ['a Map', () => new Map(), "once('mail') of 'log' returned a result that is not JSON: it is a Map."],
    ['a number that JSON does not have', () => ({ cost: Number.NaN }), 'not JSON: cost is NaN.'],
    ['a long text', () => 'x'.repeat(20_000), 'the limit is 20000. Return only what a later delivery needs'],
  ])('a result that is %s fails the delivery', async (_name, act, message) => {
    const app = appOn(fresh(), async (_, { once }) => void (await once<unknown>('mail', act)), { onFailure: 'park' })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    const [failed] = (await app.subscriptions.log.parked()).items
    expect(failed?.message).toContain(message)
  })

  test('a misspelt call, and one after the handler has ended, are refused', async () => {
    const contexts: SubscriptionContext[] = []
    const app = appOn(fresh(), (_, context) => void contexts.push(context))
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    const [context] = contexts
    const late = await failureOf(context?.once('mail', () => 1) as Promise<unknown>)
    expect(isCqrsError(late, 'DEFINITION')).toBe(true)
    for (const args of [[''], [1], ['x'.repeat(101)], ['mail', 1]]) {
      const wrong = appOn(fresh(), async (_, { once }) => void (await once(...(args as unknown as Parameters<typeof once>))), {
        onFailure: 'park',
      })
      await wrong.aggregates.counter.execute('a', count(1))
      await wrong.drain()
      expect((await wrong.subscriptions.log.parked()).items[0]?.message).toContain("The handler of 'log' calls once")
    }
  })

  test('a reset forgets the results of events that have passed', async () => {
    const { keys, send } = service()
    const store = fresh()
    const app = appOn(store, async (_, { once }) => void (await once('mail', send)))
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    await app.subscriptions.log.reset({ to: 'beginning', reason: 'the mails were lost' })
    await app.drain({ reconcile: true })
    expect(keys).toEqual(['log/counter/a/1/mail', 'log/counter/a/1/mail'])
  })

  test('a store that fails while the result is stored fails no event', async () => {
    const { keys, send } = service()
    const store = fresh()
    let isAway = false
    const away = changed(store, {
      append: async (commits) => {
        if (!isAway) return store.append(commits)
        isAway = false
        return commits.map(() => ({ kind: 'failed' as const, certain: true, cause: new Error('the disk is full') }))
      },
    })
    const handle: LogHandler = async (_, { once }) => {
      await once('mail', (key) => {
        isAway = keys.length === 0
        return send(key)
      })
    }
    const app = appOn(away, handle, { onFailure: 'park' })
    await app.aggregates.counter.execute('a', count(1))
    expect(await failureOf(app.drain())).toMatchObject({ message: expect.stringContaining('the disk is full') })
    await app.drain()
    expect((await app.subscriptions.log.parked()).items).toEqual([])
    expect(keys).toEqual(['log/counter/a/1/mail', 'log/counter/a/1/mail'])
  })
})

describe('once in several handlers at once', () => {
  test('each event keeps its own results, also when the number of partitions changes', async () => {
    const store = memoryStore()
    const { keys, send } = service()
    let works = false
    const handle: LogHandler = async (_, { once }) => {
      await once('mail', send)
      if (!works) throw new Error('down')
    }
    const ids = Array.from({ length: 20 }, (_, i) => `c${i}`)
    const first = kept(logging(store, handle, { concurrency: 8, partitions: 4 }))
    await Promise.all(ids.map((id) => first.aggregates.counter.execute(id, countEach(1, 2))))
    await first.drain().catch(() => {})
    await first.close()
    const before = keys.length
    expect(before).toBeGreaterThan(4)
    works = true
    // A number of partitions stays for a minute.
    const later = { ...platformRuntime, now: () => new Date(Date.now() + 120_000) }
    const next = kept(loggingWith(store, handle, { concurrency: 8, partitions: 3 }, {}, later))
    await next.subscriptions.log.resume()
    expect((await next.drain()).caughtUp).toBe(true)
    expect([...new Set(keys)].length).toBe(40)
    expect(keys.length).toBe(40)
  })

  test('nothing of a passed event is left in the checkpoint', async () => {
    const store = memoryStore()
    const { send } = service()
    const app = kept(logging(store, async (_, { once }) => void (await once('mail', send))))
    await app.aggregates.counter.execute('a', countEach(1, 2))
    await app.drain()
    expect((await store.readCheckpoint('subscription/log'))?.position).toBe(await store.lastPosition())
  })
})
