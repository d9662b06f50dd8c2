import type { Store } from '../store/store.ts'
import { commit, deposit, range, saveViews, view } from './build.ts'
import { type Cases, globalOrder, when } from './case.ts'
import { conflicts, equal, failed, kinds, repeated, stored, stores } from './check.ts'
import { lease, readAll, readLog, readView, sequences, snapshotOf } from './read.ts'

export const batchCases: Cases = {
  'an empty batch has no outcomes': async ({ store }) => {
    equal('outcomes', await store.append([]), [])
  },

  'outcomes have the order of their commits': async ({ store }) => {
    const old = deposit('old', 0)
    const positions = await stores(store, old, saveViews(view('row', 0, {})))
    const outcomes = await store.append([
      deposit('z', 0),
      deposit('old', 0),
      old,
      saveViews(view('row', 0, {})),
      commit({ appends: [{ aggregateId: 'bad', at: 0, events: [{ data: 1n }] }] }),
      commit({ checkpoint: { name: 'mailer', fence: 1, position: '1' } }),
      deposit('a', 0, 2),
    ])
    equal('number of outcomes', outcomes.length, 7)
    stored(outcomes[0])
    conflicts(outcomes[1], 'sequence', 1)
    repeated(outcomes[2], positions)
    conflicts(outcomes[3], 'view')
    failed(outcomes[4])
    conflicts(outcomes[5], 'fence')
    if (store.capabilities.globalOrder) {
      equal(
        'positions of the first',
        stored(outcomes[0]),
        (await readAll(store, 'z')).events.map(({ position }) => position),
      )
      equal(
        'positions of the last',
        stored(outcomes[6]),
        (await readAll(store, 'a')).events.map(({ position }) => position),
      )
    }
  },

  'one conflict in a batch of a hundred commits does not affect the others': async ({ store }) => {
    await stores(store, deposit('account-50', 0))
    const outcomes = await store.append(range(101).map((i) => deposit(`account-${i}`, 0, 2)))
    conflicts(outcomes[50], 'sequence', 1)
    equal('stored', kinds(outcomes).filter((kind) => kind === 'stored').length, 100)
    const found = await Promise.all(range(101).map((i) => sequences(store, `account-${i}`)))
    equal(
      'sequences',
      found,
      range(101).map((i) => (i === 50 ? [1] : [1, 2])),
    )
  },

  'successive commits to one aggregate in a batch are applied in list order': async ({ store }) => {
    const chain = range(20).map((i) =>
      commit({ appends: [{ aggregateId: 'a', at: i * 2, events: 2, snapshot: { stateVersion: '1', state: { n: i } } }] }),
    )
    const mixed = chain.flatMap((one, i) => [one, deposit(`other-${i}`, 0)])
    equal(
      'outcomes',
      kinds(await store.append(mixed)),
      mixed.map(() => 'stored'),
    )
    const { events } = await readAll(store, 'a')
    equal(
      'commit ids in order',
      events.map(({ commitId }) => commitId),
      chain.flatMap(({ id }) => [id, id]),
    )
    equal('snapshot', await snapshotOf(store, 'a'), { sequence: 40, stateVersion: '1', version: 20, state: { n: 19 } })
  },

  'the feed shows successive commits of a batch in list order': when(globalOrder, async ({ store }) => {
    await store.append(range(20).map((i) => deposit('a', i)))
    equal(
      'sequences in the feed',
      (await readLog(store)).map(({ sequence }) => sequence),
      range(20).map((i) => i + 1),
    )
  }),

  'a commit after a failed one of its aggregate in a batch is a conflict': async ({ store }) => {
    const outcomes = await store.append([
      deposit('a', 0),
      deposit('b', 0),
      commit({ appends: [{ aggregateId: 'a', at: 1, events: [{ data: 1n }] }] }),
      deposit('a', 2),
      deposit('a', 3),
      deposit('b', 1),
    ])
    failed(outcomes[2])
    conflicts(outcomes[3], 'sequence', 1)
    conflicts(outcomes[4], 'sequence', 1)
    equal('outcomes', kinds(outcomes), ['stored', 'stored', 'failed', 'conflict', 'conflict', 'stored'])
    equal('sequences', [await sequences(store, 'a'), await sequences(store, 'b')], [[1], [1, 2]])
  },

  'a commit after a view conflict of its aggregate in a batch is a conflict': async ({ store }) => {
    const outcomes = await store.append([
      deposit('a', 0, 1, { views: [view('row', 0, { n: 1 })] }),
      deposit('a', 1, 1, { views: [view('row', 5, { n: 2 })] }),
      deposit('a', 2, 1, { views: [view('row', 1, { n: 3 })] }),
    ])
    stored(outcomes[0])
    conflicts(outcomes[1], 'view')
    conflicts(outcomes[2], 'sequence', 1)
    equal('sequences', await sequences(store, 'a'), [1])
    equal('view', (await readView(store, 'row'))?.view, { n: 1 })
  },

  'a commit that does not build on a failed one of its batch is stored': async ({ store }) => {
    const outcomes = await store.append([deposit('a', 1), deposit('a', 0, 2), deposit('a', 2)])
    conflicts(outcomes[0], 'sequence', 0)
    equal('outcomes', kinds(outcomes), ['conflict', 'stored', 'stored'])
    equal('sequences', await sequences(store, 'a'), [1, 2, 3])
  },

  'a commit that builds on one that was not stored is a conflict even if its sequence fits': async (database) => {
    const other = await database.connect()
    await stores(database.store, deposit('a', 0))
    await stores(other, deposit('a', 1), deposit('b', 0))
    const outcomes = await database.store.append([
      deposit('a', 1),
      deposit('a', 2),
      commit({ appends: [{ aggregateId: 'b', at: 0, events: [{ data: 1n }] }] }),
      deposit('b', 1),
      deposit('b', 2),
      deposit('c', 0),
      deposit('a', 2),
    ])
    for (const i of [0, 1, 6]) conflicts(outcomes[i], 'sequence', 2)
    for (const i of [3, 4]) conflicts(outcomes[i], 'sequence', 1)
    equal('outcomes', kinds(outcomes), ['conflict', 'conflict', 'failed', 'conflict', 'conflict', 'stored', 'conflict'])
    equal('sequences', [await sequences(other, 'a'), await sequences(other, 'b')], [[1, 2], [1]])
    await stores(database.store, deposit('a', 2), deposit('b', 1))
  },

  'a view row that builds on one that was not stored is a conflict even if its version fits': async (database) => {
    await stores(await database.connect(), saveViews(view('total', 0, 'of another')))
    const outcomes = await database.store.append([
      deposit('a', 0, 1, { views: [view('total', 0, 1)] }),
      deposit('b', 0, 1, { views: [view('total', 1, 2)] }),
    ])
    for (const outcome of outcomes) conflicts(outcome, 'view')
    equal('view', (await readView(database.store, 'total'))?.view, 'of another')
  },

  'a batch stores 64 commits of different aggregates that update one view row': async ({ store }) => {
    const outcomes = await store.append(
      range(64).map((i) => deposit(`account-${i}`, 0, 1, { views: [view('total', i, { n: i + 1 })] })),
    )
    equal(
      'outcomes',
      kinds(outcomes),
      range(64).map(() => 'stored'),
    )
    equal('view', await readView(store, 'total'), { name: 'balances', generation: 1, id: 'total', version: 64, view: { n: 64 } })
  },

  'a commit that builds on a row of a commit that was not stored is a conflict': async ({ store }) => {
    const outcomes = await store.append([
      deposit('a', 0, 1, { views: [view('total', 0, 1)] }),
      deposit('b', 7, 1, { views: [view('total', 1, 2)] }),
      deposit('c', 0, 1, { views: [view('total', 2, 3)] }),
      deposit('d', 0, 1, { views: [view('total', 1, 4)] }),
    ])
    equal('outcomes', kinds(outcomes), ['stored', 'conflict', 'conflict', 'stored'])
    conflicts(outcomes[2], 'view')
    equal('view', (await readView(store, 'total'))?.view, 4)
    equal('sequences of the conflict', await sequences(store, 'c'), [])
  },

  'the second use of an idempotency key in a batch is a conflict': async ({ store }) => {
    const key = { idempotencyKey: 'k', commandHash: 'h' }
    const first = deposit('a', 0, 1, { key })
    const outcomes = await store.append([first, deposit('a', 1, 1, { key }), deposit('b', 0, 1, { key })])
    equal('outcomes', kinds(outcomes), ['stored', 'conflict', 'stored'])
    conflicts(outcomes[1], 'key')
    const remembered = await store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: 'k' })
    equal('key', remembered, { commandHash: 'h', commitId: first.id, firstSequence: 1, lastSequence: 1 })
  },

  'a commit may use the key of a conflicted commit before it in its batch': async ({ store }) => {
    const key = { idempotencyKey: 'k', commandHash: 'h' }
    const outcomes = await store.append([deposit('a', 3, 1, { key }), deposit('a', 0, 1, { key })])
    equal('outcomes', kinds(outcomes), ['conflict', 'stored'])
  },

  'a commit that occurs twice in a batch is stored once and repeated once': async ({ store }) => {
    const sent = deposit('a', 0, 2)
    const outcomes = await store.append([sent, deposit('b', 0), sent, deposit('a', 2)])
    equal('outcomes', kinds(outcomes), ['stored', 'stored', 'repeated', 'stored'])
    repeated(outcomes[2], stored(outcomes[0]))
    equal('sequences', await sequences(store, 'a'), [1, 2, 3])
  },

  'a batch sent again repeats its stored commits and stores the others': async ({ store }) => {
    const chain = range(4).map((i) => deposit('a', i))
    const before = await store.append(chain.slice(0, 2))
    const outcomes = await store.append(chain)
    equal('outcomes', kinds(outcomes), ['repeated', 'repeated', 'stored', 'stored'])
    repeated(outcomes[0], stored(before[0]))
    repeated(outcomes[1], stored(before[1]))
    equal('sequences', await sequences(store, 'a'), [1, 2, 3, 4])
  },

  'checkpoints of a batch move in list order': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const outcomes = await store.append(
      ['5', '6', '7'].map((position) => commit({ checkpoint: { name: 'mailer', fence, position } })),
    )
    equal('outcomes', kinds(outcomes), ['stored', 'stored', 'stored'])
    equal('checkpoint', (await store.readCheckpoint('mailer'))?.position, '7')
  },

  'a commit that was not stored leaves its checkpoint unmoved for the next one of the batch': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const move = (expectedPosition: string | null, position: string) => ({
      checkpoint: { name: 'mailer', fence, position, expectedPosition },
    })
    const outcomes = await store.append([
      commit({ ...move(null, '5'), views: [view('row', 7, {})] }),
      commit(move('5', '6')),
      commit(move(null, '1')),
      commit(move('1', '2')),
    ])
    equal('outcomes', kinds(outcomes), ['conflict', 'conflict', 'stored', 'stored'])
    conflicts(outcomes[0], 'view')
    conflicts(outcomes[1], 'fence')
    equal('checkpoint', await store.readCheckpoint('mailer'), { position: '2', fence })
  },

  'a later commit of a batch does not overtake an earlier one on a row that both write': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const move = (expectedPosition: string | null, position: string) => ({
      checkpoint: { name: 'mailer', fence, position, expectedPosition },
    })
    const outcomes = await store.append([
      commit(move(null, '1')),
      commit({ ...move('1', '2'), views: [view('row', 0, { by: 'the second' })] }),
      saveViews(view('row', 0, { by: 'the third' })),
    ])
    equal('outcomes', kinds(outcomes), ['stored', 'stored', 'conflict'])
    conflicts(outcomes[2], 'view')
    equal('row', (await readView(store, 'row'))?.view, { by: 'the second' })
    equal('checkpoint', (await store.readCheckpoint('mailer'))?.position, '2')
  },

  'the outcomes of 300 commits have the order of their commits': async ({ store }) => {
    const next = [0, 0, 0]
    const plan = range(300).map((i) => {
      const fits = i % 7 !== 3
      const at = next[i % 3] as number
      if (fits) next[i % 3] = at + 1
      return { fits, at, sent: deposit(`account-${i % 3}`, fits ? at : at + 1_000) }
    })
    const outcomes = await store.append(plan.map(({ sent }) => sent))
    const whats = outcomes.map((outcome) => (outcome.kind === 'conflict' ? outcome.actualSequence : outcome.kind))
    equal(
      'outcomes',
      whats,
      plan.map(({ fits, at }) => (fits ? 'stored' : at)),
    )
    if (!store.capabilities.globalOrder) return
    for (const account of range(3)) {
      const given = outcomes
        .filter((_, i) => i % 3 === account)
        .flatMap((outcome) => (outcome.kind === 'stored' ? outcome.positions : []))
      equal(
        'positions',
        given,
        (await readAll(store, `account-${account}`)).events.map(({ position }) => position),
      )
    }
  },

  'batches that write the same rows in opposite order all complete': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(10)) {
      const ids = range(8).map((i) => `row-${i}`)
      const batch = (order: readonly string[], writer: number) =>
        order.map((id) =>
          deposit(`${writer}-${round}-${id}`, 0, 1, {
            views: [view(id, round, { n: round }), view(`${id}-${writer}`, round, {})],
          }),
        )
      const outcomes = await Promise.all([
        (connections[0] as Store).append(batch(ids, 0)),
        (connections[1] as Store).append(batch([...ids].reverse(), 1)),
      ])
      equal('stored, one per row', kinds(outcomes.flat()).filter((kind) => kind === 'stored').length, 8)
      equal('conflicts, one per row', kinds(outcomes.flat()).filter((kind) => kind === 'conflict').length, 8)
      for (const id of ids) equal('version', (await readView(database.store, id))?.version, round + 1)
      for (const id of ids) await level(database.store, id, round + 1)
    }
  },
}

/** Brings the rows of both writers to this version, which the next round expects. */
async function level(store: Store, id: string, version: number) {
  for (const writer of [0, 1]) {
    const at = (await readView(store, `${id}-${writer}`))?.version ?? 0
    if (at < version) await stores(store, saveViews(view(`${id}-${writer}`, at, {})))
  }
}
