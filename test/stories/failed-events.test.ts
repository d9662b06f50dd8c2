// biome-ignore-all lint/suspicious/noThenProperty: an option has this name
import { createApp, defineSubscription, type Store, type SubscriptionOptions } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf, gate, thrownBy } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { isResend, leaping } from '../support/runtime.ts'
import { onSqlite } from '../support/sqlite.ts'
import { changed, counting, unordered } from '../support/stores.ts'

const stores = [
  { name: 'memory', open: async (): Promise<Store> => memoryStore() },
  { name: 'SQLite', open: onSqlite },
  { name: 'a store without a global order', open: async () => unordered(memoryStore()) },
]

const kept = keeping()
const retry = { firstMs: 500, factor: 2, maxMs: 60_000, forMs: 3_600_000 }
const sequences = (seen: readonly string[], id: string) => seen.filter((one) => one.startsWith(`counter/${id}/`))

type Options = Partial<SubscriptionOptions<'log', readonly [typeof counter], 'Counted'>>

/** An app whose clock is moved by hand, and whose waits are as long as they may be. */
function at(
  store: Store,
  clock: { now: number },
  fails: (id: string) => boolean,
  options: Options = {},
  passes: (ms: number) => boolean = () => false,
) {
  const seen: string[] = []
  const attempts: number[] = []
  const log = defineSubscription({
    name: 'log',
    aggregates: [counter],
    onFailure: { retry, then: 'park' },
    handle: ({ id }: { readonly id: string }, { attempt }: { readonly attempt: number }) => {
      if (fails(id)) {
        attempts.push(attempt)
        throw new Error(`no ${id}`)
      }
      seen.push(id)
    },
    ...options,
  } as SubscriptionOptions<'log', readonly [typeof counter], 'Counted'>)
  const runtime = { ...leaping(passes, clock), random: () => 0.999999 }
  const app = kept(createApp({ store, aggregates: { counter }, subscriptions: { log }, runtime, observe: () => {} }))
  const write = async (id: string, times = 1) => {
    for (let i = 0; i < times; i++) await app.aggregates.counter.execute(id, count(1))
  }
  return { app, seen, attempts, write, log: app.subscriptions.log, drain: () => app.drain({ reconcile: true }) }
}

describe.each(stores)('a failed event on $name', ({ open }) => {
  test('a failed event is retried after growing waits, is stored, and is reported by drain()', async () => {
    const store = await open()
    const clock = { now: Date.UTC(2030, 0, 1) }
    for (const [i, waitMs] of [500, 1_000, 2_000, 4_000].entries()) {
      // Each try in a process of its own: nothing is kept in memory.
      const { app, write, attempts, drain, log } = at(store, clock, () => true)
      if (i === 0) await write('a')
      const { caughtUp, nextDue } = await drain()
      expect({ caughtUp, due: nextDue?.getTime() }).toEqual({ caughtUp: false, due: clock.now + waitMs })
      expect(attempts).toEqual([i + 1])
      expect((await drain()).nextDue?.getTime()).toBe(clock.now + waitMs)
      expect(attempts).toEqual([i + 1])
      const { items } = await log.parked({ state: 'retrying' })
      expect(items).toMatchObject([{ eventId: 'counter/a/1', state: 'retrying', attempts: i + 1, message: 'no counter/a/1' }])
      expect(items[0]?.stack).toContain('Error: no counter/a/1')
      expect((await log.parked({ state: 'parked' })).items).toEqual([])
      await app.close()
      clock.now += waitMs
    }
    const well = at(store, clock, () => false)
    expect((await well.drain()).caughtUp).toBe(true)
    expect(well.seen).toEqual(['counter/a/1'])
    expect((await well.log.parked()).items).toEqual([])
  })

  test('a failed event blocks its own aggregate only, whose later events follow in order', async () => {
    const clock = { now: Date.UTC(2030, 0, 1) }
    let isBroken = true
    const { seen, write, drain } = at(await open(), clock, (id) => isBroken && id === 'counter/a/2')
    await write('a', 4)
    await write('b', 3)
    await drain()
    expect([sequences(seen, 'a'), sequences(seen, 'b').length]).toEqual([['counter/a/1'], 3])
    await write('a', 2)
    await write('b')
    await drain()
    expect([sequences(seen, 'a'), sequences(seen, 'b').length]).toEqual([['counter/a/1'], 4])
    isBroken = false
    clock.now += 500
    expect((await drain()).caughtUp).toBe(true)
    expect(sequences(seen, 'a')).toEqual([1, 2, 3, 4, 5, 6].map((n) => `counter/a/${n}`))
  })

  test.each(['park', 'stop'] as const)('an event that fails for longer than forMs is handled by then: %s', async (then) => {
    const clock = { now: Date.UTC(2030, 0, 1) }
    let isBroken = true
    const options = { onFailure: { retry: { ...retry, forMs: 1_000 }, then } }
    const { seen, write, drain, log } = at(await open(), clock, (id) => isBroken && id === 'counter/a/1', options)
    await write('a')
    await write('b')
    await drain()
    for (const waitMs of [500, 1_000]) {
      clock.now += waitMs
      await drain()
    }
    expect((await log.parked()).items).toMatchObject([{ eventId: 'counter/a/1', state: 'parked', attempts: 3 }])
    expect(sequences(seen, 'b')).toEqual(['counter/b/1'])
    await write('b')
    expect(await drain()).toMatchObject({ caughtUp: then === 'park' })
    expect(sequences(seen, 'b').length).toBe(then === 'park' ? 2 : 1)
    isBroken = false
    await log.resume()
    expect((await drain()).caughtUp).toBe(true)
    expect([sequences(seen, 'a').length, sequences(seen, 'b').length]).toEqual([1, 2])
  })

  test('retry() and skip() affect one failed event each, and the others stay', async () => {
    const clock = { now: Date.UTC(2030, 0, 1) }
    const broken = new Set(['counter/a/1', 'counter/b/1', 'counter/c/1'])
    const { seen, write, drain, log } = at(await open(), clock, (id) => broken.has(id), { onFailure: 'park' })
    for (const id of ['a', 'b', 'c']) await write(id, 2)
    await drain()
    expect(seen).toEqual([])
    broken.delete('counter/a/1')
    expect(await log.retry('counter/a/1')).toBe(true)
    expect(await log.skip('counter/b/1', { reason: 'a test order', by: 'ann' })).toBe(true)
    expect(await log.skip('counter/b/1', { reason: 'again' })).toBe(false)
    await drain()
    expect(seen.sort()).toEqual(['counter/a/1', 'counter/a/2', 'counter/b/2'])
    expect((await log.parked()).items).toMatchObject([{ eventId: 'counter/c/1' }])
    expect((await log.skipped()).items).toEqual([
      {
        eventId: 'counter/b/1',
        message: 'no counter/b/1',
        reason: 'a test order',
        by: 'ann',
        skippedAt: new Date(clock.now).toISOString(),
      },
    ])
  })

  test('retry() and skip() return false for an event that has not failed', async () => {
    const { write, drain, log } = at(await open(), { now: Date.UTC(2030, 0, 1) }, () => false)
    await write('a')
    await drain()
    expect(await log.retry('counter/a/1')).toBe(false)
    expect(await log.skip('counter/a/1', { reason: 'x' })).toBe(false)
    expect(await log.retry('nonsense')).toBe(false)
    expect(await failureOf(log.skip('counter/a/1', {} as never))).toMatchObject({ code: 'VALIDATION' })
  })

  test('skip() passes over the event that has stopped a subscription, without resume()', async () => {
    const { seen, write, drain, log } = at(await open(), { now: Date.UTC(2030, 0, 1) }, (id) => id === 'counter/a/2', {
      onFailure: 'stop',
    })
    await write('a', 3)
    expect((await drain()).caughtUp).toBe(false)
    expect(await log.skip('counter/a/2', { reason: 'poison' })).toBe(true)
    expect(await log.skip('counter/a/2', { reason: 'poison' })).toBe(false)
    expect((await drain()).caughtUp).toBe(true)
    expect(seen).toEqual(['counter/a/1', 'counter/a/3'])
    expect((await log.skipped()).items).toMatchObject([{ eventId: 'counter/a/2', reason: 'poison' }])
  })
})

test('skipped() returns pages of skipped events, the latest first', async () => {
  const clock = { now: Date.UTC(2030, 0, 1) }
  const { write, drain, log } = at(memoryStore(), clock, () => true, { onFailure: 'park' })
  for (const id of ['a', 'b', 'c']) await write(id)
  await drain()
  for (const id of ['a', 'b', 'c']) {
    clock.now += 1_000
    await log.skip(`counter/${id}/1`, { reason: 'x' })
  }
  const first = await log.skipped({ limit: 2 })
  expect(first.items.map(({ eventId }) => eventId)).toEqual(['counter/c/1', 'counter/b/1'])
  const rest = await log.skipped({ limit: 2, after: first.next as string })
  expect(rest.items.map(({ eventId }) => eventId)).toEqual(['counter/a/1'])
})

test('stacks and messages are stored without characters that no store accepts', async () => {
  const clock = { now: Date.UTC(2030, 0, 1) }
  const { write, drain, log } = at(await onSqlite(), clock, () => false, {
    onFailure: 'park',
    handle: () => {
      const error = new Error('a\0b\ud800c')
      error.stack = `${'x'.repeat(5_000)}\0`
      throw error
    },
  } as Options)
  await write('a')
  await drain()
  const [failed] = (await log.parked()).items
  expect(failed?.message).toBe('a\ufffdb\ufffdc')
  expect(failed?.stack).toHaveLength(4_000)
})

test('many parked events cost a new event few statements, and resume() two writes', async () => {
  const store = await onSqlite()
  const clock = { now: Date.UTC(2030, 0, 1) }
  const broken = new Set<string>()
  const many = 1_100
  const { app, write, drain } = at(store, clock, (id) => broken.has(id), { onFailure: 'park' })
  for (let i = 0; i < many; i++) broken.add(`counter/p${i}/1`)
  await Promise.all(Array.from({ length: many }, (_, i) => write(`p${i}`)))
  await drain()
  await app.close()
  const calls: string[] = []
  const next = at(counting(store, calls), clock, (id) => broken.has(id), { onFailure: 'park' })
  await next.write('new')
  calls.length = 0
  await next.app.drain({ maxEvents: 1 })
  expect(next.seen).toEqual(['counter/new/1'])
  expect(calls.length).toBeLessThanOrEqual(12)
  broken.clear()
  calls.length = 0
  await next.log.resume()
  expect(calls.filter((name) => name === 'append').length).toBeLessThanOrEqual(2)
  await next.write('new')
  expect(await next.drain()).toMatchObject({ caughtUp: true })
  expect(next.seen.length).toBe(many + 2)
  // What is new is not held up by more than half.
  expect(next.seen.indexOf('counter/new/2')).toBeLessThan(10)
  expect((await next.log.parked()).items).toEqual([])
})

test.each([
  ['one partition', {}],
  ['several partitions', { partitions: 4, concurrency: 4 }],
])('an event that arrives while its aggregate is retried is not lost, in %s', async (_, options) => {
  const store = memoryStore()
  const clock = { now: Date.UTC(2030, 0, 1) }
  let isBroken = true
  let comes = true
  const readAggregate: Store['readAggregate'] = async (request) => {
    const page = await store.readAggregate(request)
    if (comes && !isBroken && request.aggregateId === 'a') {
      comes = false
      await first.write('a')
    }
    return page
  }
  const first = at(store, clock, (id) => isBroken && id === 'counter/a/1', options)
  await first.write('a', 2)
  await first.write('b')
  await first.drain()
  isBroken = false
  clock.now += 1_000
  const { seen, drain } = at(changed(store, { readAggregate }), clock, () => false, options)
  await drain()
  expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/a/3'])
})

test.each([
  [{ maxAttempts: 2, onFailure: { retry, then: 'park' } }, /maxAttempts must be 1/],
  [{ onFailure: { retry: {}, then: 'park' } }, /forMs/],
  [{ onFailure: { retry } }, /then must be/],
  [{ onFailure: { retry: { ...retry, factor: 0.5 }, then: 'park' } }, /factor/],
  [{ onFailure: { retry: { ...retry, sometimes: 1 }, then: 'park' } }, /sometimes/],
])('defineSubscription refuses the failure policy %j', (options, message) => {
  const define = () => defineSubscription({ name: 's', aggregates: [counter], handle: () => {}, ...options } as never)
  expect(thrownBy(define)).toMatchObject({ code: 'DEFINITION', message: expect.stringMatching(message) })
})

test('a failed event is not lost when the store fails too', async () => {
  const store = memoryStore()
  let isDown = false
  const flaky = changed(store, {
    append: async (commits) => {
      if (!isDown || commits.every(({ checkpoint }) => checkpoint === undefined)) return store.append(commits)
      isDown = false
      return commits.map(() => ({ kind: 'failed', certain: true, cause: new Error('down') }) as const)
    },
  })
  const clock = { now: Date.UTC(2030, 0, 1) }
  const { seen, write, drain, log } = at(flaky, clock, (id) => id === 'counter/a/1', { onFailure: 'park' })
  await write('a', 2)
  await write('b')
  isDown = true
  expect((await failureOf(drain())).message).toContain('down')
  expect(await drain()).toMatchObject({ caughtUp: true })
  expect(seen).toEqual(['counter/b/1'])
  expect((await log.parked()).items).toMatchObject([{ eventId: 'counter/a/1' }])
})

test('a skipped event that had stopped the subscription is recorded although the store failed', async () => {
  const store = memoryStore()
  let isDown = true
  const flaky = changed(store, {
    append: async (commits) => {
      if (!isDown || commits.every(({ views = [] }) => views.every(({ name }) => name !== '~skipped')))
        return store.append(commits)
      isDown = false
      return commits.map(() => ({ kind: 'failed', certain: true, cause: new Error('down') }) as const)
    },
  })
  const clock = { now: Date.UTC(2030, 0, 1) }
  const broken = new Set(['counter/a/1', 'counter/a/2'])
  const options = { onFailure: 'stop' } as const
  const first = at(store, clock, (id) => broken.has(id), options)
  await first.write('a', 2)
  await first.drain()
  expect(await first.log.skip('counter/a/1', { reason: 'poison' })).toBe(true)
  expect((await failureOf(at(flaky, clock, (id) => broken.has(id), options).drain())).message).toContain('down')
  // No process ran it to its end since.
  expect((await first.log.skipped()).items).toMatchObject([{ eventId: 'counter/a/1' }])
  await first.drain()
  // What stops it next is on record too.
  expect(await first.log.health()).toMatchObject({ state: 'stopped', because: expect.stringContaining('counter/a/2') })
})

test('a failed event is not lost when its process dies while another one is saved', async () => {
  const store = memoryStore()
  const isSaving = gate()
  let saves = 0
  const dying = changed(store, {
    // What a save reads of the first that failed takes until the other one has failed.
    readViews: async (keys) => {
      const rows = await store.readViews(keys)
      if (keys.length === 1 && keys[0]?.name === '~failed') await isSaving.pass()
      return rows
    },
    append: async (commits) => {
      if (commits.some(({ checkpoint }) => checkpoint !== undefined) && ++saves > 1) throw new Error('dead')
      return store.append(commits)
    },
  })
  const options: Options = {
    onFailure: 'park',
    concurrency: 2,
    handle: async ({ aggregateId }) => {
      if (aggregateId === 'b') await isSaving.reached
      if (aggregateId === 'b') setImmediate(isSaving.open)
      throw new Error('no')
    },
  }
  const first = at(dying, { now: Date.UTC(2030, 0, 1) }, () => true, options, isResend)
  await first.write('a')
  await first.write('b')
  await failureOf(first.drain())
  const next = at(store, { now: Date.UTC(2031, 0, 1) }, () => false, { onFailure: 'park' })
  await next.log.resume()
  expect(await next.drain()).toMatchObject({ caughtUp: true })
  expect(next.seen.sort()).toEqual(['counter/a/1', 'counter/b/1'])
})
