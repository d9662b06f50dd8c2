import type { Store } from '../store/store.ts'
import { commit, deposit, range, view } from './build.ts'
import { type Cases, severalAppends, when } from './case.ts'
import { conflicts, equal, kinds, send, stores } from './check.ts'
import { readView, sequences } from './read.ts'

export const keyCases: Cases = {
  'a key is remembered with its hash, its commit and the sequences of its events': async ({ store }) => {
    const sent = deposit('a', 2, 3, { key: { idempotencyKey: 'k', commandHash: 'hash' } })
    await stores(store, deposit('a', 0, 2), sent)
    const expected = { commandHash: 'hash', commitId: sent.id, firstSequence: 3, lastSequence: 5 }
    equal('key', await readKey(store, 'a', 'k'), expected)
    await stores(store, deposit('a', 5), deposit('a', 6, 1, { key: { idempotencyKey: 'l', commandHash: 'other' } }))
    equal('key, later', await readKey(store, 'a', 'k'), expected)
  },

  'readKey returns undefined for an unknown key': async ({ store }) => {
    await stores(store, deposit('a', 0, 1, { key: { idempotencyKey: 'k', commandHash: 'hash' } }))
    equal('an unknown key', await readKey(store, 'a', 'unknown'), undefined)
    equal('the key on an unknown aggregate', await readKey(store, 'unknown', 'k'), undefined)
  },

  'a key belongs to one aggregate': async ({ store }) => {
    const key = (commandHash: string) => ({ key: { idempotencyKey: 'k', commandHash } })
    await stores(store, deposit('a', 0, 1, key('1')), deposit('b', 0, 1, key('2')))
    await stores(store, commit({ appends: [{ aggregateType: 'order', aggregateId: 'a', at: 0 }], ...key('3') }))
    equal('on a', (await readKey(store, 'a', 'k'))?.commandHash, '1')
    equal('on b', (await readKey(store, 'b', 'k'))?.commandHash, '2')
    equal('on the order', (await readKey(store, 'a', 'k', 'order'))?.commandHash, '3')
  },

  'keys are distinct even if aggregate and text read the same together': async ({ store }) => {
    const pairs = ['', '/', ':', '#', '|', ' '].flatMap((glue) => [
      [`a${glue}b`, 'c'],
      ['a', `b${glue}c`],
      ['a', `${glue}b${glue}c`],
    ])
    const distinct = [...new Map(pairs.map((pair) => [JSON.stringify(pair), pair])).values()] as [string, string][]
    const next = new Map<string, number>()
    for (const [id, idempotencyKey] of distinct) {
      const at = next.get(id) ?? 0
      next.set(id, at + 1)
      await stores(store, deposit(id, at, 1, { key: { idempotencyKey, commandHash: `${id}\n${idempotencyKey}` } }))
    }
    for (const [id, key] of distinct) equal(`${id}, ${key}`, (await readKey(store, id, key))?.commandHash, `${id}\n${key}`)
  },

  'keys are compared by their bytes': async ({ store }) => {
    const keys = ['k', 'K', 'k ', 'ḱ', '__proto__', 'constructor', "'; --", '%', '_']
    for (const [at, idempotencyKey] of keys.entries()) {
      await stores(store, deposit('a', at, 1, { key: { idempotencyKey, commandHash: String(at) } }))
    }
    for (const [at, key] of keys.entries()) equal(`key '${key}'`, (await readKey(store, 'a', key))?.firstSequence, at + 1)
    equal('an unknown key', await readKey(store, 'a', 'toString'), undefined)
  },

  'another commit with a used key is a conflict on key even if its sequence fits': async ({ store }) => {
    const key = { idempotencyKey: 'k', commandHash: 'hash' }
    await stores(store, deposit('a', 0, 1, { key }))
    conflicts(await send(store, deposit('a', 1, 1, { key, views: [view('row', 0, {})] })), 'key')
    conflicts(await send(store, deposit('a', 0, 1, { key: { ...key, commandHash: 'other' } })), 'key')
    equal('sequences', await sequences(store, 'a'), [1])
    equal('view', await readView(store, 'row'), undefined)
    equal('hash', (await readKey(store, 'a', 'k'))?.commandHash, 'hash')
  },

  'one of eight concurrent commits with one key is stored': async (database) => {
    const connections = [database.store, await database.connect()]
    for (const round of range(10)) {
      const key = { idempotencyKey: `k-${round}`, commandHash: 'hash' }
      const sent = range(8).map(() => deposit('a', round, 1, { key }))
      const outcomes = await Promise.all(sent.map((one, i) => send(connections[i % 2] as Store, one)))
      equal('winners', kinds(outcomes).filter((kind) => kind === 'stored').length, 1)
      for (const outcome of outcomes) if (outcome.kind !== 'stored') conflicts(outcome, 'key')
      const winner = sent[outcomes.findIndex(({ kind }) => kind === 'stored')]?.id
      equal('whose key it is', (await readKey(database.store, 'a', `k-${round}`))?.commitId, winner)
    }
    equal(
      'sequences',
      await sequences(database.store, 'a'),
      range(10).map((i) => i + 1),
    )
  },

  'the key of a commit on two aggregates belongs to the first': when(severalAppends, async ({ store }) => {
    const appends = [
      { aggregateId: 'b', at: 0, events: 2 },
      { aggregateId: 'a', at: 0 },
    ]
    await stores(store, commit({ appends, key: { idempotencyKey: 'k', commandHash: 'hash' } }))
    equal('last sequence', (await readKey(store, 'b', 'k'))?.lastSequence, 2)
    equal('on the second', await readKey(store, 'a', 'k'), undefined)
  }),
}

const readKey = (store: Store, aggregateId: string, idempotencyKey: string, aggregateType = 'account') =>
  store.readKey({ aggregateType, aggregateId, idempotencyKey })
