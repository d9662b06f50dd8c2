import { setTimeout } from 'node:timers/promises'
import type { Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { atStrength } from '../strength.ts'
import { keeping } from '../support/keeping.ts'
import { liveStory } from '../support/live-stories.ts'
import { onSqlite } from '../support/sqlite.ts'
import { counting } from '../support/stores.ts'
import { drop, give, see, shown, taken, ticketApp } from '../support/tickets.ts'

const kept = keeping()

const stores: readonly [string, () => Promise<Store>][] = [
  ['memory', async () => memoryStore()],
  ['SQLite', onSqlite],
]

describe.each(stores)('changes() on %s', (_, open) => {
  test('changes() reports each stored row once in an app that was never started', async () => {
    const app = kept(ticketApp(await open()))
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    const first = taken(changes, 3)
    const { ticket } = app.aggregates
    await ticket.execute('a', give('ann', 1))
    await ticket.execute('b', give('bob', 2))
    await ticket.execute('a', see)
    await ticket.execute('b', drop)
    expect((await first).map(shown)).toEqual(['a=1', 'b=2', '-b'])
    await ticket.execute('c', give('cy', 3))
    expect(await taken(changes, 1)).toEqual([
      { kind: 'changed', id: 'c', view: { owner: 'cy', points: 3 }, version: 1, cursor: '1.5' },
    ])
  })

  test('changes() finds what other processes store by polling', async () => {
    const store = await open()
    const app = kept(ticketApp(store, { pollMs: 5 }))
    const changes = app.views.owners.changes()[Symbol.asyncIterator]()
    const first = taken(changes, 1)
    await kept(ticketApp(store)).aggregates.ticket.execute('a', give('ann', 1))
    expect((await first).map(shown)).toEqual(['ann=1'])
  })

  test('changes() gives a slow listener the latest content of each row only', async () => {
    const app = kept(ticketApp(await open()))
    const { ticket } = app.aggregates
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    const first = changes.next()
    for (let points = 1; points <= 20; points++) for (const id of ['a', 'b']) await ticket.execute(id, give('ann', points))
    await first
    const other = app.views.tickets.changes()[Symbol.asyncIterator]()
    const next = other.next()
    await ticket.execute('c', give('ann', 1))
    await next
    const rest = await taken(changes, 3)
    expect(rest.map(shown).sort()).toEqual(['a=20', 'b=20', 'c=1'])
  })

  test('changes() reports a row that no longer matches where as gone, once', async () => {
    const app = kept(ticketApp(await open()))
    const { ticket } = app.aggregates
    await ticket.execute('a', give('ann', 5))
    const changes = app.views.tickets.changes({ where: { owner: 'ann', points: { gte: 3 } } })[Symbol.asyncIterator]()
    const all: string[] = []
    const step = async (id: string, command: ReturnType<typeof give>) => {
      const next = taken(changes, 1)
      await ticket.execute(id, command)
      all.push(...(await next).map(shown))
    }
    await step('a', give('bob', 5))
    await ticket.execute('a', give('bob', 6))
    await step('b', give('ann', 3))
    await step('b', give('ann', 2))
    await step('a', give('ann', 7))
    expect(all).toEqual(['-a', 'b=3', '-b', 'a=7'])
  })

  test('changes() of an async view reports rows once projected, whichever process runs the view', async () => {
    const store = await open()
    const app = kept(ticketApp(store, { consistency: 'async', pollMs: 5 }))
    const other = kept(ticketApp(store, { consistency: 'async' }))
    await app.aggregates.ticket.execute('a', give('ann', 1))
    // Stored before, and shown after: it is in neither unless the changes begin where the view is.
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    expect((await app.views.tickets.find()).items).toEqual([])
    const first = taken(changes, 1)
    await app.aggregates.ticket.execute('b', give('ann', 2))
    await other.drain()
    expect((await first).map(shown)).toEqual(['a=1'])
    expect((await taken(changes, 1)).map(shown)).toEqual(['b=2'])
    const third = taken(changes, 1)
    await app.aggregates.ticket.execute('c', give('ann', 3))
    await app.drain()
    expect((await third).map(shown)).toEqual(['c=3'])
  })

  test('changes() of an async view in the same process reports rows at once, without polling', async () => {
    const app = kept(ticketApp(await open(), { consistency: 'async', pollMs: 600_000 }))
    await app.start()
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    for (const points of [1, 2, 3]) {
      // Far beyond what it takes, and far below the next poll.
      const next = Promise.race([taken(changes, 1), setTimeout(30_000, [], { ref: false })])
      await app.aggregates.ticket.execute('a', give('ann', points))
      expect((await next).map(shown)).toEqual([`a=${points}`])
    }
  })

  test('changes() reports a reload after a switch to rebuilt rows, also by another process', async () => {
    const store = await open()
    const app = kept(ticketApp(store, { pollMs: 5 }))
    const other = kept(ticketApp(store))
    await app.aggregates.ticket.execute('a', give('ann', 1))
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    /** Takes reports up to one of these; what was stored about the time of a switch may be reported or not. */
    const upTo = async (...ends: string[]) => {
      for (;;) {
        const [report = ''] = (await taken(changes, 1)).map(shown)
        if (ends.includes(report)) return report
      }
    }
    const first = upTo('reload:rebuilt', 'b=1')
    await app.views.tickets.find()
    await app.views.tickets.rebuild()
    await app.aggregates.ticket.execute('b', give('ann', 1))
    expect(await first).toBe('reload:rebuilt')
    await other.views.tickets.rebuild()
    await other.aggregates.ticket.execute('b', give('ann', 2))
    expect(await upTo('reload:rebuilt', 'b=2')).toBe('reload:rebuilt')
    await other.aggregates.ticket.execute('b', give('ann', 3))
    expect(await upTo('reload:rebuilt', 'b=3')).toBe('b=3')
  })

  test('changes() continues after a cursor or reports why it cannot', async () => {
    const app = kept(ticketApp(await open()))
    const { ticket } = app.aggregates
    for (const id of ['a', 'b', 'c']) await ticket.execute(id, give('ann', 1))
    const from = (after: string, count: number) => taken(app.views.tickets.changes({ after })[Symbol.asyncIterator](), count)
    expect((await from('1.1', 2)).map(shown)).toEqual(['b=1', 'c=1'])
    for (const after of ['1.4', 'nonsense', '', '1.x', '3'])
      expect(await from(after, 1)).toEqual([{ kind: 'reload', because: 'too-old', cursor: '1.3' }])
    await app.views.tickets.rebuild()
    expect((await from('1.1', 3)).map(shown)).toEqual(['reload:rebuilt', 'b=1', 'c=1'])
    await expect(async () => app.views.tickets.changes({ after: 3 as never })).rejects.toMatchObject({ code: 'VALIDATION' })
  })

  test('changes() after the cursor of a change omits no row that was not reported yet', async () => {
    const app = kept(ticketApp(await open()))
    const { ticket } = app.aggregates
    const changes = app.views.tickets.changes()[Symbol.asyncIterator]()
    const seen = changes.next()
    await ticket.execute('z', give('ann', 1))
    await seen
    const watch = app.views.tickets.changes()[Symbol.asyncIterator]()
    for (const id of ['a', 'b', 'c']) {
      const told = watch.next()
      await ticket.execute(id, give('ann', 1))
      await told
    }
    const [a] = await taken(changes, 1)
    expect(shown(a as never)).toBe('a=1')
    const again = app.views.tickets.changes({ after: (a as { cursor: string }).cursor })[Symbol.asyncIterator]()
    const next = taken(again, 2)
    for (const id of ['d', 'e']) await ticket.execute(id, give('ann', 1))
    expect((await next).map(shown)).toEqual(['b=1', 'c=1'])
  })

  test('1,000 listeners cost as many reads as one, and no listener costs none', async () => {
    const calls: string[] = []
    const app = kept(ticketApp(counting(await open(), calls), { pollMs: 5 }))
    const { ticket } = app.aggregates
    const count = (name: string) => calls.filter((one) => one === name).length
    const callsOf = async (work: () => unknown) => {
      calls.length = 0
      await work()
      await setTimeout(100)
      return [...calls]
    }
    app.views.tickets.changes()
    await app.views.tickets.find()
    expect(await callsOf(() => {})).toEqual([])
    await callsOf(() => ticket.execute('a', give('ann', 1)))
    const readsAlone = count('readViews')
    calls.length = 0
    const all = Array.from({ length: 1_000 }, () => app.views.tickets.changes()[Symbol.asyncIterator]())
    await app.views.tickets.find()
    expect(count('lastPosition')).toBe(1)
    let first: Promise<unknown>[] = []
    await callsOf(() => {
      first = all.map((one) => one.next())
    })
    expect((await callsOf(() => {})).filter((name) => name !== 'readFeed')).toEqual([])
    await callsOf(() => ticket.execute('b', give('ann', 1)).then(() => Promise.all(first)))
    expect(count('readViews')).toBe(readsAlone + 1)
    await callsOf(() => Promise.all(all.map((one) => one.return?.())))
    expect(await callsOf(() => {})).toEqual([])
  })
})

describe('an iteration over changes()', () => {
  test('an iteration over changes() ends with its signal, with break and with the app', async () => {
    const app = ticketApp(memoryStore())
    const ending = new AbortController()
    const iterations = [app.views.tickets.changes({ signal: ending.signal }), app.views.tickets.changes()].map((changes) =>
      changes[Symbol.asyncIterator](),
    )
    const ends = iterations.map((one) => one.next())
    ending.abort()
    expect(await ends[0]).toEqual({ done: true, value: undefined })
    const loop = (async () => {
      for await (const change of app.views.tickets.changes()) return shown(change)
      return 'nothing'
    })()
    await app.aggregates.ticket.execute('a', give('ann', 1))
    expect([await loop, (await ends[1])?.value]).toMatchObject(['a=1', { id: 'a' }])
    const last = iterations[1]?.next()
    await app.close()
    expect([await last, await iterations[1]?.next()]).toEqual(Array(2).fill({ done: true, value: undefined }))
    expect(() => app.views.tickets.changes()).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })
})

test.each(
  stores.flatMap(([name, open]) => (['inline', 'async'] as const).map((consistency) => [consistency, name, open] as const)),
)('find() and changes() of an %s view on %s miss nothing while other processes write', async (consistency, _, open) => {
  for (let seed = 1; seed <= atStrength({ moderate: 4, full: 200 }); seed++) {
    const store = await open()
    const told = await liveStory({ connect: async () => store, consistency, seed, commands: 40 })
    for (const { kept, found } of told) expect({ seed, rows: sorted(kept) }).toEqual({ seed, rows: sorted(found) })
  }
})

const sorted = (rows: ReadonlyMap<string, unknown>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1))
