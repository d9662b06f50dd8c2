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

describe('ids()', () => {
  test('ids() returns pages in byte order, without aggregates that have no event', async () => {
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

  test('ids() returns the ids of one type', async () => {
    const { aggregates } = appOn()
    await aggregates.counter.execute('c', count(1))
    await aggregates.lamp.execute('l', dim(1))
    expect(await aggregates.counter.ids()).toEqual({ items: ['c'] })
    expect(await aggregates.lamp.ids()).toEqual({ items: ['l'] })
  })

  test.each([{ limit: 0 }, { limit: 1_001 }, { limit: 2.5 }, { after: '' }, { afer: 'c' }])(
    'ids() refuses %j',
    async (options) => {
      expect((await failureOf(appOn().aggregates.counter.ids(options))).code).toBe('VALIDATION')
    },
  )
})

describe('app.events()', () => {
  test("app.events() returns the events of the app's types in stored order", async () => {
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

  test('app.events() reads over many pages', async () => {
    const app = appOn()
    for (let i = 0; i < 5; i++) await app.aggregates.counter.execute(`c${i}`, countEach(...Array<number>(101).fill(i)))
    const events = await collect(app.events())
    expect(events.map((e) => Number(e.position))).toEqual(Array.from({ length: 505 }, (_, i) => i + 1))
  })

  test('app.events() finds events after any number of foreign ones', async () => {
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

  test('app.events() returns nothing from an empty store', async () => {
    expect(await collect(appOn().events())).toEqual([])
  })

  test.each(['', 'x', '-1', '1.5', 7])('app.events() refuses to start after %j', (after) => {
    expect(thrownBy(() => appOn().events({ after: after as Position })).code).toBe('VALIDATION')
  })

  test('app.events() fails when the log ends before the position to continue from', async () => {
    expect((await failureOf(collect(appOn().events({ after: '7' as Position })))).code).toBe('STORE_BEHIND')
  })

  test('app.events() is refused on a store without a global order', () => {
    const store = memoryStore()
    const unordered = changed(store, { capabilities: { ...store.capabilities, globalOrder: false } })
    expect(thrownBy(() => appOn(unordered).events()).code).toBe('DEFINITION')
  })
})
