import type { Store } from '../store/store.ts'
import { commit, deposit, range, saveViews, view } from './build.ts'
import type { Cases } from './case.ts'
import { conflicts, equal, kinds, send, stored, stores } from './check.ts'
import { findIds, lease, readView, sequences } from './read.ts'

export const checkpointCases: Cases = {
  'readCheckpoint returns undefined for a checkpoint that was never written': async ({ store }) => {
    equal('checkpoint', await store.readCheckpoint('mailer'), undefined)
    await lease(store, 'mailer')
    equal('with a lease', await store.readCheckpoint('mailer'), undefined)
  },

  'readCheckpoint returns the last position with its fence': async (database) => {
    const { store } = database
    const fence = await lease(store, 'mailer')
    for (const position of ['1', '2', '30', '9007199254740993', '007', 'account/a/7']) {
      stored(await send(store, commit({ checkpoint: { name: 'mailer', fence, position } })))
      equal('checkpoint', await (await database.connect()).readCheckpoint('mailer'), { position, fence })
    }
    equal('another one', await store.readCheckpoint('Mailer'), undefined)
  },

  'a checkpoint moves only from its expected position': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const move = (expectedPosition: string | null, position: string) =>
      send(store, commit({ checkpoint: { name: 'mailer', fence, position, expectedPosition } }))
    conflicts(await move('1', '2'), 'fence')
    stored(await move(null, '1'))
    for (const wrong of [null, '0', '10', '01', '1.0', ' 1']) conflicts(await move(wrong, '2'), 'fence')
    equal('checkpoint', await store.readCheckpoint('mailer'), { position: '1', fence })
    stored(await move('1', '2'))
    equal('moved', await store.readCheckpoint('mailer'), { position: '2', fence })
  },

  'one of eight concurrent moves of a checkpoint from one position is stored': async (database) => {
    const connections = [database.store, await database.connect()]
    const fence = await lease(database.store, 'mailer')
    let stands: string | null = null
    for (const round of range(10)) {
      const sent = range(8).map((i) => {
        const checkpoint = { name: 'mailer', fence, position: `${round}-${i}`, expectedPosition: stands }
        return deposit(`${round}-${i}`, 0, 1, { checkpoint })
      })
      const outcomes = await Promise.all(sent.map((one, i) => send(connections[i % 2] as Store, one)))
      equal('moved', kinds(outcomes).filter((kind) => kind === 'stored').length, 1)
      for (const outcome of outcomes) if (outcome.kind !== 'stored') conflicts(outcome, 'fence')
      stands = `${round}-${kinds(outcomes).indexOf('stored')}`
      equal('checkpoint', await database.store.readCheckpoint('mailer'), { position: stands, fence })
    }
    equal('events', (await database.store.readIds({ aggregateType: 'account', limit: 100 })).items.length, 10)
  },

  'a commit under an earlier fence never lands after one under the new fence': async (database) => {
    const other = await database.connect()
    for (const round of range(20)) {
      const name = `mailer-${round}`
      const old = await lease(database.store, name)
      const takeOver = async () => {
        const fence = await lease(other, name)
        await stores(other, commit({ checkpoint: { name, fence, position: 'new' } }))
        return fence
      }
      const late = deposit(name, 0, 20, { checkpoint: { name, fence: old, position: 'old' } })
      const [outcome, fence] = await Promise.all([send(database.store, late), takeOver()])
      if (outcome.kind !== 'stored') conflicts(outcome, 'fence')
      equal('checkpoint', await database.store.readCheckpoint(name), { position: 'new', fence })
    }
  },

  'a checkpoint without a lease of its name is a conflict on fence': async ({ store }) => {
    const fence = await lease(store, 'other')
    for (const number of [0, 1, fence]) {
      conflicts(await send(store, deposit('a', 0, 1, { checkpoint: { name: 'mailer', fence: number, position: '1' } })), 'fence')
    }
    equal('checkpoint', await store.readCheckpoint('mailer'), undefined)
    equal('sequences', await sequences(store, 'a'), [])
  },

  'a checkpoint with a stale fence is a conflict that stores nothing of its commit': async (database) => {
    const { store } = database
    const old = await lease(store, 'balances')
    await stores(store, commit({ checkpoint: { name: 'balances', fence: old, position: '1' } }))
    await store.releaseLease({ name: 'balances', fence: old })
    const fence = await lease(await database.connect(), 'balances', 'two')
    const indexes = [{ index: 'n', value: '4x' }]
    const late = deposit('a', 0, 1, {
      views: [view('row', 0, {}, { indexes })],
      checkpoint: { name: 'balances', fence: old, position: '2' },
    })
    conflicts(await send(store, late), 'fence')
    equal('checkpoint', await store.readCheckpoint('balances'), { position: '1', fence: old })
    equal('sequences', await sequences(store, 'a'), [])
    equal('view', await readView(store, 'row'), undefined)
    equal('found', await findIds(store, { where: [{ index: 'n', is: '=', value: '4x' }] }), [])
    await stores(store, commit({ checkpoint: { name: 'balances', fence, position: '2' } }))
  },

  'a fence above that of the lease is a conflict': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    conflicts(await send(store, commit({ checkpoint: { name: 'mailer', fence: fence + 1, position: '1' } })), 'fence')
    equal('checkpoint', await store.readCheckpoint('mailer'), undefined)
  },

  'views and their checkpoint are stored together or not at all': async ({ store }) => {
    const fence = await lease(store, 'balances')
    const checkpoint = (position: string) => ({ name: 'balances', fence, position })
    await stores(store, commit({ views: [view('a', 0, 1), view('b', 0, 1)], checkpoint: checkpoint('1') }))
    conflicts(await send(store, commit({ views: [view('a', 1, 2), view('b', 0, 2)], checkpoint: checkpoint('2') })), 'view')
    equal('views', [(await readView(store, 'a'))?.view, (await readView(store, 'b'))?.view], [1, 1])
    equal('checkpoint', (await store.readCheckpoint('balances'))?.position, '1')
    await stores(store, commit({ views: [view('a', 1, 2), view('b', 1, null)], checkpoint: checkpoint('2') }))
    equal('views', [(await readView(store, 'a'))?.view, (await readView(store, 'b'))?.view], [2, null])
    equal('checkpoint', (await store.readCheckpoint('balances'))?.position, '2')
  },

  'each checkpoint of a batch is checked against its own fence': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const other = await lease(store, 'balances')
    const outcomes = await store.append([
      commit({ checkpoint: { name: 'mailer', fence: fence + 1, position: '1' } }),
      commit({ checkpoint: { name: 'mailer', fence, position: '2' } }),
      commit({ checkpoint: { name: 'balances', fence: other, position: '3' }, views: [view('row', 5, {})] }),
      saveViews(view('row', 0, {})),
    ])
    equal('outcomes', kinds(outcomes), ['conflict', 'stored', 'conflict', 'stored'])
    conflicts(outcomes[0], 'fence')
    conflicts(outcomes[2], 'view')
    equal(
      'checkpoints',
      [await store.readCheckpoint('mailer'), await store.readCheckpoint('balances')],
      [{ position: '2', fence }, undefined],
    )
  },

  'a checkpoint survives the release of its lease': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    await stores(store, commit({ checkpoint: { name: 'mailer', fence, position: '8' } }))
    await store.releaseLease({ name: 'mailer', fence })
    await lease(store, 'mailer', 'two')
    equal('checkpoint', await store.readCheckpoint('mailer'), { position: '8', fence })
  },
}
