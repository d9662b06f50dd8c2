import { compareBytes } from '../store/order.ts'
import type { Store } from '../store/store.ts'
import { commit, deposit, range } from './build.ts'
import { bytes, type Cases, when } from './case.ts'
import { equal, holds, send, stores } from './check.ts'
import { readAll, sequences, sequencesOf } from './read.ts'

export const readCases: Cases = {
  'a read of an unknown aggregate returns an empty page': async ({ store }) => {
    await stores(store, deposit('a', 0))
    const request = { aggregateType: 'account', aggregateId: 'unknown', after: 0, snapshot: { stateVersion: '1' } }
    equal('page', await store.readAggregate(request), { events: [], more: false })
    equal('page of another type', await store.readAggregate({ ...request, aggregateType: 'order', aggregateId: 'a' }), {
      events: [],
      more: false,
    })
  },

  'a read starts after `after` and ends with `upTo`': async ({ store }) => {
    await stores(store, deposit('a', 0, 9))
    equal('after 6', await sequences(store, 'a', { after: 6 }), [7, 8, 9])
    equal('up to 3', await sequences(store, 'a', { upTo: 3 }), [1, 2, 3])
    equal('after 3 up to 5', await sequences(store, 'a', { after: 3, upTo: 5 }), [4, 5])
    equal('up to more than there is', await sequences(store, 'a', { after: 7, upTo: 99 }), [8, 9])
    equal('after the end', await sequences(store, 'a', { after: 9 }), [])
    equal('after more than there is', await sequences(store, 'a', { after: 99 }), [])
    equal('up to nothing', await sequences(store, 'a', { after: 4, upTo: 4 }), [])
  },

  'a page has at most `limit` events and reports whether there are more': async ({ store }) => {
    await stores(store, deposit('a', 0, 5))
    const page = (rest: object) => store.readAggregate({ aggregateType: 'account', aggregateId: 'a', after: 0, ...rest })
    const first = await page({ limit: 1 })
    equal('the first page', [sequencesOf(first.events), first.more], [[1], true])
    equal('the last page says so', (await page({ after: 4, limit: 1 })).more, false)
    equal('a page that ends with the last event says there is no more', (await readTo(store, 5, {})).more, false)
    equal('so does one that ends with `upTo`', (await readTo(store, 3, { upTo: 3 })).more, false)
    equal('an empty page says there is no more', (await page({ after: 5, limit: 3 })).more, false)
  },

  'pages of any size have every event once, in order': async ({ store }) => {
    await stores(store, deposit('a', 0, 20), deposit('b', 0), deposit('a', 20, 20), deposit('a', 40, 13))
    const all = range(53).map((i) => i + 1)
    for (const limit of [1, 2, 7, 52, 53, 54, 1_000]) equal(`in pages of ${limit}`, await sequences(store, 'a', { limit }), all)
    equal(
      'in pages of 7, from 10 to 30',
      await sequences(store, 'a', { limit: 7, after: 10, upTo: 30 }),
      range(20).map((i) => i + 11),
    )
  },

  'thousands of events are read to the last, with and without a limit': async ({ store }) => {
    await store.append(range(50).map((i) => deposit('a', i * 50, 50)))
    const all = range(2_500).map((i) => i + 1)
    equal('without a limit', await sequences(store, 'a'), all)
    equal('with a limit', await sequences(store, 'a', { limit: 999 }), all)
  },

  'an aggregate of several megabytes is read to the last event': when(bytes(100_000), async ({ store }) => {
    const text = 'x'.repeat(100_000)
    for (const i of range(40))
      await stores(store, commit({ appends: [{ aggregateId: 'a', at: i, events: [{ data: { text, i } }] }] }))
    const { events } = await readAll(store, 'a')
    equal(
      'sequences',
      sequencesOf(events),
      range(40).map((i) => i + 1),
    )
    holds(
      'each with its data',
      events.every(({ data }, i) => (data as { i: number }).i === i && (data as { text: string }).text === text),
    )
  }),

  'aggregates with interleaved events are read separately and in order': async ({ store }) => {
    const ids = ['c', 'a', 'b', 'aa']
    const all = range(12).map((i) => i + 1)
    for (const round of range(6)) for (const id of ids) await stores(store, deposit(id, round * 2, 2))
    for (const id of ids) {
      const { events } = await readAll(store, id)
      equal(`sequences of '${id}'`, sequencesOf(events), all)
      equal(`ids in the events of '${id}'`, [...new Set(events.map(({ aggregateId }) => aggregateId))], [id])
      equal(`sequences of '${id}' in pages`, await sequences(store, id, { limit: 5 }), all)
    }
  },

  'aggregates are distinct even if type and id read the same together': async ({ store }) => {
    const pairs = ['', '-', '#', '|', '_', '.', ' ', '\u001f'].flatMap((glue) => [
      [`ab${glue}`, 'c'],
      ['a', `b${glue}c`],
      [`a${glue}b`, 'c'],
      ['a', `${glue}b${glue}c`],
    ])
    const distinct = [...new Map(pairs.map((pair) => [JSON.stringify(pair), pair])).values()] as [string, string][]
    for (const [i, [aggregateType, aggregateId]] of distinct.entries()) {
      await stores(store, commit({ appends: [{ aggregateType, aggregateId, at: 0, events: [{ data: i }] }] }))
    }
    for (const [i, [aggregateType, aggregateId]] of distinct.entries()) {
      const { events } = await readAll(store, aggregateId, { aggregateType })
      equal(
        `data of ${aggregateType}, ${aggregateId}`,
        events.map(({ data }) => data),
        [i],
      )
    }
  },

  'a connection reads at once what another one has stored': async (database) => {
    const other = await database.connect()
    for (const i of range(10)) {
      await stores(database.store, deposit('a', i))
      equal(
        'sequences',
        await sequences(other, 'a'),
        range(i + 1).map((n) => n + 1),
      )
    }
  },

  'readIds returns the ids of aggregates with events of a type in byte order': async ({ store }) => {
    const ids = ['b', 'a', 'B', 'é', '\u{1f600}', '\uff5e', 'a b', 'ab', '__proto__', '10', '9']
    for (const aggregateId of ids) await stores(store, deposit(aggregateId, 0, 2))
    await stores(store, commit({ appends: [{ aggregateType: 'order', aggregateId: 'other', at: 0 }] }))
    await send(store, deposit('conflict', 3))
    const sorted = [...ids].sort(compareBytes)
    equal('in one page', await store.readIds({ aggregateType: 'account', limit: 100 }), { items: sorted, more: false })
    equal('in one full page', await store.readIds({ aggregateType: 'account', limit: ids.length }), {
      items: sorted,
      more: false,
    })
    for (const limit of [1, 2, 4]) equal(`in pages of ${limit}`, await readIds(store, limit), sorted)
    equal('of an unknown type', await store.readIds({ aggregateType: 'unknown', limit: 5 }), { items: [], more: false })
    equal('after the last', await store.readIds({ aggregateType: 'account', after: '\u{10ffff}', limit: 5 }), {
      items: [],
      more: false,
    })
    equal('after one that does not exist', (await store.readIds({ aggregateType: 'account', after: 'aa', limit: 1 })).items, [
      'ab',
    ])
  },
}

/** Reads the page that ends with `sequence`, with a limit of exactly the events that are left. */
async function readTo(store: Store, sequence: number, rest: { upTo?: number }) {
  const request = { aggregateType: 'account', aggregateId: 'a', ...rest }
  let page = await store.readAggregate({ ...request, after: 0, limit: sequence })
  for (let last = page.events.at(-1)?.sequence ?? sequence; last < sequence; last = page.events.at(-1)?.sequence ?? sequence) {
    page = await store.readAggregate({ ...request, after: last, limit: sequence - last })
  }
  return page
}

async function readIds(store: Store, limit: number): Promise<readonly string[]> {
  const items: string[] = []
  for (let more = true; more; ) {
    const after = items.at(-1)
    const page = await store.readIds({ aggregateType: 'account', limit, ...(after !== undefined && { after }) })
    holds(`a page has 1 to ${limit} ids`, page.items.length > 0 && page.items.length <= limit)
    holds('a page moves on', after === undefined || page.items.at(-1) !== after)
    items.push(...page.items)
    more = page.more
  }
  return items
}
