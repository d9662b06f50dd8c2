import type { Position } from '../event-envelope.ts'
import { comparePositions } from '../store/order.ts'
import type { FeedPage, Store } from '../store/store.ts'
import { commit, deposit, range, saveViews, view } from './build.ts'
import { type Body, type Cases, globalOrder, when } from './case.ts'
import { conflicts, equal, holds, rejects, send, stores } from './check.ts'
import { grow, idsOf, lease, readAll, readLog } from './read.ts'

const ordered = (cases: Readonly<Record<string, Body>>): Cases =>
  Object.fromEntries(Object.entries(cases).map(([name, body]) => [name, when(globalOrder, body)]))

export const feedCases: Cases = ordered({
  'an empty log has no position and no events': async ({ store }) => {
    equal('page', await store.readFeed({ limit: 10 }), { events: [], position: undefined, more: false })
    equal('last position', await store.lastPosition(), undefined)
    conflicts(await send(store, deposit('a', 3)), 'sequence')
    await stores(store, saveViews(view('row', 0, {})))
    equal('events after a conflict and a view', await readLog(store), [])
  },

  'the feed has all events in commit order, equal to those of their aggregates': async ({ store }) => {
    const ids = ['c', 'a', 'b']
    for (const i of range(9)) await stores(store, deposit(ids[i % 3] as string, Math.floor(i / 3) * 2, 2))
    const log = await readLog(store)
    const expected = range(9).flatMap((i) => [1, 2].map((n) => `account/${ids[i % 3]}/${Math.floor(i / 3) * 2 + n}`))
    equal('ids', idsOf(log), expected)
    holds('positions grow', grow(log))
    for (const id of ids)
      equal(
        `events of '${id}'`,
        log.filter(({ aggregateId }) => aggregateId === id),
        (await readAll(store, id)).events,
      )
  },

  'pages of any size have every event once, and the last one reports no more': async ({ store }) => {
    for (const i of range(10)) await stores(store, deposit(`account-${i % 3}`, Math.floor(i / 3) * 3, 3))
    const all = idsOf(await readLog(store))
    equal('number of events', all.length, 30)
    for (const limit of [1, 2, 7, 29, 30, 31]) {
      const pages = await readPages(store, limit)
      equal(
        `in pages of ${limit}`,
        pages.flatMap(({ events }) => idsOf(events)),
        all,
      )
      holds(
        `no page above ${limit}`,
        pages.every(({ events }) => events.length <= limit),
      )
    }
  },

  'a log of several megabytes is read to the last event': async ({ store }) => {
    const { bytesPerEvent, bytesPerCommit } = store.capabilities
    const text = 'x'.repeat(Math.min(100_000, bytesPerEvent / 2, bytesPerCommit / 2))
    for (const i of range(40))
      await stores(
        store,
        commit({ appends: [{ aggregateId: `a-${i % 3}`, at: Math.floor(i / 3), events: [{ data: { i, text } }] }] }),
      )
    const only = [{ aggregateType: 'account', eventTypes: ['MoneyDeposited'] }]
    for (const [what, rest] of Object.entries({ all: {}, filtered: { only } })) {
      const log = await readLog(store, rest)
      equal(
        what,
        log.map(({ data }) => (data as { i: number }).i),
        range(40),
      )
      holds(
        `${what}: each with its data`,
        log.every(({ data }) => (data as { text: string }).text === text),
      )
    }
  },

  'a page continues after the position of any event': async ({ store }) => {
    await stores(store, deposit('a', 0, 3), deposit('b', 0, 2), deposit('a', 3))
    const log = await readLog(store)
    for (const [i, event] of log.entries()) {
      if (event.position === undefined) throw new Error('an event of the feed has a position')
      equal(`behind event ${i}`, await readLog(store, { after: event.position }), log.slice(i + 1))
    }
  },

  'a page at the end has no events and keeps its position': async ({ store }) => {
    await stores(store, deposit('a', 0, 3))
    const { position } = await store.readFeed({ limit: 10 })
    if (position === undefined) throw new Error('a page with events has a position')
    const { last: _, ...page } = await store.readFeed({ after: position, limit: 10 })
    equal('page', page, { events: [], position, more: false })
    await stores(store, deposit('a', 3))
    equal('the next event', idsOf((await store.readFeed({ after: position, limit: 10 })).events), ['account/a/4'])
  },

  'the last position is the end of what the feed can read': async ({ store }) => {
    const positions = await stores(store, deposit('a', 0, 3), deposit('b', 0))
    const last = await store.lastPosition()
    if (last === undefined) throw new Error('a log with events has a last position')
    holds('it is not before the last event', comparePositions(last, positions.at(-1) as Position) >= 0)
    equal('behind it', await readLog(store, { after: last }), [])
    await stores(store, deposit('a', 3))
    equal('behind it, later', idsOf(await readLog(store, { after: last })), ['account/a/4'])
  },

  'the end of the log is not before any stored event, and the feed reaches it': async ({ store }) => {
    equal('end of an empty log', await store.endPosition(), undefined)
    const positions = await stores(store, deposit('a', 0, 3), deposit('b', 0))
    const end = await store.endPosition()
    if (end === undefined) throw new Error('a log with events has an end')
    holds('it is not before the last event', comparePositions(end, positions.at(-1) as Position) >= 0)
    const { position } = await store.readFeed({ limit: 100 })
    holds('the feed comes to it', position !== undefined && comparePositions(position, end) >= 0)
  },

  'a position past the end of the log is refused': async ({ store }) => {
    const past = (position: Position | undefined) => String(BigInt(position ?? 0) + 1_000_000n) as Position
    await rejects('a read of an empty log', 'STORE_BEHIND', () => store.readFeed({ after: past(undefined), limit: 10 }))
    await stores(store, deposit('a', 0, 3))
    const after = past(await store.lastPosition())
    await rejects('a read past the end', 'STORE_BEHIND', () => store.readFeed({ after, limit: 10 }))
    const only = [{ aggregateType: 'order' }]
    await rejects('a read with `only`', 'STORE_BEHIND', () => store.readFeed({ after, limit: 10, only }))
  },

  'a page names the last event up to its position even if `only` excludes it': async ({ store }) => {
    const sent = range(4).map((i) => deposit('a', i))
    const positions = await stores(store, ...sent)
    const nth = (i: number) => ({ position: positions[i], commitId: sent[i]?.id })
    equal('of all', (await store.readFeed({ limit: 10 })).last, nth(3))
    equal('of two', (await store.readFeed({ limit: 2 })).last, nth(1))
    const only = [{ aggregateType: 'order' }]
    const passed = await store.readFeed({ limit: 10, only })
    equal('of another type', [passed.events, passed.last], [[], nth(3)])
  },

  'the feed continues after an event that it has and refuses one that it does not have': async ({ store }) => {
    const sent = [deposit('a', 0), deposit('a', 1), deposit('a', 2)]
    await stores(store, ...sent)
    const { position: after, last: confirm } = await store.readFeed({ limit: 2 })
    if (after === undefined || confirm === undefined) throw new Error('a page with events has a position and a last event')
    equal('behind it', idsOf((await store.readFeed({ after, confirm, limit: 10 })).events), ['account/a/3'])
    const only = [{ aggregateType: 'order' }]
    equal('of another type', (await store.readFeed({ after, confirm, only, limit: 10 })).events, [])
    for (const other of [
      { ...confirm, commitId: 'another' },
      { ...confirm, commitId: sent[0]?.id ?? '' },
      { position: String(BigInt(confirm.position) + 1_000_000n) as Position, commitId: confirm.commitId },
    ]) {
      await rejects('the read', 'STORE_BEHIND', () => store.readFeed({ after, confirm: other, limit: 10 }))
      await rejects('a read with `only`', 'STORE_BEHIND', () => store.readFeed({ after, confirm: other, only, limit: 10 }))
    }
  },

  '`only` excludes all other aggregate types and event types': async ({ store }) => {
    await saveMixed(store, 12)
    const read = async (only: Parameters<Store['readFeed']>[0]['only'], limit = 5) =>
      (await readLog(store, { limit, ...(only && { only }) })).map(({ aggregateType, type }) => `${aggregateType} ${type}`)
    const all = await read(undefined)
    equal('all', all.length, 48)
    equal(
      'one type',
      await read([{ aggregateType: 'order' }]),
      all.filter((one) => one.startsWith('order ')),
    )
    equal(
      'one event type',
      await read([{ aggregateType: 'order', eventTypes: ['Opened'] }]),
      all.filter((one) => one === 'order Opened'),
    )
    const two = [
      { aggregateType: 'order', eventTypes: ['Opened', 'constructor'] },
      { aggregateType: 'account', eventTypes: ['toString'] },
    ]
    equal(
      'several of two types',
      await read(two),
      all.filter((one) => ['order Opened', 'order constructor', 'account toString'].includes(one)),
    )
    equal(
      'one type whole, one in part',
      await read([{ aggregateType: 'account' }, { aggregateType: 'order', eventTypes: ['Opened'] }]),
      all.filter((one) => one !== 'order constructor'),
    )
    equal(
      'one type twice',
      await read([{ aggregateType: 'order', eventTypes: ['Opened'] }, { aggregateType: 'order' }]),
      await read([{ aggregateType: 'order' }]),
    )
    equal('no event types', await read([{ aggregateType: 'order', eventTypes: [] }]), [])
    equal('nothing at all', await read([]), [])
    equal(
      'unknown ones',
      await read([{ aggregateType: 'unknown' }, { aggregateType: 'order', eventTypes: ['opened', '__proto__'] }]),
      [],
    )
    equal(
      'one event in each page',
      await read([{ aggregateType: 'order', eventTypes: ['Opened'] }], 1),
      all.filter((one) => one === 'order Opened'),
    )
  },

  'a page that `only` leaves empty still moves on': async ({ store }) => {
    await saveMixed(store, 100)
    const last = await store.lastPosition()
    let after: Position | undefined
    for (let more = true, pages = 0; more; pages++) {
      const page: FeedPage = await store.readFeed({
        limit: 10,
        only: [{ aggregateType: 'unknown' }],
        ...(after !== undefined && { after }),
      })
      equal('events', page.events, [])
      holds('it moves on, or says there is no more', page.position !== after || !page.more)
      holds('it comes to an end', pages < 1_000)
      after = page.position
      more = page.more
    }
    equal('position', after, last)
  },

  'a reader with a checkpoint continues where another one stopped': async (database) => {
    const fence = await lease(database.store, 'mailer')
    for (const i of range(12)) await stores(database.store, deposit(`account-${i % 4}`, Math.floor(i / 4)))
    const seen: string[] = []
    for (let more = true; more; ) {
      const store = await database.connect()
      const after = (await store.readCheckpoint('mailer'))?.position as Position | undefined
      const page = await store.readFeed({ limit: 5, ...(after !== undefined && { after }) })
      seen.push(...idsOf(page.events))
      more = page.more
      if (page.position !== undefined)
        await stores(store, commit({ checkpoint: { name: 'mailer', fence, position: page.position } }))
    }
    equal('seen', seen, idsOf(await readLog(database.store)))
  },
})

async function readPages(store: Store, limit: number): Promise<readonly FeedPage[]> {
  const pages: FeedPage[] = []
  for (let more = true; more; ) {
    const after = pages.at(-1)?.position
    const page = await store.readFeed({ limit, ...(after !== undefined && { after }) })
    holds('a page with more to come has moved on', !page.more || page.position !== after)
    pages.push(page)
    more = page.more
  }
  return pages
}

/** Stores events of two accounts and two orders in turn, four per round. */
async function saveMixed(store: Store, rounds: number) {
  const types = ['Opened', 'toString', 'Opened', 'constructor']
  await store.append(
    range(rounds * 4).map((i) => {
      const aggregateType = i % 4 < 2 ? 'account' : 'order'
      const at = Math.floor(i / 4) * 2 + (i % 2)
      return commit({ appends: [{ aggregateType, aggregateId: 'a', at, events: [{ type: types[i % 4] as string }] }] })
    }),
  )
}
