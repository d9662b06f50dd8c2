import type { Store } from '../store/store.ts'
import { deposit, range, saveViews, view, viewKey } from './build.ts'
import { type Cases, items, when } from './case.ts'
import { conflicts, equal, kinds, send, stores } from './check.ts'
import { findIds, readView, sequences } from './read.ts'

export const viewCases: Cases = {
  'the first save inserts a view and later ones update it, with versions 1, 2, 3': async ({ store }) => {
    for (const at of range(3)) {
      equal('positions', await stores(store, saveViews(view('row', at, { n: at }))), [])
      equal('view', await readView(store, 'row'), { ...viewKey('row'), version: at + 1, view: { n: at } })
    }
  },

  'a save from a version other than the last is a conflict and keeps the row': async ({ store }) => {
    await stores(store, saveViews(view('row', 0, { n: 1 })), saveViews(view('row', 1, { n: 2 })))
    for (const at of [0, 1, 3, 99]) conflicts(await send(store, saveViews(view('row', at, { n: 9 }))), 'view')
    conflicts(await send(store, saveViews(view('unknown', 1, {}))), 'view')
    equal('view', await readView(store, 'row'), { ...viewKey('row'), version: 2, view: { n: 2 } })
    equal('unknown', await readView(store, 'unknown'), undefined)
  },

  'readViews returns undefined for a missing view and keeps the order of its keys': async ({ store }) => {
    await stores(store, saveViews(view('a', 0, 1), view('b', 0, 2)))
    const rows = await store.readViews([
      viewKey('b'),
      viewKey('unknown'),
      viewKey('a'),
      viewKey('b'),
      viewKey('a', { name: 'other' }),
    ])
    equal(
      'answers',
      rows.map((row) => row?.view ?? 'nothing'),
      [2, 'nothing', 1, 2, 'nothing'],
    )
    equal('no keys', await store.readViews([]), [])
    const many = await store.readViews(range(250).map((i) => viewKey(i === 200 ? 'a' : `unknown-${i}`)))
    equal('of 250 keys', [many.length, many.findIndex((row) => row !== undefined)], [250, 200])
  },

  'a stale view leaves the events of its commit unstored': async ({ store }) => {
    await stores(store, deposit('a', 0, 1, { views: [view('row', 0, { n: 1 })] }))
    conflicts(await send(store, deposit('a', 1, 2, { views: [view('row', 0, { n: 2 })] })), 'view')
    equal('sequences', await sequences(store, 'a'), [1])
    equal('view', (await readView(store, 'row'))?.view, { n: 1 })
    await stores(store, deposit('a', 1, 2, { views: [view('row', 1, { n: 3 })] }))
  },

  'one stale view leaves all views of its commit unchanged': when(items(10), async ({ store }) => {
    await stores(store, saveViews(view('c', 0, 'old')))
    const ids = ['a', 'b', 'c', 'd']
    conflicts(await send(store, saveViews(...ids.map((id) => view(id, 0, 'new')))), 'view')
    equal('views', await Promise.all(ids.map(async (id) => (await readView(store, id))?.view)), [
      undefined,
      undefined,
      'old',
      undefined,
    ])
  }),

  'the later of two aggregates that save one view row conflicts and stores nothing': async (database) => {
    const other = await database.connect()
    await stores(database.store, deposit('a', 0, 1, { views: [view('total', 0, { n: 1 })] }))
    conflicts(await send(other, deposit('b', 0, 1, { views: [view('total', 0, { n: 1 })] })), 'view')
    equal('sequences', await sequences(database.store, 'b'), [])
    await stores(other, deposit('b', 0, 1, { views: [view('total', 1, { n: 2 })] }))
    equal('view', await readView(database.store, 'total'), { ...viewKey('total'), version: 2, view: { n: 2 } })
  },

  'one of eight concurrent aggregates that save one view row is stored': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(10)) {
      const commits = range(8).map((i) => deposit(`${round}-${i}`, 0, 1, { views: [view('total', round, { n: i })] }))
      const outcomes = await Promise.all(commits.map((one, i) => send(connections[i % 2] as Store, one)))
      equal('winners', kinds(outcomes).filter((kind) => kind === 'stored').length, 1)
      for (const outcome of outcomes) if (outcome.kind !== 'stored') conflicts(outcome, 'view')
      const winner = outcomes.findIndex(({ kind }) => kind === 'stored')
      equal('view', await readView(database.store, 'total'), { ...viewKey('total'), version: round + 1, view: { n: winner } })
      const found = await Promise.all(range(8).map(async (i) => (await sequences(database.store, `${round}-${i}`)).length))
      equal(
        'events',
        found,
        range(8).map((i) => (i === winner ? 1 : 0)),
      )
    }
  },

  'a deleted view keeps its version and sequence and is no longer found': async ({ store }) => {
    const indexes = [{ index: 'owner', value: '4ann' }]
    const where = [{ index: 'owner', is: '=' as const, value: '4ann' }]
    await stores(store, saveViews(view('row', 0, { n: 1 }, { sequence: 1, indexes })))
    await stores(store, saveViews(view('row', 1, null, { sequence: 2 })))
    equal('view', await readView(store, 'row'), { ...viewKey('row'), version: 2, view: null, sequence: 2 })
    equal('found', [await findIds(store), await findIds(store, { where })], [[], []])
  },

  'a deleted view is saved again only from its own version, not from 0': async ({ store }) => {
    await stores(store, saveViews(view('row', 0, { n: 1 })), saveViews(view('row', 1, null)))
    for (const at of [0, 1]) conflicts(await send(store, saveViews(view('row', at, { n: 1 }))), 'view')
    await stores(store, saveViews(view('row', 2, { n: 2 })))
    equal('view', await readView(store, 'row'), { ...viewKey('row'), version: 3, view: { n: 2 } })
    equal('found', await findIds(store), ['row'])
  },

  'a deleted view that is saved again is found only by its new values': async ({ store }) => {
    const found = (index: string) => findIds(store, { where: [{ index, is: '>=', value: '0' }] })
    const indexes = (...names: readonly string[]) => ({ indexes: names.map((index) => ({ index, value: '4x' })) })
    await stores(store, saveViews(view('row', 0, {}, indexes('a', 'b'))), saveViews(view('row', 1, null)))
    await stores(store, saveViews(view('row', 2, {}, indexes('b', 'c'))))
    equal('found', [await found('a'), await found('b'), await found('c')], [[], ['row'], ['row']])
  },

  'the deletion of a view that never existed stores its watermark': async ({ store }) => {
    await stores(store, saveViews(view('row', 0, null, { sequence: 4 })))
    equal('view', await readView(store, 'row'), { ...viewKey('row'), version: 1, view: null, sequence: 4 })
    conflicts(await send(store, saveViews(view('row', 0, {}))), 'view')
    equal('found', await findIds(store), [])
  },

  'the sequence of a view is that of its last save': async ({ store }) => {
    const sequence = async () => (await readView(store, 'row'))?.sequence
    await stores(store, saveViews(view('row', 0, {}, { sequence: 7 })))
    equal('at first', await sequence(), 7)
    await stores(store, saveViews(view('row', 1, {}, { sequence: 9 })))
    equal('saved with another', await sequence(), 9)
    await stores(store, saveViews(view('row', 2, {})))
    equal('saved without', await sequence(), undefined)
  },

  'a view may be any JSON': async ({ store }) => {
    const views = [false, 0, '', [], {}, 'null', [null], { a: { b: [null] } }]
    for (const [at, content] of views.entries()) {
      await stores(store, saveViews(view('row', at, content)))
      equal('view', (await readView(store, 'row'))?.view, content)
      equal('found', await findIds(store), ['row'])
    }
  },

  'views are distinct even if name, generation and id read the same together': async ({ store }) => {
    const keys = ['', ':', '/', '#', '|', '_', ' '].flatMap((glue) => [
      viewKey('b', { name: `a${glue}1${glue}1` }),
      viewKey(`1${glue}b`, { name: `a${glue}1` }),
      viewKey(`1${glue}1${glue}b`, { name: 'a' }),
      viewKey(`${glue}1${glue}b`, { name: 'a' }),
    ])
    const distinct = [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()]
    for (const [i, key] of distinct.entries()) await stores(store, saveViews({ ...key, expectedVersion: 0, view: i }))
    const rows = await store.readViews(distinct)
    equal(
      'views',
      rows.map((row) => row?.view),
      [...distinct.keys()],
    )
    equal(
      'their keys',
      rows.map((row) => row && { name: row.name, generation: row.generation, id: row.id }),
      distinct,
    )
  },
}
