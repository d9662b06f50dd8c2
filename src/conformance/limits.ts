import { commit, deposit, range, view } from './build.ts'
import { bytes, type Cases, limited, severalAppends, when } from './case.ts'
import { equal, failed, holds, kinds, send } from './check.ts'
import { readView, sequences } from './read.ts'

export const limitCases: Cases = {
  'a commit with data that is not JSON fails and stores nothing': async ({ store }) => {
    for (const data of [{ amount: 1n }, undefined, () => 1]) {
      const bad = commit({ appends: [{ aggregateId: 'a', at: 0, events: [{}, { data }] }], views: [view('row', 0, {})] })
      failed(await send(store, bad))
    }
    equal('sequences', await sequences(store, 'a'), [])
    equal('view', await readView(store, 'row'), undefined)
  },

  'a commit with a view that is not JSON fails and stores nothing': async ({ store }) => {
    for (const content of [{ amount: 1n }, undefined, () => 1])
      failed(await send(store, deposit('a', 0, 1, { views: [view('row', 0, content)] })))
    equal('sequences', await sequences(store, 'a'), [])
    equal('view', await readView(store, 'row'), undefined)
  },

  'one commit that is not JSON in a batch of a hundred does not affect the others': async ({ store }) => {
    const batch = range(101).map((i) =>
      i === 50 ? commit({ appends: [{ aggregateId: 'bad', at: 0, events: [{ data: 1n }] }] }) : deposit(`account-${i}`, 0, 2),
    )
    const outcomes = await store.append(batch)
    failed(outcomes[50])
    equal('stored', kinds(outcomes).filter((kind) => kind === 'stored').length, 100)
    equal('sequences of one', await sequences(store, 'account-99'), [1, 2])
    equal('sequences of the bad one', await sequences(store, 'bad'), [])
  },

  'a batch of 500 commits is stored': async ({ store }) => {
    const batch = range(500).map((i) => deposit(`account-${i}`, 0, 3, { views: [view(`row-${i}`, 0, i)] }))
    equal('stored', kinds(await store.append(batch)).filter((kind) => kind === 'stored').length, 500)
    equal('ids', (await store.readIds({ aggregateType: 'account', limit: 1_000 })).items.length, 500)
    equal('the last', [await sequences(store, 'account-499'), (await readView(store, 'row-499'))?.view], [[1, 2, 3], 499])
  },

  'a batch of many large commits is stored': when(bytes(300_000), async ({ store }) => {
    const text = 'x'.repeat(300_000)
    const batch = range(30).map((i) => commit({ appends: [{ aggregateId: `account-${i}`, at: 0, events: [{ data: text }] }] }))
    equal('stored', kinds(await store.append(batch)).filter((kind) => kind === 'stored').length, 30)
    equal('the last', await sequences(store, 'account-29'), [1])
  }),

  'a commit above appendsPerCommit fails and names the limit': when(limited('appendsPerCommit', 100), async ({ store }) => {
    const limit = store.capabilities.appendsPerCommit
    const appends = range(limit + 1).map((i) => ({ aggregateId: `account-${i}`, at: 0 }))
    namesLimit(failed(await send(store, commit({ appends })), 'STORE_LIMIT'), limit)
    equal('sequences', await sequences(store, 'account-0'), [])
  }),

  'a commit of exactly appendsPerCommit appends is stored': when(
    [severalAppends, limited('appendsPerCommit', 100)],
    async ({ store }) => {
      const appends = range(store.capabilities.appendsPerCommit).map((i) => ({ aggregateId: `account-${i}`, at: 0 }))
      equal('outcome', (await send(store, commit({ appends }))).kind, 'stored')
    },
  ),

  'a commit above itemsPerCommit fails and names the limit': when(limited('itemsPerCommit', 10_000), async ({ store }) => {
    const limit = store.capabilities.itemsPerCommit
    namesLimit(failed(await send(store, deposit('a', 0, limit + 1)), 'STORE_LIMIT'), limit)
    equal('sequences', await sequences(store, 'a'), [])
  }),

  'an event above bytesPerEvent fails and names the limit, and its batch is stored without it': when(
    limited('bytesPerEvent', 64_000_000),
    async ({ store }) => {
      const limit = store.capabilities.bytesPerEvent
      const large = commit({ appends: [{ aggregateId: 'large', at: 0, events: [{ data: 'x'.repeat(limit + 1) }] }] })
      const outcomes = await store.append([deposit('a', 0), large, deposit('b', 0)])
      equal('outcomes', kinds(outcomes), ['stored', 'failed', 'stored'])
      namesLimit(failed(outcomes[1], 'STORE_LIMIT'), limit)
      equal('sequences', [await sequences(store, 'a'), await sequences(store, 'large')], [[1], []])
    },
  ),
}

const namesLimit = (cause: unknown, limit: number) =>
  holds(
    `the message names the limit of ${limit}`,
    String((cause as Error).message)
      .replace(/[,_ ]/g, '')
      .includes(String(limit)),
  )
