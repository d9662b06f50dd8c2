import { commit, deposit } from './build.ts'
import { type Cases, lostEvents, when } from './case.ts'
import { conflicts, equal, repeated, send, stored, stores } from './check.ts'
import { readAll, sequences, sequencesOf } from './read.ts'

/** One event of the account 'a' that was decided on the commit `on`. */
const decidedOn = (at: number, on: string) => commit({ appends: [{ aggregateId: 'a', at, on }] })

export const headCases: Cases = {
  'an append that names another commit than that of the last event is a conflict': async (database) => {
    const { store } = database
    const [first, second] = [deposit('a', 0), deposit('a', 1, 2)]
    await stores(store, first, second)
    for (const one of [store, await database.connect()]) {
      conflicts(await send(one, decidedOn(3, first.id)), 'sequence', 3)
      conflicts(await send(one, decidedOn(3, 'another')), 'sequence', 3)
      conflicts(await send(one, decidedOn(1, first.id)), 'sequence', 3)
    }
    equal('sequences', await sequences(store, 'a'), [1, 2, 3])
    stored(await send(await database.connect(), decidedOn(3, second.id)))
  },

  'an append to an empty aggregate is a conflict when it names a commit': async ({ store }) => {
    conflicts(await send(store, decidedOn(0, 'another')), 'sequence', 0)
    equal('sequences', await sequences(store, 'a'), [])
  },

  'a later commit of a batch may name an earlier one of that aggregate and no other': async ({ store }) => {
    const first = deposit('a', 0)
    const second = decidedOn(1, first.id)
    const stray = decidedOn(2, first.id)
    const third = decidedOn(2, second.id)
    const outcomes = await store.append([first, second, stray, third])
    for (const i of [0, 1, 3]) stored(outcomes[i])
    conflicts(outcomes[2], 'sequence', 2)
    const { events } = await readAll(store, 'a')
    equal(
      'whose events they are',
      events.map(({ commitId }) => commitId),
      [first.id, second.id, third.id],
    )
  },

  'a wrong commit id in a batch does not affect other aggregates': async ({ store }) => {
    await stores(store, deposit('a', 0))
    const outcomes = await store.append([deposit('b', 0), decidedOn(1, 'another'), deposit('c', 0)])
    stored(outcomes[0])
    conflicts(outcomes[1], 'sequence', 1)
    stored(outcomes[2])
  },

  'a commit that names its predecessor is repeated when it is sent again': async ({ store }) => {
    const first = deposit('a', 0)
    const second = decidedOn(1, first.id)
    const positions = await stores(store, first, second)
    repeated(await send(store, second), positions.slice(1))
    await stores(store, deposit('a', 2))
    repeated(await send(store, second), positions.slice(1))
  },

  'an append decided on events that the database has lost is a conflict': when(lostEvents, async (database) => {
    const { store } = database
    const [kept, lost, other] = [deposit('a', 0), deposit('a', 1), deposit('a', 1)]
    await stores(store, kept, lost)
    await database.loseEvents?.('account', 'a', 1)
    await stores(await database.connect(), other)
    conflicts(await send(store, decidedOn(2, lost.id)), 'sequence', 2)
    stored(await send(store, decidedOn(2, other.id)))
    equal('sequences', await sequences(store, 'a'), [1, 2, 3])
  }),

  'a snapshot is ignored when the database has lost its event': when(lostEvents, async (database) => {
    const { store } = database
    const snapshot = { stateVersion: '1', state: {} }
    await stores(store, deposit('a', 0, 2), commit({ appends: [{ aggregateId: 'a', at: 2, snapshot }] }))
    await database.loseEvents?.('account', 'a', 2)
    const page = await readAll(store, 'a', { snapshot })
    equal('what is read', [page.snapshot, sequencesOf(page.events)], [undefined, [1, 2]])
  }),
}
