import type { Store } from '../store/store.ts'
import { commit, deposit, range, saveViews, view } from './build.ts'
import { type Cases, severalAppends, when } from './case.ts'
import { conflicts, equal, kinds, repeated, send, stored, stores } from './check.ts'
import { lease, readAll, readView, sequences, snapshotOf } from './read.ts'

export const repeatCases: Cases = {
  'a commit sent again is repeated with the same positions': async ({ store }) => {
    const sent = deposit('a', 0, 3)
    const positions = await stores(store, sent)
    repeated(await send(store, sent), positions)
    repeated(await send(store, sent), positions)
    equal('sequences', await sequences(store, 'a'), [1, 2, 3])
  },

  'a commit sent again after later events of its aggregate is repeated': async ({ store }) => {
    const sent = deposit('a', 1, 2)
    await stores(store, deposit('a', 0))
    const positions = await stores(store, sent)
    await stores(store, deposit('a', 3), deposit('b', 0), deposit('a', 4, 5))
    repeated(await send(store, sent), positions)
    equal(
      'sequences',
      await sequences(store, 'a'),
      range(9).map((i) => i + 1),
    )
  },

  'a commit sent again through another connection is repeated': async (database) => {
    const sent = deposit('a', 0, 2)
    const positions = await stores(database.store, sent)
    repeated(await send(await database.connect(), sent), positions)
  },

  'a commit sent eight times concurrently is stored once': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(5)) {
      const sent = deposit(`account-${round}`, 0, 2, { key: { idempotencyKey: 'k', commandHash: 'h' } })
      const outcomes = await Promise.all(range(8).map((i) => send(connections[i % 2] as Store, sent)))
      equal('outcomes', [...kinds(outcomes)].sort(), [...Array(7).fill('repeated'), 'stored'])
      const positions = stored(outcomes.find(({ kind }) => kind === 'stored'))
      for (const outcome of outcomes) if (outcome.kind === 'repeated') equal('positions', outcome.positions, positions)
      equal('sequences', await sequences(database.store, `account-${round}`), [1, 2])
    }
  },

  'a commit sent again is repeated and does not conflict with its own key': async ({ store }) => {
    const sent = deposit('a', 0, 2, { key: { idempotencyKey: 'k', commandHash: 'h' } })
    const positions = await stores(store, sent)
    repeated(await send(store, sent), positions)
    await stores(store, deposit('a', 2))
    repeated(await send(store, sent), positions)
  },

  'a commit on two aggregates sent again is repeated with the positions of both': when(severalAppends, async ({ store }) => {
    const sent = commit({
      appends: [
        { aggregateId: 'b', at: 0, events: 2 },
        { aggregateId: 'a', at: 0, events: 2 },
      ],
    })
    const positions = await stores(store, sent)
    await stores(store, deposit('a', 2), deposit('b', 2))
    repeated(await send(store, sent), positions)
  }),

  'a repeated commit writes nothing': async ({ store }) => {
    const parts = (n: number) => ({ snapshot: { stateVersion: '1', state: { n } } })
    const sent = commit({ appends: [{ aggregateId: 'a', at: 0, ...parts(1) }], views: [view('row', 0, { n: 1 })] })
    const positions = await stores(store, sent)
    await stores(store, commit({ appends: [{ aggregateId: 'a', at: 1, ...parts(2) }], views: [view('row', 1, { n: 2 })] }))
    repeated(await send(store, sent), positions)
    equal('snapshot', await snapshotOf(store, 'a'), { sequence: 2, stateVersion: '1', version: 2, state: { n: 2 } })
    equal('view', (await readView(store, 'row'))?.view, { n: 2 })
    equal('version of the view', (await readView(store, 'row'))?.version, 2)
  },

  'a commit that conflicted is stored when it is sent again and fits': async ({ store }) => {
    const early = deposit('a', 1)
    conflicts(await send(store, early), 'sequence', 0)
    await stores(store, deposit('a', 0), early)
    equal('whose the second event is', (await readAll(store, 'a')).events[1]?.commitId, early.id)
  },

  'a commit of only a checkpoint sent again is repeated': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const sent = commit({ checkpoint: { name: 'mailer', fence, position: '1' } })
    equal('positions', await stores(store, sent), [])
    repeated(await send(store, sent), [])
    equal('checkpoint', await store.readCheckpoint('mailer'), { position: '1', fence })
  },

  'a late duplicate of an older commit does not move the checkpoint back': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const move = (expectedPosition: string | null, position: string) =>
      commit({ checkpoint: { name: 'mailer', fence, position, expectedPosition } })
    const [first, second, third] = [move(null, '1'), move('1', '2'), move('2', '3')]
    await stores(store, first, second, third)
    for (const sent of [second, first]) conflicts(await send(store, sent), 'fence')
    repeated(await send(store, third), [])
    equal('checkpoint', await store.readCheckpoint('mailer'), { position: '3', fence })
  },

  'a view batch sent again is repeated and does not conflict with its own versions': async ({ store }) => {
    const fence = await lease(store, 'balances')
    const sent = commit({ views: [view('row', 0, { n: 1 })], checkpoint: { name: 'balances', fence, position: '1' } })
    await stores(store, sent)
    repeated(await send(store, sent), [])
    equal('version of the view', (await readView(store, 'row'))?.version, 1)
  },

  'a commit sent again after the lease changed hands is repeated': async (database) => {
    const { store } = database
    const old = await lease(store, 'balances')
    const sent = batchOf('row', old, '1')
    await stores(store, sent)
    await store.releaseLease({ name: 'balances', fence: old })
    await lease(await database.connect(), 'balances', 'two')
    repeated(await send(store, sent), [])
    equal('checkpoint', await store.readCheckpoint('balances'), { position: '1', fence: old })
  },

  'a commit sent again after the next holder has written its checkpoint stores nothing': async (database) => {
    const { store } = database
    const old = await lease(store, 'balances')
    const sent = batchOf('row', old, '1')
    await stores(store, sent)
    const other = await database.connect()
    await store.releaseLease({ name: 'balances', fence: old })
    const fence = await lease(other, 'balances', 'two')
    await stores(other, batchOf('other row', fence, '2'))
    conflicts(await send(store, sent), 'fence')
    equal('checkpoint', await store.readCheckpoint('balances'), { position: '2', fence })
  },

  'a commit of only views sent again is a conflict on view': async ({ store }) => {
    const sent = saveViews(view('row', 0, { n: 1 }))
    equal('positions', await stores(store, sent), [])
    conflicts(await send(store, sent), 'view')
    equal('version of the view', (await readView(store, 'row'))?.version, 1)
  },
}

/** A commit of an async view: a row and its checkpoint. */
const batchOf = (id: string, fence: number, position: string) =>
  commit({ views: [view(id, 0, {})], checkpoint: { name: 'balances', fence, position } })
