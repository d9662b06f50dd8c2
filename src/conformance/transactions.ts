import type { CheckpointWrite, CommitOutcome } from '../store/commit.ts'
import type { Store } from '../store/store.ts'
import { commit, range } from './build.ts'
import { type Cases, transactions, when } from './case.ts'
import { ConformanceFailure, conflicts, equal, holds, kinds, repeated, stored, stores } from './check.ts'
import { lease } from './read.ts'

type Move = Omit<CheckpointWrite, 'name'> & { readonly id?: string }

export const transactionCases: Cases = {
  'a transaction runs its function once and moves the checkpoint': when(transactions, async (database) => {
    const { store } = database
    const fence = await lease(store, 'accounts')
    for (const position of ['1', '2']) {
      const work = counting()
      stored(await transact(store, { fence, position }, work.run))
      equal('runs', work.runs, 1)
      holds('the function got a client', work.client !== undefined && work.client !== null)
      equal('checkpoint', await (await database.connect()).readCheckpoint('accounts'), { position, fence })
    }
  }),

  'a transaction whose function throws rejects with that error and keeps the checkpoint': when(
    transactions,
    async ({ store }) => {
      const fence = await lease(store, 'accounts')
      stored(await transact(store, { fence, position: '1' }))
      for (const error of [new Error('no such account'), 'a text', undefined]) {
        const work = () => {
          throw error
        }
        const thrown = await transact(store, { fence, position: '2' }, work).then(
          (outcome) => ({ outcome }),
          (error: unknown) => ({ error }),
        )
        if (!('error' in thrown) || thrown.error !== error) throw new ConformanceFailure('the rejection', thrown, { error })
        equal('checkpoint', await store.readCheckpoint('accounts'), { position: '1', fence })
      }
      stored(await transact(store, { fence, position: '2' }))
    },
  ),

  'a transaction whose function threw may be sent again with the same id': when(transactions, async ({ store }) => {
    const fence = await lease(store, 'accounts')
    const move = { id: crypto.randomUUID(), fence, position: '1', expectedPosition: null }
    await transact(store, move, () => {
      throw new Error('not yet')
    }).catch(() => {})
    const work = counting()
    stored(await transact(store, move, work.run))
    equal('runs', work.runs, 1)
  }),

  'a transaction sent again is repeated without another call of its function': when(transactions, async (database) => {
    const { store } = database
    const fence = await lease(store, 'accounts')
    const move = { id: crypto.randomUUID(), fence, position: '1', expectedPosition: null }
    const work = counting()
    stored(await transact(store, move, work.run))
    repeated(await transact(store, move, work.run), [])
    repeated(await transact(await database.connect(), move, work.run), [])
    equal('runs', work.runs, 1)
    stored(await transact(store, { fence, position: '2', expectedPosition: '1' }, work.run))
    conflicts(await transact(store, move), 'fence')
    equal('checkpoint', await store.readCheckpoint('accounts'), { position: '2', fence })
  }),

  'a transaction with the id of a stored commit is repeated': when(transactions, async ({ store }) => {
    const fence = await lease(store, 'accounts')
    const id = crypto.randomUUID()
    await stores(store, commit({ id, checkpoint: { name: 'accounts', fence, position: '1' } }))
    const work = counting()
    repeated(await transact(store, { id, fence, position: '1' }, work.run), [])
    equal('runs', work.runs, 0)
  }),

  'a transaction under another fence than that of the lease is a conflict': when(transactions, async (database) => {
    const { store } = database
    const never = await lease(store, 'other')
    conflicts(await transact(store, { fence: never, position: '1' }), 'fence')
    const old = await lease(store, 'accounts')
    stored(await transact(store, { fence: old, position: '1' }))
    await store.releaseLease({ name: 'accounts', fence: old })
    conflicts(await transact(store, { fence: old, position: '2' }), 'fence')
    const fence = await lease(await database.connect(), 'accounts', 'two')
    for (const wrong of [old, fence + 1]) conflicts(await transact(store, { fence: wrong, position: '2' }), 'fence')
    equal('checkpoint', await store.readCheckpoint('accounts'), { position: '1', fence: old })
    stored(await transact(store, { fence, position: '2' }))
  }),

  'a transaction moves the checkpoint only from its expected position': when(transactions, async ({ store }) => {
    const fence = await lease(store, 'accounts')
    conflicts(await transact(store, { fence, position: '2', expectedPosition: '1' }), 'fence')
    stored(await transact(store, { fence, position: '1', expectedPosition: null }))
    for (const expectedPosition of [null, '0', '01'])
      conflicts(await transact(store, { fence, position: '2', expectedPosition }), 'fence')
    equal('checkpoint', await store.readCheckpoint('accounts'), { position: '1', fence })
    stored(await transact(store, { fence, position: '2', expectedPosition: '1' }))
  }),

  'one of eight concurrent transactions from one checkpoint position is stored': when(transactions, async (database) => {
    const connections = [database.store, await database.connect()]
    const fence = await lease(database.store, 'accounts')
    let stands: string | null = null
    for (const round of range(5)) {
      const moves = range(8).map((i) => ({ fence, position: `${round}-${i}`, expectedPosition: stands }))
      const outcomes = await Promise.all(moves.map((move, i) => transact(connections[i % 2] as Store, move)))
      equal('moved', kinds(outcomes).filter((kind) => kind === 'stored').length, 1)
      for (const outcome of outcomes) if (outcome.kind !== 'stored') conflicts(outcome, 'fence')
      stands = `${round}-${kinds(outcomes).indexOf('stored')}`
      equal('checkpoint', await database.store.readCheckpoint('accounts'), { position: stands, fence })
    }
  }),

  'a transaction under an earlier fence never lands after one under the new fence': when(transactions, async (database) => {
    const other = await database.connect()
    for (const round of range(10)) {
      const name = `accounts-${round}`
      const old = await lease(database.store, name)
      const takeOver = async () => {
        const fence = await lease(other, name)
        stored(await transact(other, { fence, position: 'new' }, () => {}, name))
        return fence
      }
      const late = transact(database.store, { fence: old, position: 'old' }, () => {}, name)
      const [outcome, fence] = await Promise.all([late, takeOver()])
      if (outcome.kind !== 'stored') conflicts(outcome, 'fence')
      equal('checkpoint', await database.store.readCheckpoint(name), { position: 'new', fence })
    }
  }),
}

function transact(
  store: Store,
  { id = crypto.randomUUID(), ...checkpoint }: Move,
  work: (client: unknown) => void = () => {},
  name = 'accounts',
): Promise<CommitOutcome> {
  if (store.transact === undefined) throw new ConformanceFailure('transact is there', undefined, 'a function')
  return store.transact({ id, checkpoint: { name, ...checkpoint } }, work)
}

function counting() {
  const work = {
    runs: 0,
    client: undefined as unknown,
    run(client: unknown) {
      work.runs++
      work.client = client
    },
  }
  return work
}
