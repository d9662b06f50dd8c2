import { createApp, defineAggregate, type Position, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { compareBytes } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'
import { collect, failureOf, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { storedBefore } from '../support/stored.ts'
import { changed } from '../support/stores.ts'

const lamp = defineAggregate({
  type: 'lamp',
  events: { Dimmed: typed<{ level: number }>() },
  commands: { Dim: typed<{ level: number }>() },
  initialState: () => ({ level: 0 }),
}).implement({ handle: { Dim: (_, data) => ({ type: 'Dimmed', data }) }, apply: { Dimmed: (_, { level }) => ({ level }) } })
const dim = (level: number) => ({ type: 'Dim', data: { level } }) as const

const appOn = (store = memoryStore()) => createApp({ store, aggregates: { counter, lamp } })

describe('ids', () => {
  test('come page by page in byte order, and none is there before its first event', async () => {
    const { counter: c } = appOn().aggregates
    const ids = ['b', 'a', 'B', 'é', '\uff5e', '😀', '10', '9', '__proto__']
    for (const id of ids) await c.execute(id, count(1))
    await c.execute('refused', count(-1))
    await c.load('looked at')
    const sorted = [...ids].sort(compareBytes)
    expect(sorted.slice(-2)).toEqual(['\uff5e', '😀'])
    const found: string[] = []
    let after: string | undefined
    do {
      const page = await c.ids({ limit: 4, ...(after === undefined ? {} : { after }) })
      expect(page.items.length).toBeLessThanOrEqual(4)
      found.push(...page.items)
      after = page.next
    } while (after !== undefined)
    expect(found).toEqual(sorted)
    expect(await c.ids()).toEqual({ items: sorted })
  })

  test('are those of one type', async () => {
    const { aggregates } = appOn()
    await aggregates.counter.execute('c', count(1))
    await aggregates.lamp.execute('l', dim(1))
    expect(await aggregates.counter.ids()).toEqual({ items: ['c'] })
    expect(await aggregates.lamp.ids()).toEqual({ items: ['l'] })
  })

  test.each([{ limit: 0 }, { limit: 1_001 }, { limit: 2.5 }, { after: '' }, { afer: 'c' }])('refuse %j', async (options) => {
    expect((await failureOf(appOn().aggregates.counter.ids(options))).code).toBe('VALIDATION')
  })
})

describe('the events of the whole app', () => {
  test('come in the order they were stored, all types of the app and no other', async () => {
    const store = memoryStore()
    const app = appOn(store)
    await storedBefore(store, 'foreign', 'f', { type: 'Whatever' })
    await app.aggregates.counter.execute('c', countEach(1, 2))
    await app.aggregates.lamp.execute('l', dim(5))
    await storedBefore(store, 'foreign', 'f', { type: 'Whatever' })
    await app.aggregates.counter.execute('c', count(3))
    const events = await collect(app.events())
    expect(events.map((e) => [e.aggregateType, e.sequence, e.position])).toEqual([
      ['counter', 1, '2'],
      ['counter', 2, '3'],
      ['lamp', 1, '4'],
      ['counter', 3, '6'],
    ])
    expect(await collect(app.events({ after: events[1]?.position as Position }))).toStrictEqual(events.slice(2))
    expect(await collect(app.events({ after: '6' as Position }))).toEqual([])
    const [first] = await collect(app.aggregates.counter.events('c'))
    expect(events[0]).toStrictEqual(first)
  })

  test('are read on over many pages', async () => {
    const app = appOn()
    for (let i = 0; i < 5; i++) await app.aggregates.counter.execute(`c${i}`, countEach(...Array<number>(101).fill(i)))
    const events = await collect(app.events())
    expect(events.map((e) => Number(e.position))).toEqual(Array.from({ length: 505 }, (_, i) => i + 1))
  })

  test('are found behind any number of others', async () => {
    const store = memoryStore()
    await storedBefore(store, 'foreign', 'f', ...Array<{ type: string }>(25).fill({ type: 'Whatever' }))
    await appOn(store).aggregates.counter.execute('c', count(1))
    let pages = 0
    const patient = changed(store, {
      readFeed: async ({ after }) => {
        if (++pages > 10) throw new Error('the pages do not move on')
        const page = await store.readFeed({ limit: 10, ...(after === undefined ? {} : { after }) })
        return { ...page, events: page.events.filter((event) => event.aggregateType !== 'foreign') }
      },
    })
    expect((await collect(appOn(patient).events())).map((e) => e.position)).toEqual(['26'])
  })

  test('of an empty store are none', async () => {
    expect(await collect(appOn().events())).toEqual([])
  })

  test.each(['', 'x', '-1', '1.5', 7])('refuse to start after %j', (after) => {
    expect(thrownBy(() => appOn().events({ after: after as Position })).code).toBe('VALIDATION')
  })

  test('say so when the log ends before the place to go on from', async () => {
    expect((await failureOf(collect(appOn().events({ after: '7' as Position })))).code).toBe('STORE_BEHIND')
  })

  test('are refused where the store has no order', () => {
    const store = memoryStore()
    const unordered = changed(store, { capabilities: { ...store.capabilities, globalOrder: false } })
    expect(thrownBy(() => appOn(unordered).events()).code).toBe('DEFINITION')
  })
})
