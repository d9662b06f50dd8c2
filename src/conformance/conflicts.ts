import { commit, deposit, range, saveViews, view } from './build.ts'
import type { Cases } from './case.ts'
import { conflicts, equal, send, stores } from './check.ts'
import { lease, readView, sequences } from './read.ts'

export const conflictCases: Cases = {
  'a conflict names the fence before key, sequence, generation and view': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    await stores(store, deposit('a', 0, 2, { key: { idempotencyKey: 'used', commandHash: 'h' } }), saveViews(view('row', 0, {})))
    const stale = { name: 'mailer', fence: fence + 1, position: '1' }
    const used = { idempotencyKey: 'used', commandHash: 'h' }
    const inTheWay = [
      ['fence', { checkpoint: stale }],
      ['key', { key: used }],
      ['sequence', {}],
      ['generation', {}],
      ['view', {}],
    ] as const
    for (const [i, [on]] of inTheWay.entries()) {
      const rest = Object.assign({}, ...inTheWay.slice(i).map(([, parts]) => parts))
      const views = [view('row', on === 'view' ? 9 : 0, {}), view('other', 0, {}, { generation: i < 4 ? 7 : 1 })]
      conflicts(await send(store, deposit('a', i < 3 ? 1 : 2, 1, { ...rest, views })), on)
    }
    equal('sequences', await sequences(store, 'a'), [1, 2])
    equal('view', (await readView(store, 'row'))?.version, 1)
    equal('other view', await readView(store, 'other'), undefined)
  },

  'a conflict on one part of a commit leaves its other parts unstored': async ({ store }) => {
    const fence = await lease(store, 'mailer')
    const key = { idempotencyKey: 'k', commandHash: 'h' }
    const fits = { views: [view('row', 0, {})], key, checkpoint: { name: 'mailer', fence, position: '1' } }
    await stores(store, deposit('b', 0, 1, { key }))
    conflicts(await send(store, deposit('a', 0, 1, { ...fits, checkpoint: { ...fits.checkpoint, fence: fence + 1 } })), 'fence')
    conflicts(await send(store, deposit('a', 0, 1, { ...fits, views: [view('row', 1, {})] })), 'view')
    conflicts(await send(store, deposit('a', 0, 1, { ...fits, views: [view('row', 0, {}, { generation: 2 })] })), 'generation')
    conflicts(await send(store, deposit('b', 1, 1, fits)), 'key')
    conflicts(await send(store, deposit('a', 1, 1, fits)), 'sequence', 0)
    equal('sequences', [await sequences(store, 'a'), await sequences(store, 'b')], [[], [1]])
    equal('view', await readView(store, 'row'), undefined)
    equal('key', await store.readKey({ aggregateType: 'account', aggregateId: 'a', idempotencyKey: 'k' }), undefined)
    equal('checkpoint', await store.readCheckpoint('mailer'), undefined)
    await stores(store, commit({ appends: [{ aggregateId: 'a', at: 0 }], ...fits }))
  },

  'concurrent commits on one store do not mix': async ({ store }) => {
    await stores(store, ...range(20).map((i) => saveViews(view(`taken-${i}`, 0, {}))))
    const key = (i: number) => ({ idempotencyKey: 'k', commandHash: String(i) })
    const plan = (i: number) => [view(`row-${i}`, 0, i), view(`taken-${i}`, i % 2, i)]
    const sent = range(20).map((i) => send(store, deposit(`account-${i}`, 0, 3, { views: plan(i), key: key(i) })))
    for (const [i, outcome] of (await Promise.all(sent)).entries()) {
      if (i % 2 === 0) conflicts(outcome, 'view')
      else equal('the outcome', outcome.kind, 'stored')
      const remembered = await store.readKey({ aggregateType: 'account', aggregateId: `account-${i}`, idempotencyKey: 'k' })
      const written = [await sequences(store, `account-${i}`), (await readView(store, `row-${i}`))?.view, remembered?.commandHash]
      equal(`what is written of commit ${i}`, written, i % 2 === 0 ? [[], undefined, undefined] : [[1, 2, 3], i, String(i)])
    }
  },
}
