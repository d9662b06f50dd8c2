import { createApp, defineAggregate, defineView, type EventEnvelope, semanticVersionUpcaster, typed, versions } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { storedBefore } from '../support/stored.ts'
import { changed } from '../support/stores.ts'

const lamp = defineAggregate({
  type: 'lamp',
  events: { Dimmed: versions('2.0', typed<{ level: number }>(), {}) },
  commands: { Dim: typed<{ level: number }>() },
  initialState: () => ({ level: 0 }),
  upcasters: [semanticVersionUpcaster('Dimmed', '2.0', ({ percent }: { percent: number }) => ({ level: percent / 10 }))],
}).implement({ handle: { Dim: (_, data) => ({ type: 'Dimmed', data }) }, apply: { Dimmed: (_, { level }) => ({ level }) } })

async function filled(store = memoryStore()) {
  const app = createApp({ store, aggregates: { counter, lamp } })
  await app.aggregates.counter.execute('a', countEach(1, 2))
  await storedBefore(store, 'lamp', 'l', { type: 'Dimmed', version: '1.0', data: { percent: 50 } })
  await app.aggregates.counter.execute('b', count(3))
  await app.aggregates.counter.execute('a', count(4))
  return app
}
const idsOf = (handed: readonly (readonly EventEnvelope[])[]) => handed.map((events) => events.map(({ id }) => id))

describe('a replay', () => {
  test('a replay passes all events of the app to a query in order, those of one commit together', async () => {
    const app = await filled()
    const handed: EventEnvelope[][] = []
    expect(await app.replay((events) => void handed.push([...events]))).toEqual({ events: 5 })
    expect(idsOf(handed)).toEqual([['counter/a/1', 'counter/a/2'], ['lamp/l/1'], ['counter/b/1'], ['counter/a/3']])
    expect(handed[1]?.[0]).toMatchObject({ version: '2.0', data: { level: 5 } })
  })

  test('a replay passes events without a commit id one by one', async () => {
    const store = memoryStore()
    const app = await filled(
      changed(store, {
        readFeed: async (request) => {
          const page = await store.readFeed(request)
          return { ...page, events: page.events.map((event) => ({ ...event, commitId: '' })) }
        },
      }),
    )
    const handed: EventEnvelope[][] = []
    expect(await app.replay((events) => void handed.push([...events]))).toEqual({ events: 5 })
    expect(idsOf(handed)).toEqual([['counter/a/1'], ['counter/a/2'], ['lamp/l/1'], ['counter/b/1'], ['counter/a/3']])
  })

  test('a replay covers one aggregate type or one aggregate', async () => {
    const app = await filled()
    const handed: EventEnvelope[][] = []
    expect(await app.replay((events) => void handed.push([...events]), { aggregate: counter })).toEqual({ events: 4 })
    expect(idsOf(handed.splice(0))).toEqual([['counter/a/1', 'counter/a/2'], ['counter/b/1'], ['counter/a/3']])
    await app.replay((events) => void handed.push([...events]), { aggregate: counter, id: 'a' })
    expect(idsOf(handed.splice(0))).toEqual([['counter/a/1', 'counter/a/2'], ['counter/a/3']])
    expect(await app.replay((events) => void handed.push([...events]), { aggregate: lamp, id: 'l' })).toEqual({ events: 1 })
    expect(handed[0]?.[0]).toMatchObject({ version: '2.0', data: { level: 5 } })
  })

  test('a replay of one aggregate passes all its pages to the query, and no other aggregate', async () => {
    const store = memoryStore()
    const app = createApp({ store, aggregates: { counter } })
    for (const id of ['before', 'one', 'two']) await app.aggregates.counter.execute(id, count(1))
    await app.aggregates.counter.execute('one', countEach(...Array<number>(450).fill(1)))
    await app.aggregates.counter.execute('one', count(1))
    const ids: string[] = []
    const commits: number[] = []
    const query = (events: readonly EventEnvelope[]) => {
      ids.push(...events.map(({ id }) => id))
      commits.push(events.length)
    }
    expect(await app.replay(query, { aggregate: counter, id: 'one' })).toEqual({ events: 452 })
    expect(ids).toEqual(Array.from({ length: 452 }, (_, i) => `counter/one/${i + 1}`))
    expect(commits).toEqual([1, 450, 1])
  })

  test('a replay ends at an unreadable event, or passes over it and calls onError', async () => {
    const store = memoryStore()
    const app = await filled(store)
    await storedBefore(store, 'counter', 'odd', { type: 'Gone' })
    await app.aggregates.counter.execute('b', count(5))
    const seen: string[] = []
    const query = (events: readonly EventEnvelope[]) => void seen.push(...events.map(({ id }) => id))
    expect(await failureOf(app.replay(query))).toMatchObject({ code: 'DESERIALIZATION', aggregateId: 'odd' })
    expect(seen).not.toContain('counter/b/2')
    seen.length = 0
    const told: string[] = []
    expect(await app.replay(query, { onError: (_, eventId) => told.push(eventId) })).toEqual({ events: 6 })
    expect(told).toEqual(['counter/odd/1'])
    expect(seen).toContain('counter/b/2')
  })

  test('a replay ends with an error of the query, or passes over the event and calls onError', async () => {
    const app = await filled()
    const seen: string[] = []
    const query = async ([event]: readonly EventEnvelope[]) => {
      if (event?.aggregateId === 'b') throw new Error('no b')
      seen.push(event?.id ?? '')
    }
    expect((await failureOf(app.replay(query))).message).toBe('no b')
    seen.length = 0
    const told: unknown[] = []
    await app.replay(query, { onError: (error, eventId) => told.push([(error as Error).message, eventId]) })
    expect(told).toEqual([['no b', 'counter/b/1']])
    expect(seen).toEqual(['counter/a/1', 'lamp/l/1', 'counter/a/3'])
  })

  test('a replay fails when the database cannot be read', async () => {
    const store = memoryStore()
    await filled(store)
    const down = changed(store, { readFeed: async () => Promise.reject(new Error('down')) })
    const app = createApp({ store: down, aggregates: { counter, lamp } })
    expect((await failureOf(app.replay(() => {}, { onError: () => {} }))).message).toBe('down')
  })

  test('a replay rejects with the error of a read that fails half-way, whatever onError does', async () => {
    const store = memoryStore()
    await createApp({ store, aggregates: { counter } }).aggregates.counter.execute('a', countEach(...Array<number>(500).fill(1)))
    let reads = 0
    const second = async <P>(page: Promise<P>): Promise<P> => {
      if (++reads === 2) throw new Error('down')
      return page
    }
    const failing = changed(store, {
      readFeed: (request) => second(store.readFeed(request)),
      readAggregate: (request) => second(store.readAggregate(request)),
    })
    const app = createApp({ store: failing, aggregates: { counter } })
    for (const options of [{}, { aggregate: counter }, { aggregate: counter, id: 'a' }]) {
      reads = 0
      const told: unknown[] = []
      const replayed = app.replay(() => {}, { ...options, onError: (error) => told.push(error) })
      expect((await failureOf(replayed)).message).toBe('down')
      expect([reads, told]).toEqual([2, []])
    }
  })

  test('a replay reads page by page, and no faster than the query processes the events', async () => {
    const store = memoryStore()
    let reads = 0
    const counting = changed(store, {
      readFeed: (request) => {
        reads++
        return store.readFeed(request)
      },
    })
    const app = createApp({ store: counting, aggregates: { counter } })
    for (let i = 0; i < 1_000; i++) await app.aggregates.counter.execute('a', count(1))
    let handed = 0
    const readsAtFirst: number[] = []
    await app.replay(async () => {
      if (handed++ === 0) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        readsAtFirst.push(reads)
      }
    })
    expect(handed).toBe(1_000)
    expect(readsAtFirst).toEqual([1])
    expect(reads).toBe(5)
  })

  test('a replay ends when its signal aborts', async () => {
    const app = await filled()
    const signal = AbortSignal.abort(new Error('enough'))
    expect((await failureOf(app.replay(() => {}, { signal }))).message).toBe('enough')
  })

  test('a replay does not need a global order', async () => {
    const store = memoryStore()
    await filled(store)
    const unordered = changed(store, { capabilities: { ...store.capabilities, globalOrder: false } })
    const app = createApp({ store: unordered, aggregates: { counter, lamp } })
    const handed: EventEnvelope[][] = []
    await app.replay((events) => void handed.push([...events]))
    expect(idsOf(handed)).toEqual([['counter/a/1', 'counter/a/2'], ['counter/a/3'], ['counter/b/1'], ['lamp/l/1']])
  })

  test.each([
    [undefined, {}, 'must be a function'],
    [() => {}, { id: 'a' }, 'needs the option aggregate'],
    [() => {}, { aggregate: lamp, id: '' }, 'must not be empty'],
    [() => {}, { onError: 1 }, 'onError must be a function'],
    [() => {}, { onEror: () => {} }, "no option 'onEror'"],
  ])('a replay refuses %s with %j', async (query, options, words) => {
    const app = createApp({ store: memoryStore(), aggregates: { counter, lamp } })
    const failure = await failureOf(app.replay(query as never, options as never))
    expect(failure).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining(words) })
  })
})

describe('a view over several aggregates', () => {
  test('a view of several aggregates is projected in log order, once, and rebuilt the same', async () => {
    const store = memoryStore()
    const journal = defineView({
      name: 'journal',
      aggregates: [counter, lamp],
      initialView: () => ({ lines: [] as string[] }),
      id: () => 'all',
      update: {
        Counted: (view, event) => ({ lines: [...view.lines, `${event.aggregateId}+${event.data.by}`] }),
        Dimmed: (view, event) => ({ lines: [...view.lines, `${event.aggregateId}=${event.data.level}`] }),
      },
      consistency: 'async',
    })
    await filled(store)
    const app = createApp({ store, aggregates: { counter, lamp }, views: { journal } })
    await app.drain()
    const expected = { lines: ['a+1', 'a+2', 'l=5', 'b+3', 'a+4'] }
    expect((await app.views.journal.load('all'))?.view).toEqual(expected)
    await app.views.journal.rebuild()
    expect((await app.views.journal.load('all'))?.view).toEqual(expected)
  })
})
