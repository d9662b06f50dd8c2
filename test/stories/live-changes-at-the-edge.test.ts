import { createApp, defineView, platformRuntime, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { StoreError } from 'cqrs-es/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { patienceMs } from '../strength.ts'
import { failureOf, gate, settled, thrownBy } from '../support/async.ts'
import { keeping } from '../support/keeping.ts'
import { storedBefore } from '../support/stored.ts'
import { changed, counting, reporting, unordered } from '../support/stores.ts'
import { drop, give, shown, taken, ticket, ticketApp, ticketViews } from '../support/tickets.ts'

const kept = keeping()
const live = <T>(changes: AsyncIterable<T>) => changes[Symbol.asyncIterator]()

describe('too many changes', () => {
  /** An event touches 6,000 rows. */
  const wide = defineView({
    name: 'wide',
    aggregates: [ticket],
    initialView: () => ({ points: 0 }),
    id: (event) =>
      event.type === 'Given'
        ? Array.from({ length: 6_000 }, (_, i) => `row-${event.data.points * 6_000 + i}`)
        : event.aggregateId,
    update: { Given: (view) => view, Dropped: () => ({ points: 1 }) },
    consistency: 'async',
  })

  test('changes() gives a slow listener one reload instead of too many rows, then changes again', async () => {
    const app = kept(createApp({ store: memoryStore(), aggregates: { ticket }, views: { wide } }))
    const [changes, other] = [live(app.views.wide.changes()), live(app.views.wide.changes())]
    const begun = [changes.next(), other.next()]
    for (const points of [0, 1]) {
      await app.aggregates.ticket.execute('a', give('ann', points))
      await app.drain()
      await begun[1]
      await taken(other, 5_999)
      begun[1] = other.next()
    }
    await begun[0]
    expect((await taken(changes, 1)).map(shown)).toEqual(['reload:too-many'])
    await app.aggregates.ticket.execute('b', drop)
    await app.drain()
    expect((await taken(changes, 1)).map(shown)).toEqual(['b=1'])
  })

  test('changes() gives every listener one reload for a page with more than 10,000 rows', async () => {
    const store = memoryStore()
    const app = kept(createApp({ store, aggregates: { ticket }, views: { wide } }))
    for (const points of [0, 1]) await app.aggregates.ticket.execute('a', give('ann', points))
    await app.drain()
    let read = 0
    const counted = changed(store, {
      readViews: (keys) => {
        read += keys.length
        return store.readViews(keys)
      },
    })
    const reader = kept(createApp({ store: counted, aggregates: { ticket }, views: { wide } }))
    expect((await taken(live(reader.views.wide.changes({ after: '1.0' })), 1)).map(shown)).toEqual(['reload:too-many'])
    expect(read).toBe(0)
  })

  test('changes() reads a cursor 10,000 positions back, and reports one further back as too-old', async () => {
    const store = memoryStore()
    await storedBefore(store, 'ticket', 'a', ...Array.from({ length: 10_001 }, () => ({ type: 'Seen', data: { by: 'x' } })))
    const app = kept(ticketApp(store))
    await app.aggregates.ticket.execute('b', give('ann', 1))
    expect((await taken(live(app.views.tickets.changes({ after: '1.1' })), 1)).map(shown)).toEqual(['reload:too-old'])
    expect((await taken(live(app.views.tickets.changes({ after: '1.2' })), 1)).map(shown)).toEqual(['b=1'])
  })

  test('changes() reports a reload for an unreadable event whose rows are unknown', async () => {
    const store = memoryStore()
    const app = kept(ticketApp(store, { pollMs: 5 }))
    const [tickets, owners] = [live(app.views.tickets.changes()), live(app.views.owners.changes())]
    const first = [taken(tickets, 1), taken(owners, 1)]
    await storedBefore(store, 'ticket', 'a', { type: 'Given', version: '9.0', data: {} })
    expect((await Promise.all(first)).flat().map(shown as never)).toEqual(['-a', 'reload:too-many'])
  })
})

describe('the reader of changes', () => {
  test('find() waits for the start of changes() that were requested before it', async () => {
    const store = memoryStore()
    const door = gate()
    const slow = changed(store, { lastPosition: () => door.pass().then(() => store.lastPosition()) })
    const app = kept(ticketApp(slow))
    app.views.tickets.changes()
    const page = app.views.tickets.find()
    const row = app.views.tickets.load('a')
    await door.reached
    await settled()
    // It comes before the beginning, so it must be in what is found.
    await kept(ticketApp(store)).aggregates.ticket.execute('a', give('ann', 1))
    door.open()
    expect([(await page).items.length, (await row)?.view.points]).toEqual([1, 1])
  })

  test('changes() reports a row that is read twice once', async () => {
    let looks = 0
    const store = reporting(memoryStore())
    const readChanges = store.readChanges as NonNullable<Store['readChanges']>
    const counted = changed(store, {
      readChanges: (request) => {
        looks++
        return readChanges(request)
      },
    })
    const app = kept(ticketApp(counted, { pollMs: 5 }))
    const changes = live(app.views.tickets.changes())
    const first = taken(changes, 1)
    await app.aggregates.ticket.execute('a', give('ann', 1))
    await first
    const before = looks
    await expect.poll(() => looks).toBeGreaterThan(before + 2)
    await app.aggregates.ticket.execute('b', give('ann', 1))
    expect((await taken(changes, 1)).map(shown)).toEqual(['b=1'])
  })

  test('changes() finds a switch by another process although nothing is stored', async () => {
    const store = memoryStore()
    let now = Date.UTC(2030, 0, 1)
    const runtime = { ...platformRuntime, now: () => new Date(now) }
    const following = { pollMs: 1 }
    const calls: string[] = []
    const counted = changed(counting(store, calls), { capabilities: { ...store.capabilities, push: false } })
    const app = kept(createApp({ store: counted, aggregates: { ticket }, views: ticketViews('inline'), runtime, following }))
    const changes = live(app.views.tickets.changes())
    const next = taken(changes, 1)
    await app.views.tickets.find()
    const other = kept(ticketApp(store))
    await other.aggregates.ticket.execute('a', give('ann', 1))
    expect((await next).map(shown)).toEqual(['a=1'])
    const second = taken(changes, 1)
    await other.views.tickets.rebuild()
    now += 10_000
    calls.length = 0
    await expect.poll(() => calls.length, { timeout: patienceMs }).toBeGreaterThan(10)
    expect(calls).toContain('viewGenerations')
    expect((await second).map(shown)).toEqual(['reload:rebuilt'])
  })
})

describe('a store that fails', () => {
  test('changes() continues after a temporary store failure and misses nothing', async () => {
    const store = memoryStore()
    let isDown = false
    let failures = 0
    const failing = changed(store, {
      readFeed: async (request) => {
        if (!isDown) return store.readFeed(request)
        failures++
        throw new StoreError('STORE_UNAVAILABLE', 'down')
      },
    })
    const runtime = { ...platformRuntime, sleep: (ms: number, signal?: AbortSignal) => platformRuntime.sleep(ms / 50, signal) }
    const app = kept(createApp({ store: failing, aggregates: { ticket }, views: ticketViews('inline'), runtime }))
    const changes = live(app.views.tickets.changes())
    const first = changes.next()
    await app.views.tickets.find()
    isDown = true
    await app.aggregates.ticket.execute('a', give('ann', 1))
    await expect.poll(() => failures).toBeGreaterThan(8)
    isDown = false
    expect(shown((await first).value as never)).toBe('a=1')
  })

  test('changes() ends with the error of a permanent store failure', async () => {
    const store = memoryStore()
    const failing = changed(store, { readFeed: async () => Promise.reject(new StoreError('STORE_CORRUPT', 'broken')) })
    const app = kept(ticketApp(failing))
    const changes = live(app.views.tickets.changes())
    expect((await failureOf(changes.next())).code).toBe('STORE_CORRUPT')
    expect(await changes.next()).toEqual({ done: true, value: undefined })
  })

  test('changes() reports too-old when the store has lost its last commits', async () => {
    const store = memoryStore()
    let isBack = false
    const restored = changed(store, {
      readFeed: async (request) => {
        if (!isBack || request.after === undefined) return store.readFeed(request)
        isBack = false
        throw new StoreError('STORE_BEHIND', 'restored')
      },
    })
    const app = kept(ticketApp(restored, { pollMs: 5 }))
    const changes = live(app.views.tickets.changes())
    const first = changes.next()
    await app.aggregates.ticket.execute('a', give('ann', 1))
    await first
    isBack = true
    const second = taken(changes, 1)
    await app.aggregates.ticket.execute('b', give('ann', 1))
    expect((await second).map(shown)).toEqual(['reload:too-old'])
  })

  test('changes() ends with a ViewOutdatedError when the rows have another version', async () => {
    const store = memoryStore()
    const older = kept(ticketApp(store, { pollMs: 5 }))
    await older.aggregates.ticket.execute('a', give('ann', 1))
    const changes = live(older.views.tickets.changes())
    const next = changes.next()
    await older.views.tickets.find()
    const newer = kept(ticketApp(store, { viewVersion: 2 }))
    expect((await failureOf(live(newer.views.owners.changes()).next())).code).toBe('VIEW_OUTDATED')
    await newer.views.tickets.rebuild()
    await newer.aggregates.ticket.execute('b', give('ann', 1)).catch(() => {})
    await storedBefore(store, 'ticket', 'c', { type: 'Given', data: { to: 'ann', points: 1 } })
    expect((await failureOf(next)).code).toBe('VIEW_OUTDATED')
  })
})

describe('where', () => {
  const value = fc.constantFrom(null, true, false, '', 'a', '\u{1F600}', '\uFF5E', 0, -1, 10)
  const range = fc.record({ gt: value, gte: value, lt: value, lte: value }, { requiredKeys: [] })
  const condition = fc.oneof(
    value,
    range.filter((one) => Object.keys(one).length > 0),
  )
  type Value = string | number | boolean | null
  const mixed = defineView({
    name: 'mixed',
    aggregates: [ticket],
    initialView: (): { a?: Value; b?: Value } => ({ a: null, b: null }),
    update: { Dropped: (_, { data }) => JSON.parse(data.why) as { a?: Value; b?: Value } },
    indexes: ['a', 'b'],
  })

  test('where of changes() selects the same rows as where of find(), for values of every kind', async () => {
    const rows = fc.array(fc.record({ a: value, b: value }, { requiredKeys: [] }), { minLength: 1, maxLength: 6 })
    const where = fc.record({ a: condition, b: condition }, { requiredKeys: [] })
    await fc.assert(
      fc.asyncProperty(rows, where, async (all, asked) => {
        const app = createApp({ store: memoryStore(), aggregates: { ticket }, views: { mixed } })
        for (const [i, row] of all.entries())
          await app.aggregates.ticket.execute(`t-${i}`, { type: 'Drop', data: { why: JSON.stringify(row) } })
        const found = (await app.views.mixed.find(asked as never)).items.map(({ id }) => id)
        const told = await taken(live(app.views.mixed.changes({ where: asked as never, after: '1.0' })), all.length)
        await app.close()
        expect(told.filter(({ kind }) => kind === 'changed').map((one) => (one as { id: string }).id)).toEqual(found)
      }),
      { numRuns: 400 },
    )
  })

  test('where of changes() is checked like where of find()', () => {
    const app = kept(ticketApp(memoryStore()))
    for (const where of [{ colour: 'red' }, { owner: { like: 'a' } }, { owner: {} }, { points: Number.NaN }, 'ann', null])
      expect(thrownBy(() => app.views.tickets.changes({ where: where as never })).code).toBe('VALIDATION')
    expect(thrownBy(() => app.views.tickets.changes({ limit: 3 } as never)).code).toBe('VALIDATION')
    expect(thrownBy(() => app.views.tickets.changes({ signal: 'no' } as never)).code).toBe('VALIDATION')
  })
})

describe('on a store without a global order', () => {
  const silent = (store: Store) => reporting(store, { readChanges: async () => ({ changes: [], cursor: 'end', more: false }) })

  test('changes() is a DefinitionError on a store that reports no changes', () => {
    const app = kept(ticketApp(unordered(memoryStore())))
    const error = thrownBy(() => app.views.tickets.changes())
    expect([error.code, error.message]).toEqual(['DEFINITION', expect.stringContaining('streams: true')])
  })

  test('changes() reports what the same process stores at once', async () => {
    const app = kept(ticketApp(silent(memoryStore())))
    const [tickets, owners] = [live(app.views.tickets.changes()), live(app.views.owners.changes())]
    const first = [taken(tickets, 2), taken(owners, 1)]
    await app.views.tickets.find()
    await app.views.owners.find()
    await app.aggregates.ticket.execute('a', give('ann', 1))
    await app.aggregates.ticket.execute('a', drop)
    expect((await Promise.all(first as Promise<never[]>[])).map((all) => all.map(shown))).toEqual([['a=1', '-a'], ['ann=1']])
  })

  test.each(['inline', 'async'] as const)(
    'changes() reports what other processes store when the store reports it: %s',
    async (consistency) => {
      const store = reporting(memoryStore())
      const [app, other] = [ticketApp(store, { consistency, pollMs: 5 }), ticketApp(store, { consistency })].map(kept)
      if (app === undefined || other === undefined) throw new Error('no apps')
      await other.aggregates.ticket.execute('a', give('ann', 1))
      await other.drain()
      const [tickets, owners] = [live(app.views.tickets.changes()), live(app.views.owners.changes())]
      // Of an aggregate that comes first every row is reported.
      const first = [taken(tickets, 1), taken(owners, 3)]
      await Promise.all([app.views.tickets.find(), app.views.owners.find()])
      // Two events in one page of the store, of which only the last is named.
      await other.aggregates.ticket.execute('a', give('bob', 2))
      await other.aggregates.ticket.execute('a', give('cy', 3))
      await other.drain()
      const [ticketsSeen, ownersSeen] = (await Promise.all(first as Promise<never[]>[])).map((all) => all.map(shown))
      expect(ticketsSeen?.at(-1)).toMatch(/^a=[23]$/)
      expect([...(ownersSeen ?? [])].sort()).toEqual(['ann=1', 'bob=2', 'cy=3'])
    },
  )
})
