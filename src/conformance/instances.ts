import type { Commit, ViewWrite } from '../store/commit.ts'
import { encodeIndexValue } from '../store/index-value.ts'
import type { Store } from '../store/store.ts'
import { commit, deposit, range, saveViews, view } from './build.ts'
import type { Cases } from './case.ts'
import { conflicts, equal, send, stores } from './check.ts'
import { findIds, readView, sequences } from './read.ts'

const name = '~process/orders'
const longest = `~process/${'p'.repeat(180)}`

/** An instance of a process, due at a time. */
const instance = (id: string, at: number, due: string | undefined, rest: Partial<ViewWrite> = {}): ViewWrite =>
  view(
    id,
    at,
    { state: { id }, todo: [] },
    { name, indexes: due === undefined ? [] : [{ index: 'due/0', value: encodeIndexValue(due) }], ...rest },
  )

const dueUntil = (store: Store, until: string, rest: { readonly limit?: number; readonly name?: string } = {}) =>
  findIds(store, {
    name,
    where: [{ index: 'due/0', is: '<=', value: encodeIndexValue(until) }],
    orderBy: { index: 'due/0' },
    ...rest,
  })

/** A command of an instance: one event and the instance after it. */
const command = (aggregateId: string, sequence: number, row: ViewWrite): Commit =>
  deposit(aggregateId, sequence, 1, { views: [row] })

/** The rows that the library keeps for processes, in commits with events. */
export const instanceCases: Cases = {
  'an event and an internal row with an index are stored in one commit': async ({ store }) => {
    await stores(store, command('tea', 0, instance('o-1', 0, '')))
    equal('sequences', await sequences(store, 'tea'), [1])
    equal('row', (await readView(store, 'o-1', { name }))?.version, 1)
    equal('due', await dueUntil(store, ''), ['o-1'])
  },

  'an internal row that has moved keeps the event of its commit from being stored': async ({ store }) => {
    await stores(store, saveViews(instance('o-1', 0, '')), saveViews(instance('o-1', 1, '~')))
    conflicts(await send(store, command('tea', 0, instance('o-1', 1, ''))), 'view')
    equal('sequences', await sequences(store, 'tea'), [])
    equal('due', await dueUntil(store, ''), [])
    await stores(store, command('tea', 0, instance('o-1', 2, '')))
  },

  'one of eight concurrent commits with the same internal row is stored, with its event': async (database) => {
    const connections = [database.store, await database.connect()]
    await stores(database.store, saveViews(instance('o-1', 0, '')))
    const outcomes = await Promise.all(
      range(8).map((i) => send(connections[i % 2] as Store, command(`item-${i}`, 0, instance('o-1', 1, '~')))),
    )
    equal('stored', outcomes.filter(({ kind }) => kind === 'stored').length, 1)
    const written = await Promise.all(range(8).map(async (i) => (await sequences(database.store, `item-${i}`)).length))
    equal(
      'events',
      written,
      outcomes.map(({ kind }) => (kind === 'stored' ? 1 : 0)),
    )
  },

  'a stale event is named before a stale internal row, and neither is stored': async ({ store }) => {
    await stores(store, deposit('tea', 0), saveViews(instance('o-1', 0, '')))
    conflicts(await send(store, command('tea', 0, instance('o-1', 0, ''))), 'sequence', 1)
    conflicts(await send(store, command('tea', 1, instance('o-1', 0, ''))), 'view')
    equal('sequences', await sequences(store, 'tea'), [1])
  },

  'two commits of one batch that build on one internal row are both stored': async ({ store }) => {
    const outcomes = await store.append([command('tea', 0, instance('o-1', 0, '')), command('cup', 0, instance('o-1', 1, '~'))])
    equal(
      'outcomes',
      outcomes.map(({ kind }) => kind),
      ['stored', 'stored'],
    )
    equal('row', (await readView(store, 'o-1', { name }))?.version, 2)
  },

  'a commit of an event and an internal row that is sent again is repeated': async ({ store }) => {
    const sent = command('tea', 0, instance('o-1', 0, ''))
    await stores(store, sent)
    equal('the outcome', (await send(store, sent)).kind, 'repeated')
    await stores(store, saveViews(instance('o-1', 1, '~')))
    equal('the outcome after another save', (await send(store, sent)).kind, 'repeated')
    equal('row', (await readView(store, 'o-1', { name }))?.version, 2)
  },

  'a commit of internal rows alone that is sent again is a conflict': async ({ store }) => {
    const sent = saveViews(instance('o-1', 0, ''))
    await stores(store, sent)
    conflicts(await send(store, sent), 'view')
  },

  'due rows are found in pages in the order of time, also with equal times': async ({ store }) => {
    const at = (i: number) => `2030-01-01T00:00:0${i % 3}.000Z`
    for (const i of range(30)) await stores(store, saveViews(instance(`o-${String(i).padStart(2, '0')}`, 0, at(i))))
    await stores(store, saveViews(instance('first', 0, ''), instance('never', 0, '~'), instance('ended', 0, undefined)))
    const expected = [0, 1].flatMap((rest) =>
      range(30)
        .filter((i) => i % 3 === rest)
        .map((i) => `o-${String(i).padStart(2, '0')}`),
    )
    for (const limit of [1, 7, 100])
      equal(`in pages of ${limit}`, await dueUntil(store, at(1), { limit }), ['first', ...expected])
    await stores(store, saveViews(instance('first', 1, '~')), saveViews(instance('o-00', 1, undefined)))
    equal('after two have moved', await dueUntil(store, at(1)), expected.slice(1))
  },

  'an internal row with the longest names is stored and found': async ({ store }) => {
    const id = 'i'.repeat(255)
    await stores(store, command('tea', 0, instance(id, 0, '2030-01-01T00:00:00.000Z', { name: longest })))
    equal('due', await dueUntil(store, '2030-01-01T00:00:00.000Z', { name: longest }), [id])
    equal('row', (await readView(store, id, { name: longest }))?.version, 1)
  },

  'a commit with an internal row and a row of a replaced generation stores neither': async ({ store }) => {
    await store.addViewGeneration({ name: 'balances', generation: 1, viewVersion: '1' })
    await store.addViewGeneration({ name: 'balances', generation: 2, viewVersion: '2' })
    await store.switchViewGeneration({ name: 'balances', from: 1, to: 2 })
    const both = (generation: number) =>
      commit({ appends: [{ aggregateId: 'tea', at: 0 }], views: [view('tea', 0, {}, { generation }), instance('o-1', 0, '')] })
    conflicts(await send(store, both(1)), 'generation')
    equal('row', await readView(store, 'o-1', { name }), undefined)
    equal('sequences', await sequences(store, 'tea'), [])
    await stores(store, both(2))
  },
}
