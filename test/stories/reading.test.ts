import { createApp, type Observation } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { collect, failureOf, gate, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { changed } from '../support/stores.ts'

const appOn = (store = memoryStore()) => createApp({ store, aggregates: { counter }, cache: {} })

describe('load()', () => {
  test('load() never answers from the cache alone', async () => {
    const store = memoryStore()
    const [here, there] = [appOn(store), appOn(store)]
    await here.aggregates.counter.execute('c', count(1))
    await there.aggregates.counter.execute('c', count(2))
    expect(await here.aggregates.counter.load('c')).toEqual({ state: { total: 3 }, sequence: 2 })
  })

  test('load() reads from the last cached event on, to confirm that event', async () => {
    const store = memoryStore()
    const asked: number[] = []
    const counted = changed(store, {
      readAggregate: (request) => {
        asked.push(request.after)
        return store.readAggregate(request)
      },
    })
    const { counter: c } = appOn(counted).aggregates
    await c.execute('c', countEach(1, 1, 1))
    await c.load('c')
    expect(asked).toEqual([0, 2])
  })

  test('load() returns the state after any event with asOf', async () => {
    const { counter: c } = appOn().aggregates
    await c.execute('c', countEach(1, 2, 3))
    const totals = [0, 1, 3, 6]
    for (const asOf of [3, 1, 0, 2])
      expect(await c.load('c', { asOf })).toEqual({ state: { total: totals[asOf] }, sequence: asOf })
    expect((await c.load('c')).state).toEqual({ total: 6 })
  })

  test('load() with asOf does not make the next command decide on a past state', async () => {
    const { counter: c } = createApp({ store: memoryStore(), aggregates: { counter }, maxAttempts: 1 }).aggregates
    await c.execute('c', countEach(1, 2, 3))
    await c.load('c', { asOf: 1 })
    expect(await c.execute('c', count(-6))).toMatchObject({ ok: true, state: { total: 0 } })
  })

  test('load() with asOf as the first call does not make the next command decide on a past state', async () => {
    const store = memoryStore()
    await appOn(store).aggregates.counter.execute('c', countEach(1, 2, 3))
    const attempts: number[] = []
    const observe = (what: Observation) => {
      if (what.kind === 'command') attempts.push(what.attempts)
    }
    const { counter: c } = createApp({ store, aggregates: { counter }, maxAttempts: 1, observe }).aggregates
    await c.load('c', { asOf: 1 })
    expect(await c.execute('c', count(1))).toMatchObject({ ok: true, sequence: 4 })
    expect(attempts).toEqual([1])
  })

  test('load() overtaken by a command does not make the cache stale', async () => {
    const store = memoryStore()
    const { pass, open, reached } = gate()
    let reads = 0
    const slow = changed(store, {
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        if (++reads === 2) await pass()
        return page
      },
    })
    const { counter: c } = createApp({ store: slow, aggregates: { counter }, maxAttempts: 1, cache: {} }).aggregates
    await c.execute('c', count(1))
    const loading = c.load('c')
    await reached
    await c.execute('c', count(1))
    await createApp({ store, aggregates: { counter } }).aggregates.counter.load('c')
    open()
    await loading
    expect(await c.execute('c', count(1))).toMatchObject({ ok: true, sequence: 3 })
  })

  test('load() refuses an asOf after the last event', async () => {
    const { counter: c } = appOn().aggregates
    await c.execute('c', count(1))
    for (const [id, asOf, last] of [
      ['c', 2, 1],
      ['nobody', 1, 0],
    ] as const) {
      const error = await failureOf(c.load(id, { asOf }))
      expect(error.code).toBe('VALIDATION')
      expect(error.message).toContain(`'${id}': asOf is ${asOf}, but its last event has the sequence ${last}`)
    }
  })

  test.each([-1, 1.5, Number.NaN, '1'])('load() refuses asOf %s', async (asOf) => {
    expect((await failureOf(appOn().aggregates.counter.load('c', { asOf: asOf as number }))).code).toBe('VALIDATION')
  })

  test('load() returns a frozen state', async () => {
    const { counter: c } = appOn().aggregates
    await c.execute('c', count(1))
    const { state } = await c.load('c')
    expect(() => Object.assign(state, { total: 99 })).toThrow(TypeError)
    expect(await c.execute('c', count(1))).toMatchObject({ state: { total: 2 } })
  })

  test('load() fails on a gap in the events', async () => {
    const store = memoryStore()
    const holed = changed(store, {
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        return { ...page, events: page.events.filter((event) => event.sequence !== 2) }
      },
    })
    await appOn(store).aggregates.counter.execute('c', countEach(1, 2, 3))
    const error = await failureOf(appOn(holed).aggregates.counter.load('c'))
    expect(error.code).toBe('STORE_CORRUPT')
    expect(error.message).toContain("The events of counter 'c' have a gap: event 3 follows event 1")
  })

  test('load() reads page after page from a store with small pages', async () => {
    const store = memoryStore()
    const pages = changed(store, { readAggregate: (request) => store.readAggregate({ ...request, limit: 7 }) })
    await appOn(store).aggregates.counter.execute('c', countEach(...Array<number>(100).fill(1)))
    const { counter: c } = appOn(pages).aggregates
    expect(await c.load('c')).toEqual({ state: { total: 100 }, sequence: 100 })
    expect(await c.load('c', { asOf: 50 })).toEqual({ state: { total: 50 }, sequence: 50 })
    expect(await collect(c.events('c', { after: 50 }))).toHaveLength(50)
  })
})

describe('events()', () => {
  test('events() returns all events of an aggregate in order, or those after a sequence', async () => {
    const { counter: c } = appOn().aggregates
    await c.execute('c', countEach(1, 2))
    await c.execute('c', count(3))
    expect((await collect(c.events('c'))).map((e) => e.data.by)).toEqual([1, 2, 3])
    expect((await collect(c.events('c', { after: 2 }))).map((e) => e.data.by)).toEqual([3])
    expect(await collect(c.events('c', { after: 3 }))).toEqual([])
    expect(await collect(c.events('c', { after: 99 }))).toEqual([])
    expect(await collect(c.events('nobody'))).toEqual([])
  })

  test('events() can be iterated twice and left in the middle', async () => {
    const { counter: c } = appOn().aggregates
    await c.execute('c', countEach(1, 2, 3))
    const events = c.events('c')
    for await (const event of events) if (event.sequence === 2) break
    expect(await collect(events)).toHaveLength(3)
  })

  test.each([-1, 0.5, '1'])('events() refuses to start after %s', (after) => {
    expect(thrownBy(() => appOn().aggregates.counter.events('c', { after: after as number })).code).toBe('VALIDATION')
  })

  test('events() and load() stop when their signal aborts', async () => {
    const { counter: c } = appOn().aggregates
    await c.execute('c', countEach(1, 2, 3))
    const signal = AbortSignal.abort('enough')
    expect(await failureOf(collect(c.events('c', { signal })))).toBe('enough')
    expect(await failureOf(c.load('c', { signal }))).toBe('enough')
  })
})

test('load() with asOf keeps the cached state', async () => {
  const from: string[] = []
  const observe = (what: Observation) => {
    if (what.kind === 'load') from.push(what.from)
  }
  const { counter: c } = createApp({ store: memoryStore(), aggregates: { counter }, cache: {}, observe }).aggregates
  await c.execute('c', countEach(1, 2, 3))
  from.length = 0
  expect(await c.load('c', { asOf: 1 })).toEqual({ state: { total: 1 }, sequence: 1 })
  expect(await c.load('c')).toEqual({ state: { total: 6 }, sequence: 3 })
  expect(from).toEqual(['start', 'cache'])
})

test('the cache keeps the maxAggregates aggregates that were used last', async () => {
  const from: string[] = []
  const observe = (what: Observation) => {
    if (what.kind === 'load') from.push(what.from)
  }
  const loadsOf = async (cache: false | { maxAggregates: number }, ids: string[]) => {
    const { counter: c } = createApp({ store: memoryStore(), aggregates: { counter }, cache, observe }).aggregates
    for (const id of ids) await c.execute(id, count(1))
    from.length = 0
    for (const id of ids) await c.load(id)
    return from
  }
  expect(await loadsOf({ maxAggregates: 3 }, ['a', 'b', 'c'])).toEqual(['cache', 'cache', 'cache'])
  expect(await loadsOf({ maxAggregates: 2 }, ['a', 'b', 'c'])).toEqual(['start', 'start', 'start'])
  expect(await loadsOf({ maxAggregates: 2 }, ['a', 'b', 'a'])).toEqual(['cache', 'cache', 'cache'])
  expect(await loadsOf(false, ['a', 'b', 'c'])).toEqual(['start', 'start', 'start'])
})

test('an app with a small cache gives the same results as one without a cache', async () => {
  for (const cache of [{ maxAggregates: 1 }, { maxAggregates: 3 }, false] as const) {
    const { counter: c } = createApp({ store: memoryStore(), aggregates: { counter }, cache }).aggregates
    for (let i = 0; i < 60; i++) await c.execute(`c${(i * 7) % 5}`, count(1))
    for (let i = 0; i < 5; i++) expect(await c.load(`c${i}`)).toEqual({ state: { total: 12 }, sequence: 12 })
  }
})
