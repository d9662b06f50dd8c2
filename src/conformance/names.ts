import type { Store } from '../store/store.ts'
import { commit, range, view } from './build.ts'
import { type Cases, globalOrder, when } from './case.ts'
import { equal, stores } from './check.ts'
import { findIds, lease, readAll, readLog, readView } from './read.ts'

export const nameCases: Cases = {
  'texts such as `__proto__` work as ids, names, keys and index values': async ({ store }) => {
    await eachByItself(store, [
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'prototype',
      'valueOf',
      'length',
      'null',
      '0',
    ])
  },

  'texts with separators, quotes and wildcards work as ids, names, keys and index values': async ({ store }) => {
    await eachByItself(store, [
      'a',
      'a:b',
      'a#b',
      'a/b',
      "a'b",
      'a"b',
      'a`b',
      'a%',
      '%',
      '_',
      'a_',
      'a\\b',
      '\\',
      'a b',
      'a\tb',
      'a\nb',
      '\u0001',
      '*',
      '[a]',
      '?',
      '--',
    ])
  },

  'texts that a locale treats as equal are distinct': async ({ store }) => {
    await eachByItself(store, [
      'a',
      'A',
      'á',
      'a\u0301',
      'à',
      'ä',
      'ａ',
      'a ',
      ' a',
      'ß',
      'ss',
      'i',
      'I',
      'ı',
      'İ',
      'é',
      'e\u0301',
      'ﬁ',
      'fi',
      'a\u200b',
      'a\ufeff',
    ])
  },

  'texts of many scripts and emoji work as ids, names, keys and index values': async ({ store }) => {
    await eachByItself(store, [
      '漢字',
      'Ελλάδα',
      'שלום',
      'مرحبا',
      '\u{1f600}',
      '\u{1f601}',
      '\u{1f468}\u200d\u{1f469}',
      '\u{20000}',
      '\u{10ffff}',
      '\uffff',
      '\uff5e',
    ])
  },

  'texts of 255 characters work as ids, names, keys and index values': async ({ store }) => {
    const lasts = [
      'x'.repeat(255),
      `${'x'.repeat(254)}y`,
      '漢'.repeat(255),
      `${'漢'.repeat(254)}字`,
      `${'\u{1f600}'.repeat(127)}a`,
      `${'\u{1f600}'.repeat(127)}b`,
    ]
    await eachByItself(store, lasts)
  },

  'types and event types are compared by their bytes': when(globalOrder, async ({ store }) => {
    const types = ['a', 'A', 'á', 'a\u0301', 'a ', '__proto__', 'constructor', '%', '_', '漢'.repeat(255)]
    for (const [data, type] of types.entries()) {
      await stores(store, commit({ appends: [{ aggregateType: type, aggregateId: 'a', at: 0, events: [{ type, data }] }] }))
    }
    for (const [i, type] of types.entries()) {
      equal(
        'of the aggregate',
        (await readAll(store, 'a', { aggregateType: type })).events.map(({ data }) => data),
        [i],
      )
      for (const only of [
        { aggregateType: type },
        { aggregateType: type, eventTypes: types },
        { aggregateType: type, eventTypes: [type] },
      ]) {
        equal(
          'in the feed',
          (await readLog(store, { only: [only] })).map(({ data }) => data),
          [i],
        )
      }
    }
  }),
}

/**
 * Checks that each text names its own aggregate, key, view and lease, independent of the others.
 */
async function eachByItself(store: Store, texts: readonly string[]) {
  const fences: number[] = []
  for (const [i, text] of texts.entries()) {
    const fence = await lease(store, text, text)
    fences.push(fence)
    const appends = [{ aggregateId: text, at: 0, events: [{ data: i }], snapshot: { stateVersion: '1', state: i } }]
    const key = { idempotencyKey: text, commandHash: String(i) }
    const own = view(text, 0, i, { name: text, indexes: [{ index: text, value: `4${text}` }] })
    const shared = view(text, 0, i, { indexes: [{ index: 'text', value: `4${text}` }] })
    await stores(store, commit({ appends, key, views: [own, shared], checkpoint: { name: text, fence, position: String(i) } }))
  }
  for (const [i, text] of texts.entries()) {
    const what = `of ${JSON.stringify(text.length > 20 ? `${text.slice(0, 2)}…${text.slice(-2)}` : text)}`
    const { events, snapshot } = await readAll(store, text, { snapshot: { stateVersion: '1' } })
    equal(`snapshot ${what}`, [snapshot?.state, events.length], [i, 0])
    const all = (await readAll(store, text)).events
    equal(
      `event ${what}`,
      all.map(({ data, aggregateId, id }) => [data, aggregateId, id]),
      [[i, text, `account/${text}/1`]],
    )
    equal(
      `key ${what}`,
      (await store.readKey({ aggregateType: 'account', aggregateId: text, idempotencyKey: text }))?.commandHash,
      String(i),
    )
    equal(`view ${what}`, [(await readView(store, text))?.view, (await readView(store, text, { name: text }))?.view], [i, i])
    equal(`view found by ${what}`, await findIds(store, { where: [{ index: 'text', is: '=', value: `4${text}` }] }), [text])
    equal(`view found under the name ${what}`, await findIds(store, { name: text, orderBy: { index: text } }), [text])
    equal(`checkpoint ${what}`, await store.readCheckpoint(text), { position: String(i), fence: fences[i] })
    equal(
      `holder ${what}`,
      holderOf(await store.acquireLease({ name: text, holder: `not ${text}`.slice(0, 255), ttlMs: 1 })),
      text,
    )
  }
  if (store.readConsumers !== undefined)
    equal(
      'consumers at once',
      (await store.readConsumers(texts)).map((one) => [one.checkpoint?.position, one.lease?.holder]),
      texts.map((text, i) => [String(i), text]),
    )
  equal('number of ids', new Set((await store.readIds({ aggregateType: 'account', limit: 99 })).items).size, texts.length)
  equal(
    'views by pages',
    new Set(await findIds(store, { limit: 2, orderBy: { index: 'text' } })).size,
    range(texts.length).length,
  )
}

const holderOf = (answer: Awaited<ReturnType<Store['acquireLease']>>) => (answer.acquired ? undefined : answer.holder)
