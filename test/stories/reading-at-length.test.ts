import { createApp, type EventEnvelope, type Position, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { describe, expect, test } from 'vitest'
import { collect, failureOf } from '../support/async.ts'
import { counter } from '../support/counter.ts'
import { storedBefore } from '../support/stored.ts'
import { changed } from '../support/stores.ts'

/** Events that a page of the store has at most. */
const page = 200
const appOn = (store: Store) => createApp({ store, aggregates: { counter } })

/** A memory store that notes how many events each page has given. */
function counting(store = memoryStore()) {
  const given: number[] = []
  const note = <P extends { readonly events: readonly unknown[] }>(read: P) => {
    given.push(read.events.length)
    return read
  }
  const counted = changed(store, {
    readAggregate: async (request) => note(await store.readAggregate(request)),
    readFeed: async (request) => note(await store.readFeed(request)),
  })
  return { store: counted, given }
}

const save = (store: Store, events: number) =>
  storedBefore(store, 'counter', 'c', ...Array.from({ length: events }, (_, i) => ({ type: 'Counted', data: { by: i + 1 } })))

/** The two ways to read at length. */
const ways: readonly [
  string,
  (store: Store, options?: { after?: number; signal?: AbortSignal }) => AsyncIterable<EventEnvelope>,
][] = [
  ['the events of one aggregate', (store, options) => appOn(store).aggregates.counter.events('c', options)],
  [
    'the events of the whole app',
    (store, { after, signal } = {}) =>
      appOn(store).events({ ...(after && { after: String(after) as Position }), ...(signal && { signal }) }),
  ],
]

describe.each(ways)('%s', (_, events) => {
  test('an iteration reads only as far as it is consumed, and at most a page ahead', async () => {
    const { store, given } = counting()
    await save(store, 20_000)
    given.length = 0
    let seen = 0
    for await (const event of events(store)) {
      expect(event.sequence).toBe(++seen)
      expect(given.length).toBe(Math.ceil(seen / page))
      if (seen % 5_000 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(seen).toBe(20_000)
    expect(given).toEqual(Array(100).fill(page))
  })

  test('an iteration reads nothing before its first event is requested, nor after its end', async () => {
    const { store, given } = counting()
    await save(store, 1_000)
    given.length = 0
    const iterable = events(store)
    expect(given).toEqual([])
    for await (const event of iterable) if (event.sequence === page + 1) break
    await new Promise((resolve) => setTimeout(resolve, 1))
    expect(given).toEqual([page, page])
  })

  test('an iteration reads no further page after its signal aborts', async () => {
    const { store, given } = counting()
    await save(store, 1_000)
    given.length = 0
    const controller = new AbortController()
    const seen: number[] = []
    const reading = async () => {
      for await (const event of events(store, { signal: controller.signal })) {
        seen.push(event.sequence)
        if (event.sequence === 10) controller.abort('enough')
      }
    }
    expect(await failureOf(reading())).toBe('enough')
    expect([seen.length, given]).toEqual([page, [page]])
  })

  test('an iteration continues after the last event of the one before', async () => {
    const { store } = counting()
    await save(store, 1_000)
    const seen: number[] = []
    for (let last = 0; last < 1_000; ) {
      for await (const event of events(store, { after: last })) {
        seen.push(event.sequence)
        last = event.sequence
        if (event.sequence % 333 === 0) break
      }
    }
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1))
  })

  test.each([1, 2, 100, 199, 200, 201, 399, 555])(
    'an iteration returns the events before corrupt event %i, and the error names that event',
    async (at) => {
      const database = new Database(':memory:')
      const store = sqliteStore(database)
      await store.createSchema()
      await save(store, 600)
      database.prepare(`UPDATE events SET payload = '{"by' WHERE sequence = ?`).run(at)
      const { seen, error } = await readToError(events(store))
      expect(seen).toEqual(Array.from({ length: at - 1 }, (_, i) => i + 1))
      expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateType: 'counter', aggregateId: 'c', sequence: at })
      expect((await collect(events(store, { after: at }))).map(({ sequence }) => sequence)[0]).toBe(
        at === 600 ? undefined : at + 1,
      )
    },
  )

  test('an iteration returns the events before one of an unknown type, and the error names it', async () => {
    const { store } = counting()
    await save(store, 250)
    await storedBefore(store, 'counter', 'c', { type: 'Unheard' }, { type: 'Counted', data: { by: 1 } })
    const { seen, error } = await readToError(events(store))
    expect(seen.length).toBe(250)
    expect(error).toMatchObject({ code: 'DESERIALIZATION', aggregateType: 'counter', aggregateId: 'c', sequence: 251 })
    expect((await collect(events(store, { after: 251 }))).map(({ sequence }) => sequence)).toEqual([252])
  })

  test('an iteration ends when the store fails, and can be requested again', async () => {
    const { store, given } = counting()
    await save(store, 1_000)
    given.length = 0
    const reset = new Error('reset')
    const once = <R, P>(read: (request: R) => Promise<P>) => {
      let calls = 0
      return async (request: R) => {
        if (++calls === 3) throw reset
        return read(request)
      }
    }
    const flaky = changed(store, { readAggregate: once(store.readAggregate), readFeed: once(store.readFeed) })
    const { seen, error } = await readToError(events(flaky))
    expect([seen.length, error]).toEqual([2 * page, reset])
    expect((await collect(events(flaky, { after: 2 * page }))).length).toBe(600)
  })
})

async function readToError(events: AsyncIterable<EventEnvelope>) {
  const seen: number[] = []
  const error = await failureOf(
    (async () => {
      for await (const { sequence } of events) seen.push(sequence)
    })(),
  )
  return { seen, error }
}

test('an iteration reads large events in small pages', async () => {
  const database = new Database(':memory:')
  const kept = sqliteStore(database)
  await kept.createSchema()
  const { store, given } = counting(kept)
  const text = 'x'.repeat(500_000)
  await storedBefore(
    store,
    'counter',
    'c',
    ...Array.from({ length: 20 }, () => ({ type: 'Counted', data: { by: 1 }, metadata: { text } })),
  )
  for (const [, events] of ways) {
    given.length = 0
    let seen = 0
    for await (const _ of events(store)) seen++
    expect(seen).toBe(20)
    expect(Math.max(...given)).toBeLessThanOrEqual(4)
    expect(given.length).toBeLessThan(10)
  }
})

test('ids() returns pages of the requested size', async () => {
  const kept = memoryStore()
  for (let i = 0; i < 250; i++) await storedBefore(kept, 'counter', `c${i}`, { type: 'Counted', data: { by: 1 } })
  const limits: number[] = []
  const store = changed(kept, {
    readIds: (request) => {
      limits.push(request.limit)
      return kept.readIds(request)
    },
  })
  const { counter: c } = appOn(store).aggregates
  const first = await c.ids()
  expect([first.items.length, limits]).toEqual([100, [100]])
  const found = [...first.items]
  for (let next = first.next; next !== undefined; ) {
    const more = await c.ids({ after: next, limit: 60 })
    found.push(...more.items)
    next = more.next
  }
  expect([new Set(found).size, limits]).toEqual([250, [100, 60, 60, 60]])
})
