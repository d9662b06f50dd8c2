import type { Store } from '../store/store.ts'
import { deposit, range, saveViews, view } from './build.ts'
import type { Cases } from './case.ts'
import { conflicts, equal, send, stores } from './check.ts'
import { findIds, readView, sequences } from './read.ts'

const name = 'balances'

export const generationCases: Cases = {
  'generation 1 is live without addViewGeneration': async ({ store }) => {
    equal('generations', await store.viewGenerations(name), [])
    await stores(store, saveViews(view('row', 0, 'one')))
    equal('view', (await readView(store, 'row'))?.view, 'one')
    equal('removed', await store.removeViewGeneration({ name, generation: 1 }), false)
    equal('view', (await readView(store, 'row'))?.view, 'one')
    equal('generations', await store.viewGenerations(name), [])
  },

  'a write to a generation that was never added is a conflict': async ({ store }) => {
    conflicts(await send(store, deposit('a', 0, 1, { views: [view('row', 0, {}, { generation: 2 })] })), 'generation')
    equal('sequences', await sequences(store, 'a'), [])
    equal('view', await readView(store, 'row', { generation: 2 }), undefined)
  },

  'a commit with one view of a generation that is not writable is a conflict at any place': async ({ store }) => {
    await add(store, 2)
    await add(store, 3)
    await change(store, 1, 2)
    for (const wrong of [1, 4]) {
      const views = [2, 3, wrong].map((generation) => view('row', 0, {}, { generation }))
      const turned = range(3).map((i) => [...views.slice(i), ...views.slice(0, i)])
      for (const order of turned) conflicts(await send(store, deposit('a', 0, 1, { views: order })), 'generation')
    }
    equal('sequences', await sequences(store, 'a'), [])
    equal(
      'rows',
      [await readView(store, 'row', { generation: 2 }), await readView(store, 'row', { generation: 3 })],
      [undefined, undefined],
    )
  },

  'generation 1 is added as live and any other as building, each once': async ({ store }) => {
    equal('three', await add(store, 3, 'c'), true)
    equal('one', await add(store, 1, 'a'), true)
    equal('ten', await add(store, 10, 'd'), true)
    for (const generation of [1, 3, 10]) equal('again', await add(store, generation, 'other'), false)
    equal('generations', await store.viewGenerations(name), [
      { generation: 1, viewVersion: 'a', state: 'live' },
      { generation: 3, viewVersion: 'c', state: 'building' },
      { generation: 10, viewVersion: 'd', state: 'building' },
    ])
    equal('of another view', await store.viewGenerations('other'), [])
  },

  'one of eight concurrent additions of a generation succeeds': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const generation of [1, 2, 3, 4]) {
      const added = await Promise.all(range(8).map((i) => add(connections[i % 2] as Store, generation, `version-${i}`)))
      equal('added', added.filter(Boolean).length, 1)
      const all = await database.store.viewGenerations(name)
      equal('whose it is', all.find((one) => one.generation === generation)?.viewVersion, `version-${added.indexOf(true)}`)
    }
  },

  'the live generation and the building one are written and read separately': async ({ store }) => {
    await add(store, 2)
    await stores(store, saveViews(view('row', 0, 'one'), view('row', 0, 'two', { generation: 2 })))
    await stores(store, saveViews(view('row', 1, 'two again', { generation: 2 }), view('more', 0, {}, { generation: 2 })))
    equal('first', (await readView(store, 'row'))?.view, 'one')
    equal('second', (await readView(store, 'row', { generation: 2 }))?.view, 'two again')
    equal('found', [await findIds(store), await findIds(store, { generation: 2 })], [['row'], ['more', 'row']])
  },

  'a switch makes the building generation live and retires the live one': async ({ store }) => {
    await add(store, 1)
    await add(store, 2)
    equal('switched', await change(store, 1, 2), true)
    equal('states', await states(store), ['1 retired', '2 live'])
    conflicts(await send(store, deposit('a', 0, 1, { views: [view('row', 0, {})] })), 'generation')
    await stores(store, deposit('a', 0, 1, { views: [view('row', 0, {}, { generation: 2 })] }))
  },

  "a read of 'live' reads the generation that is live at that moment": async (database) => {
    const { store } = database
    const reader = await database.connect()
    const row = (generation: number, value: string) =>
      saveViews(view('row', 0, value, { generation, indexes: [{ index: 'of', value }] }))
    const found = async (value: string) =>
      (await findIds(reader, { generation: 'live', where: [{ index: 'of', is: '=', value }] })).length
    const seen = async () => {
      const live = await readView(reader, 'row', { generation: 'live' })
      return [live?.generation, live?.view, await found('4one'), await found('4two')]
    }
    equal('nothing yet', await seen(), [undefined, undefined, 0, 0])
    await stores(store, row(1, '4one'))
    equal('before', await seen(), [1, '4one', 1, 0])
    await add(store, 2)
    await stores(store, row(2, '4two'))
    equal('while it is building', await seen(), [1, '4one', 1, 0])
    await change(store, 1, 2)
    equal('after the switch', await seen(), [2, '4two', 0, 1])
    await store.removeViewGeneration({ name, generation: 1 })
    equal('after the old one is gone', await seen(), [2, '4two', 0, 1])
  },

  'a switch from the implicit generation 1 retires it': async ({ store }) => {
    await stores(store, saveViews(view('row', 0, 'one')))
    await add(store, 2)
    equal('switched', await change(store, 1, 2), true)
    conflicts(await send(store, saveViews(view('row', 1, {}))), 'generation')
    equal(
      'generations',
      (await states(store)).filter((state) => !state.startsWith('1')),
      ['2 live'],
    )
    equal('generation 1 is not added as a second live one', await add(store, 1), false)
    equal('removed', await store.removeViewGeneration({ name, generation: 1 }), true)
    equal('view', await readView(store, 'row'), undefined)
    conflicts(await send(store, saveViews(view('row', 0, {}))), 'generation')
    equal('once more', await add(store, 1), false)
    equal('generations in the end', await states(store), ['2 live'])
  },

  'a retired generation is readable until its removal': async ({ store }) => {
    await stores(store, saveViews(view('row', 0, 'one')))
    await add(store, 2)
    await change(store, 1, 2)
    equal('view', [(await readView(store, 'row'))?.view, await findIds(store)], ['one', ['row']])
  },

  'a switch with a wrong generation changes nothing': async ({ store }) => {
    await add(store, 1)
    await add(store, 2)
    await add(store, 3)
    equal('to one that is not there', await change(store, 1, 9), false)
    equal('from one that is not live', await change(store, 2, 3), false)
    equal('to the live one', await change(store, 1, 1), false)
    equal('from one that is not there', await change(store, 9, 2), false)
    equal('states', await states(store), ['1 live', '2 building', '3 building'])
    equal('switched', await change(store, 1, 2), true)
    equal('again', await change(store, 1, 2), false)
    equal('back to the retired one', await change(store, 2, 1), false)
    equal('from the retired one', await change(store, 1, 3), false)
    equal('states', await states(store), ['1 retired', '2 live', '3 building'])
    equal('on', await change(store, 2, 3), true)
    equal('states', await states(store), ['1 retired', '2 retired', '3 live'])
  },

  'one of eight concurrent switches succeeds': async (database) => {
    const connections = [database.store, await database.connect()]
    await add(database.store, 2)
    await add(database.store, 3)
    const switched = await Promise.all(range(8).map((i) => change(connections[i % 2] as Store, 1, i < 4 ? 2 : 3)))
    equal('switched', switched.filter(Boolean).length, 1)
    const live = switched.indexOf(true) < 4 ? 2 : 3
    equal(
      'live',
      (await states(database.store)).filter((state) => state.endsWith('live')),
      [`${live} live`],
    )
  },

  'commits during a switch are stored before it or conflict': async (database) => {
    const other = await database.connect()
    await add(database.store, 2)
    const write = async (i: number) => send(other, deposit(`account-${i}`, 0, 1, { views: [view(`row-${i}`, 0, i)] }))
    const [outcomes] = await Promise.all([Promise.all(range(12).map(write)), change(database.store, 1, 2)])
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.kind !== 'stored') conflicts(outcome, 'generation')
      const written = [(await sequences(other, `account-${i}`)).length, (await readView(other, `row-${i}`)) === undefined ? 0 : 1]
      equal('written', written, outcome.kind === 'stored' ? [1, 1] : [0, 0])
    }
    conflicts(await write(12), 'generation')
  },

  'removal deletes a generation with its rows and refuses the live one': async ({ store }) => {
    await add(store, 1)
    await add(store, 2)
    const row = view('row', 0, 'two', { generation: 2, indexes: [{ index: 'n', value: '4x' }] })
    await stores(store, saveViews(row, view('row', 0, 'one'), view('deleted', 0, null, { generation: 2 })))
    const remove = (generation: number) => store.removeViewGeneration({ name, generation })
    equal('the live one', [await remove(1), (await readView(store, 'row'))?.view], [false, 'one'])
    equal('the building one', await remove(2), true)
    equal('one that is not there', [await remove(2), await remove(7)], [true, true])
    equal('its row', await readView(store, 'row', { generation: 2 }), undefined)
    equal('states', await states(store), ['1 live'])
    conflicts(await send(store, saveViews(row)), 'generation')
    equal('added again', await add(store, 2), true)
    equal('empty again', await findIds(store, { generation: 2, where: [{ index: 'n', is: '=', value: '4x' }] }), [])
    await stores(store, saveViews(row, view('deleted', 0, {}, { generation: 2 })))
  },

  'generations of one view do not affect another view': async ({ store }) => {
    await store.addViewGeneration({ name: 'others', generation: 2, viewVersion: '2' })
    await store.switchViewGeneration({ name: 'others', from: 1, to: 2 })
    await stores(store, saveViews(view('row', 0, {})))
    conflicts(await send(store, saveViews(view('row', 0, {}, { generation: 2 }))), 'generation')
    conflicts(await send(store, saveViews(view('row', 0, {}, { name: 'others' }))), 'generation')
  },
}

const add = (store: Store, generation: number, viewVersion = String(generation)) =>
  store.addViewGeneration({ name, generation, viewVersion })

const change = (store: Store, from: number, to: number) => store.switchViewGeneration({ name, from, to })

const states = async (store: Store) =>
  (await store.viewGenerations(name)).map(({ generation, state }) => `${generation} ${state}`)
