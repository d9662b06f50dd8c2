// biome-ignore-all lint/suspicious/noThenProperty: an option has this name
import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { bucketOf } from '../../src/consumers/progress.ts'
import { atStrength } from '../strength.ts'
import { failureOf } from '../support/async.ts'
import { count } from '../support/counter.ts'
import { lastFound, putFailed } from '../support/failed-rows.ts'
import { keeping } from '../support/keeping.ts'
import { type LogOptions, logging } from '../support/logging.ts'
import { onSqlite } from '../support/sqlite.ts'
import { counting, unordered } from '../support/stores.ts'

const kept = keeping()
const onFailure = { retry: { forMs: 3_600_000 }, then: 'park' } as const

/** An app whose handler fails for `bad`, and what it handles. */
function appOn(store: Store, bad: string | undefined, options: Partial<LogOptions> = {}) {
  const seen: string[] = []
  const handle = ({ aggregateId }: { readonly aggregateId: string }) => {
    if (aggregateId === bad) throw new Error('no')
    seen.push(aggregateId)
  }
  const app = kept(logging(store, handle, { onFailure: 'park', ...options } as Partial<LogOptions>))
  return { app, seen, log: app.subscriptions.log, drain: () => app.drain({ reconcile: true }) }
}

/** A store with an event of one counter that has failed. */
async function withFailed(store: Store, id: string, options?: Partial<LogOptions>): Promise<Store> {
  const { app, drain, log } = appOn(store, id, options)
  await app.aggregates.counter.execute(id, count(1))
  await drain()
  expect((await log.parked()).items).toMatchObject([{ aggregateId: id }])
  await app.close()
  return store
}

const idsOf = (n: number) => Array.from({ length: n }, (_, i) => `c${i}`)

describe.each([
  { name: 'memory', open: () => memoryStore() },
  { name: 'a store without a global order', open: () => unordered(memoryStore()) },
])('among many failed events on $name', ({ open }) => {
  test('a program retries the one that it can read, behind those that it cannot', async () => {
    const ids = idsOf(1_100)
    const last = await lastFound(ids)
    const store = await withFailed(open(), last)
    await putFailed(
      store,
      ids.map((aggregateId) => ({ aggregateId, unreadable: true })),
    )
    const { seen, drain } = appOn(store, undefined)
    await drain()
    expect(seen).toEqual([last])
  })

  test('parked() finds those in one state, page by page', async () => {
    const store = open()
    const times = [3, 1, 2].map((n) => `2030-01-01T00:00:0${n}.000Z`)
    await putFailed(store, [
      ...idsOf(150).map((aggregateId) => ({ aggregateId })),
      ...times.map((nextTryAt) => ({ aggregateId: nextTryAt, nextTryAt })),
    ])
    const { log } = appOn(store, undefined)
    const first = await log.parked({ state: 'retrying', limit: 2 })
    expect(first.items.map(({ nextTryAt }) => nextTryAt)).toEqual([times[1], times[2]])
    const rest = await log.parked({ state: 'retrying', limit: 2, after: first.next as string })
    expect(rest).toEqual({ items: [expect.objectContaining({ nextTryAt: times[0], state: 'retrying' })] })
    expect((await log.parked({ state: 'parked', limit: 1_000 })).items).toHaveLength(150)
    const error = await failureOf(log.parked({ after: first.next as string }))
    expect(error).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('parked: after must be the next') })
  })

  test('health() counts those that are retried and those that are parked up to 100 each', async () => {
    const store = open()
    const nextTryAt = '2999-01-01T00:00:00.000Z'
    await putFailed(store, [...idsOf(150).map((aggregateId) => ({ aggregateId })), { aggregateId: 'retried', nextTryAt }])
    const { log } = appOn(store, undefined)
    expect(await log.health()).toMatchObject({ state: 'waiting', parked: 100, retrying: 1, isMore: true, nextTryAt })
  })
})

describe('a subscription in partitions, some of which another process holds', () => {
  const partitions = 4
  const options = { partitions, onFailure }
  const inPartition = (partition: number, n: number) =>
    idsOf(40 * n)
      .filter((aggregateId) => bucketOf({ aggregateType: 'counter', aggregateId }) % partitions === partition)
      .slice(0, n)
  const [id] = inPartition(1, 1) as [string]

  test.each([
    ['many of theirs', 60, { nextTryAt: '2019-02-01T00:00:00.000Z' }],
    ['one of theirs, where it was parked and resumed', 1, {}],
  ])('retries its own failed event behind %s', async (_, many, own) => {
    const store = await withFailed(memoryStore(), id, options)
    const theirs = inPartition(0, many).map((aggregateId) => ({ aggregateId, nextTryAt: '2019-01-01T00:00:00.000Z' }))
    await putFailed(store, [...theirs, { aggregateId: id, ...own }])
    await store.acquireLease({ name: 'subscription/log', holder: 'another', ttlMs: 600_000 })
    const { seen, log, drain } = appOn(store, undefined, options)
    await log.resume()
    await drain()
    expect(seen).toEqual([id])
  })

  test('retries the failed event that it can read, though nothing new comes', async () => {
    const store = await withFailed(memoryStore(), id, options)
    await putFailed(store, [{ aggregateId: id, unreadable: true }])
    const { seen, drain } = appOn(store, undefined, options)
    await drain()
    expect(seen).toEqual([id])
  })
})

test.each(['nonsense', '[1]', '{"id":"a","value":"b"}'])('skipped() refuses the cursor %s', async (after) => {
  const { log } = appOn(memoryStore(), undefined)
  const error = await failureOf(log.skipped({ after }))
  expect(error).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining('skipped: after must be the next') })
})

test('skipped() continues after a page also for the longest name of a subscription', async () => {
  const { app, log, drain } = appOn(memoryStore(), 'a', { storedAs: 'x'.repeat(200) } as Partial<LogOptions>)
  for (let n = 1; n <= 2; n++) {
    await app.aggregates.counter.execute('a', count(1))
    await drain()
    expect(await log.skip(`counter/a/${n}`, { reason: 'a test order' })).toBe(true)
    await drain()
  }
  const { items, next } = await log.skipped({ limit: 1 })
  const rest = await log.skipped({ limit: 1, after: next as string })
  expect([...items, ...rest.items].map(({ eventId }) => eventId).sort()).toEqual(['counter/a/1', 'counter/a/2'])
})

const parked = atStrength({ moderate: 10_000, full: 100_000 })

test.each([
  { name: 'memory', open: async () => memoryStore() },
  { name: 'SQLite', open: onSqlite },
])(`${parked} parked events on $name cost a new event, health() and resume() few calls`, async ({ open }) => {
  const store = await open()
  await putFailed(
    store,
    idsOf(parked).map((aggregateId) => ({ aggregateId })),
  )
  const calls: string[] = []
  const { app, seen, log } = appOn(counting(store, calls), undefined)
  await app.drain()
  await app.aggregates.counter.execute('new', count(1))
  calls.length = 0
  expect(await app.drain({ maxEvents: 1 })).toMatchObject({ events: 1 })
  expect(seen).toEqual(['new'])
  expect(calls.length).toBeLessThanOrEqual(10)
  calls.length = 0
  expect(await log.health()).toMatchObject({ state: 'idle', parked: 100, isMore: true })
  // One more than with few: above a hundred, each state is counted by itself.
  expect(calls.length).toBeLessThanOrEqual(6)
  calls.length = 0
  await log.resume()
  expect(calls.filter((name) => name === 'append').length).toBeLessThanOrEqual(2)
})
