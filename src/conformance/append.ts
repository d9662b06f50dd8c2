import { comparePositions } from '../store/order.ts'
import type { Store } from '../store/store.ts'
import { commit, deposit, range, view } from './build.ts'
import { bytes, type Cases, globalOrder, items, noGlobalOrder, severalAppends, when } from './case.ts'
import { conflicts, equal, holds, kinds, send, stored, stores } from './check.ts'
import { findIds, lease, readAll, readView, sequences, sequencesOf } from './read.ts'

export const appendCases: Cases = {
  'sequences of an aggregate count 1, 2, 3 without a gap': async ({ store }) => {
    await stores(store, deposit('a', 0), deposit('a', 1, 3), deposit('b', 0, 2), deposit('a', 4, 2))
    equal('sequences', await sequences(store, 'a'), [1, 2, 3, 4, 5, 6])
    equal('sequences of the other', await sequences(store, 'b'), [1, 2])
  },

  'an event is read back with every field as it was appended': async ({ store }) => {
    const sent = commit({
      appends: [
        {
          aggregateId: 'a',
          at: 0,
          events: [
            {
              type: 'AccountOpened',
              version: '2.1',
              data: { owner: 'Ann' },
              metadata: { userId: 'u', nested: { list: [1, null] } },
            },
            { type: 'MoneyDeposited', data: { amount: 5 }, metadata: {} },
          ],
        },
      ],
    })
    await stores(store, sent)
    const { events } = await readAll(store, 'a')
    equal(
      'events',
      events.map(({ position: _, ...event }) => event),
      sent.appends[0]?.events,
    )
  },

  'a stored commit has one position per event, and positions grow': when(globalOrder, async ({ store }) => {
    const positions = await stores(store, deposit('a', 0, 3), deposit('b', 0), deposit('a', 3, 2))
    equal('number of positions', positions.length, 6)
    for (const i of range(5)) {
      const [before, after] = positions.slice(i, i + 2)
      holds('positions are decimal digits', /^\d+$/.test(before ?? ''))
      holds(
        `position ${after} is behind ${before}`,
        before !== undefined && after !== undefined && comparePositions(before, after) < 0,
      )
    }
    equal(
      'positions read back',
      (await readAll(store, 'a')).events.map(({ position }) => position),
      [...positions.slice(0, 3), ...positions.slice(4)],
    )
  }),

  'a store without a global order gives no positions': when(noGlobalOrder, async ({ store }) => {
    equal('positions', await stores(store, deposit('a', 0, 3)), [])
    equal(
      'positions read back',
      (await readAll(store, 'a')).events.filter((event) => event.position !== undefined),
      [],
    )
  }),

  'an append before or after the last event is a conflict that names the last sequence': async ({ store }) => {
    await stores(store, deposit('a', 0, 3))
    conflicts(await send(store, deposit('a', 0)), 'sequence', 3)
    conflicts(await send(store, deposit('a', 2, 4)), 'sequence', 3)
    conflicts(await send(store, deposit('a', 4)), 'sequence', 3)
    conflicts(await send(store, deposit('unknown', 1)), 'sequence', 0)
    equal('sequences', await sequences(store, 'a'), [1, 2, 3])
    equal('sequences of the unknown', await sequences(store, 'unknown'), [])
  },

  'a write between a read of an empty aggregate and its append makes the append a conflict': async (database) => {
    const other = await database.connect()
    equal('the read', await sequences(database.store, 'a'), [])
    await stores(other, deposit('a', 0, 2))
    conflicts(await send(database.store, deposit('a', 0)), 'sequence', 2)
    equal('sequences', await sequences(database.store, 'a'), [1, 2])
  },

  'one of eight concurrent creations wins': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(10)) await race(connections, `account-${round}`, 0)
  },

  'one of eight concurrent commits on the same state wins': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(10)) await race(connections, 'a', round * 2)
  },

  'concurrent writers that decide again after each conflict lose no event': async (database) => {
    const connections = [database.store, await database.connect()]
    await Promise.all(range(4).map((writer) => increment(connections[writer % 2] as Store, `writer-${writer}`, 5)))
    const { events } = await readAll(database.store, 'a')
    equal(
      'sequences',
      sequencesOf(events),
      range(40).map((i) => i + 1),
    )
    for (const { data, sequence } of events) equal('the sequence that was decided on', data, { amount: sequence })
    for (const i of range(20))
      equal('the two events of a commit are adjacent', events[2 * i + 1]?.commitId, events[2 * i]?.commitId)
  },

  'a commit that conflicts stores none of its parts': async ({ store }) => {
    await stores(
      store,
      deposit('a', 0),
      commit({ views: [view('row', 0, { n: 1 }, { indexes: [{ index: 'n', value: '4old' }] })] }),
    )
    const lost = commit({
      appends: [{ aggregateId: 'a', at: 0, events: 3, snapshot: { stateVersion: '1', state: {} } }],
      key: { idempotencyKey: 'k', commandHash: 'h' },
      views: [view('row', 1, { n: 2 }, { indexes: [{ index: 'n', value: '4new' }] }), view('fresh', 0, {})],
      checkpoint: { name: 'mailer', fence: await lease(store, 'mailer'), position: '7' },
    })
    conflicts(await send(store, lost), 'sequence', 1)
    const { events, snapshot } = await readAll(store, 'a', { snapshot: { stateVersion: '1' } })
    equal('sequences', sequencesOf(events), [1])
    equal('snapshot', snapshot, undefined)
    equal('view', await readView(store, 'row'), { name: 'balances', generation: 1, id: 'row', version: 1, view: { n: 1 } })
    equal('fresh view', await readView(store, 'fresh'), undefined)
    equal('found by the old value', await findIds(store, { where: [{ index: 'n', is: '=', value: '4old' }] }), ['row'])
    equal('found by the new value', await findIds(store, { where: [{ index: 'n', is: '=', value: '4new' }] }), [])
    equal('key', await store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: 'k' }), undefined)
    equal('checkpoint', await store.readCheckpoint('mailer'), undefined)
  },

  'two aggregates in one commit are stored both or neither': when(severalAppends, async ({ store }) => {
    await stores(
      store,
      commit({
        appends: [
          { aggregateId: 'a', at: 0, events: 2 },
          { aggregateId: 'b', at: 0 },
        ],
      }),
    )
    const late = {
      appends: [
        { aggregateId: 'c', at: 0 },
        { aggregateId: 'a', at: 1 },
        { aggregateId: 'b', at: 0 },
      ],
    }
    conflicts(await send(store, commit(late)), 'sequence', 2)
    equal('sequences', [await sequences(store, 'a'), await sequences(store, 'b'), await sequences(store, 'c')], [[1, 2], [1], []])
  }),

  '26 events in one commit are stored whole': when(items(26), manyEvents(26)),
  '101 events in one commit are stored whole': when(items(101), manyEvents(101)),
  '1,000 events in one commit are stored whole': when(items(1_000), manyEvents(1_000)),
  'a payload of 1 MB is read back whole': when(bytes(1_000_000), largePayload(1_000_000)),
  'a payload of 10 MB is read back whole': when(bytes(10_000_000), largePayload(10_000_000)),
}

/** Sends eight commits of two events at once, alternating between the connections. */
async function race(connections: readonly Store[], aggregateId: string, at: number) {
  const sent = range(8).map(() => deposit(aggregateId, at, 2))
  const outcomes = await Promise.all(sent.map((one, i) => send(connections[i % connections.length] as Store, one)))
  equal('winners', kinds(outcomes).filter((kind) => kind === 'stored').length, 1)
  for (const outcome of outcomes) if (outcome.kind !== 'stored') conflicts(outcome, 'sequence', at + 2)
  const { events } = await readAll(connections[0] as Store, aggregateId, { after: at })
  equal('sequences', sequencesOf(events), [at + 1, at + 2])
  const winner = sent[outcomes.findIndex(({ kind }) => kind === 'stored')]?.id
  equal(
    'whose events they are',
    events.map(({ commitId }) => commitId),
    [winner, winner],
  )
}

async function increment(store: Store, writer: string, times: number) {
  for (let done = 0; done < times; ) {
    const at = (await sequences(store, 'a')).length
    const outcome = await send(store, deposit('a', at, 2, { id: `${writer}-${at}` }))
    if (outcome.kind === 'stored') done++
    else conflicts(outcome, 'sequence')
  }
}

function manyEvents(count: number) {
  return async ({ store }: { store: Store }) => {
    stored(await send(store, deposit('a', 0, count)))
    const { events } = await readAll(store, 'a')
    equal(
      'sequences',
      sequencesOf(events),
      range(count).map((i) => i + 1),
    )
    equal('data of the last', events.at(-1)?.data, { amount: count })
    conflicts(await send(store, deposit('a', 0)), 'sequence', count)
  }
}

function largePayload(length: number) {
  return async ({ store }: { store: Store }) => {
    const text = 'a"\\é漢'.repeat(Math.ceil(length / 9)).slice(0, Math.floor(length / 2))
    await stores(store, commit({ appends: [{ aggregateId: 'a', at: 0, events: [{ data: { text } }, { data: 1 }] }] }))
    const { events } = await readAll(store, 'a')
    holds('the text is what was sent', (events[0]?.data as { text?: unknown })?.text === text)
    equal('the event behind it', events[1]?.data, 1)
  }
}
