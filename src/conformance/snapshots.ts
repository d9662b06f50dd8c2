import { comparePositions } from '../store/order.ts'
import type { Store } from '../store/store.ts'
import { commit, deposit, range } from './build.ts'
import { type Cases, corruptSnapshots, when } from './case.ts'
import { conflicts, equal, holds, kinds, send, stores } from './check.ts'
import { pause, readAll, sequences, sequencesOf, snapshotOf } from './read.ts'

export const snapshotCases: Cases = {
  'a snapshot has the state at the end of its commit and a version from 1 upwards': async ({ store }) => {
    for (const [i, at] of [0, 3, 6].entries()) {
      await stores(store, save('a', at, 3))
      equal('snapshot', await snapshotOf(store, 'a'), {
        sequence: at + 3,
        stateVersion: '1',
        version: i + 1,
        state: { count: at + 3 },
      })
    }
  },

  'each commit of a batch that saves a snapshot increases its version': async ({ store }) => {
    equal('outcomes', kinds(await store.append([save('a', 0, 2), save('a', 2, 1), save('a', 3, 2)])), [
      'stored',
      'stored',
      'stored',
    ])
    await stores(store, save('a', 5, 1))
    equal('snapshot', await snapshotOf(store, 'a'), { sequence: 6, stateVersion: '1', version: 4, state: { count: 6 } })
  },

  'a snapshot names the commit of its last event': async ({ store }) => {
    const sent = save('a', 0, 2)
    await stores(store, sent, deposit('a', 2))
    equal('commit id', (await readAll(store, 'a', { snapshot: { stateVersion: '1' } })).snapshot?.commitId, sent.id)
  },

  'a read returns the snapshot and the events after it only on request': async ({ store }) => {
    await stores(store, save('a', 0, 2), deposit('a', 2, 2))
    const { events, snapshot } = await readAll(store, 'a', { snapshot: { stateVersion: '1' } })
    equal('snapshot', snapshot?.sequence, 2)
    equal('events behind it', sequencesOf(events), [3, 4])
    const plain = await readAll(store, 'a')
    equal('not asked for', [plain.snapshot, sequencesOf(plain.events)], [undefined, [1, 2, 3, 4]])
  },

  'a read of an aggregate without a snapshot returns all its events': async ({ store }) => {
    await stores(store, deposit('a', 0, 3), save('b', 0, 1))
    const { events, snapshot } = await readAll(store, 'a', { snapshot: { stateVersion: '1' } })
    equal('snapshot', snapshot, undefined)
    equal('events', sequencesOf(events), [1, 2, 3])
  },

  'a snapshot of another state version is ignored': async ({ store }) => {
    await stores(store, save('a', 0, 3))
    for (const stateVersion of ['2', '', '1.0', ' 1']) {
      const { events, snapshot } = await readAll(store, 'a', { snapshot: { stateVersion } })
      equal(`with state version '${stateVersion}'`, [snapshot, sequencesOf(events)], [undefined, [1, 2, 3]])
    }
  },

  'a snapshot replaces the one before it whatever its state version': async ({ store }) => {
    await stores(store, save('a', 0, 2), save('a', 2, 1, '2'))
    equal('of the old state version', await snapshotOf(store, 'a'), undefined)
    const { events } = await readAll(store, 'a', { snapshot: { stateVersion: '2' } })
    equal('snapshot', await snapshotOf(store, 'a', '2'), { sequence: 3, stateVersion: '2', version: 2, state: { count: 3 } })
    equal('events', sequencesOf(events), [])
  },

  'a commit without a snapshot keeps the stored one': async ({ store }) => {
    await stores(store, save('a', 0, 2), deposit('a', 2, 5))
    equal('snapshot', await snapshotOf(store, 'a'), { sequence: 2, stateVersion: '1', version: 1, state: { count: 2 } })
  },

  'a commit that conflicts keeps the stored snapshot': async ({ store }) => {
    await stores(store, save('a', 0, 2))
    conflicts(await send(store, save('a', 1, 4)), 'sequence', 2)
    equal('snapshot', await snapshotOf(store, 'a'), { sequence: 2, stateVersion: '1', version: 1, state: { count: 2 } })
  },

  'a read returns a snapshot at `upTo` and none after it': async ({ store }) => {
    await stores(store, save('a', 0, 5), deposit('a', 5, 2))
    const at = async (upTo: number) => {
      const { snapshot, events } = await readAll(store, 'a', { snapshot: { stateVersion: '1' }, upTo })
      return [snapshot?.sequence, sequencesOf(events)]
    }
    equal('up to 4', await at(4), [undefined, [1, 2, 3, 4]])
    equal('up to 5', await at(5), [5, []])
    equal('up to 6', await at(6), [5, [6]])
  },

  'a read returns only a snapshot after `after`': async ({ store }) => {
    await stores(store, save('a', 0, 5), deposit('a', 5, 2))
    const from = async (after: number) => {
      const { snapshot, events } = await readAll(store, 'a', { snapshot: { stateVersion: '1' }, after })
      return [snapshot?.sequence, sequencesOf(events)]
    }
    equal('after 4', await from(4), [5, [6, 7]])
    equal('after 5', await from(5), [undefined, [6, 7]])
    equal('after 6', await from(6), [undefined, [7]])
  },

  'a state read in pages includes every event once': async ({ store }) => {
    await stores(store, deposit('a', 0, 3), save('a', 3, 4), deposit('a', 7, 9), deposit('a', 16, 4))
    for (const limit of [1, 2, 5, 100]) {
      const { snapshot, events } = await readAll(store, 'a', { snapshot: { stateVersion: '1' }, limit })
      equal(`in pages of ${limit}`, [snapshot?.state, events.length], [{ count: 7 }, 13])
      equal(
        `events in pages of ${limit}`,
        sequencesOf(events),
        range(13).map((i) => i + 8),
      )
    }
    equal('without the snapshot', (await sequences(store, 'a', { limit: 3 })).length, 20)
  },

  'a state may be any JSON': async ({ store }) => {
    const states = [null, false, 0, '', [], {}, 'text', [{ a: [null] }]]
    for (const [at, state] of states.entries()) {
      await stores(store, commit({ appends: [{ aggregateId: 'a', at, snapshot: { stateVersion: '1', state } }] }))
      equal('snapshot', await snapshotOf(store, 'a'), { sequence: at + 1, stateVersion: '1', version: at + 1, state })
    }
  },

  'a snapshot and the events after it are of one moment': async (database) => {
    const other = await database.connect()
    let writing = true
    const write = async () => {
      for (const i of range(60)) {
        await stores(other, i % 2 ? deposit('a', i * 2, 2) : save('a', i * 2, 2))
        await pause()
      }
    }
    const writer = write().finally(() => {
      writing = false
    })
    while (writing) {
      await readState(database.store)
      await pause()
    }
    await writer
    equal('the state in the end', await readState(database.store), 120)
  },

  'a corrupt snapshot is ignored, and the next one replaces it': when(corruptSnapshots, async (database) => {
    const { store } = database
    await stores(store, save('a', 0, 3), save('b', 0, 1))
    await database.corruptSnapshot?.('account', 'a')
    const { snapshot, events } = await readAll(store, 'a', { snapshot: { stateVersion: '1' } })
    equal('with the corrupt one', [snapshot, sequencesOf(events)], [undefined, [1, 2, 3]])
    equal('of the other aggregate', (await snapshotOf(store, 'b'))?.sequence, 1)
    await stores(store, deposit('a', 3), save('a', 4, 1))
    equal('the next', await snapshotOf(store, 'a'), { sequence: 5, stateVersion: '1', version: 2, state: { count: 5 } })
  }),
}

/** A commit with a snapshot whose state counts the events. */
const save = (aggregateId: string, at: number, events: number, stateVersion = '1') =>
  commit({ appends: [{ aggregateId, at, events, snapshot: { stateVersion, state: { count: at + events } } }] })

/** Counts the events, from a snapshot and the events after it; both must fit together. */
async function readState(store: Store): Promise<number> {
  const { snapshot, events } = await readAll(store, 'a', { snapshot: { stateVersion: '1' } })
  const from = snapshot?.sequence ?? 0
  if (snapshot) equal('the state of the snapshot', snapshot.state, { count: from })
  equal(
    'events behind the snapshot',
    sequencesOf(events),
    range(events.length).map((i) => from + 1 + i),
  )
  const positions = events.flatMap(({ position }) => position ?? [])
  holds(
    'positions grow',
    positions.every((position, i) => i === 0 || comparePositions(positions[i - 1] ?? position, position) < 0),
  )
  return from + events.length
}
