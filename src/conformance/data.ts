import type { Store } from '../store/store.ts'
import { commit, deposit, saveViews, view, viewKey } from './build.ts'
import { type Cases, globalOrder, when } from './case.ts'
import { equal, stores } from './check.ts'
import { findIds, lease, readAll, readLog, readView, snapshotOf } from './read.ts'

export const dataCases: Cases = {
  'every JSON value is read back as it was sent': async ({ store }) => {
    for (const [at, value] of jsonValues.entries()) {
      const metadata = { value, key: 'text' }
      const snapshot = { stateVersion: '1', state: { value } }
      await stores(
        store,
        commit({
          appends: [{ aggregateId: 'a', at, events: [{ data: value, metadata }], snapshot }],
          views: [view('row', at, { value })],
        }),
      )
      const [event] = (await readAll(store, 'a', { after: at })).events
      equal('data', event?.data, value)
      equal('metadata', event?.metadata, metadata)
      equal('state', (await snapshotOf(store, 'a'))?.state, { value })
      equal('view', (await readView(store, 'row'))?.view, { value })
    }
  },

  'keys such as `constructor` are data like any other': async ({ store }) => {
    const data = {
      constructor: 1,
      toString: { valueOf: null },
      hasOwnProperty: false,
      length: 0,
      '': '',
      'a.b': [],
      $ne: 1,
      '0': 'zero',
    }
    await stores(
      store,
      commit({ appends: [{ aggregateId: 'a', at: 0, events: [{ data, metadata: data }] }], views: [view('row', 0, data)] }),
    )
    const [event] = (await readAll(store, 'a')).events
    equal('data', event?.data, data)
    equal('metadata', event?.metadata, data)
    equal('view', (await readView(store, 'row'))?.view, data)
  },

  'a change to returned data changes nothing in the store': async ({ store }) => {
    const content = () => ({ list: [1], inner: { text: 'a' } })
    const snapshot = { stateVersion: '1', state: content() }
    await stores(
      store,
      commit({
        appends: [{ aggregateId: 'a', at: 0, events: [{ data: content(), metadata: content() }], snapshot }],
        views: [view('row', 0, content(), { indexes: [{ index: 'n', value: '4x' }] })],
      }),
      deposit('a', 1),
    )
    const answers = async () => {
      const all = [
        await readAll(store, 'a'),
        await readAll(store, 'a', { snapshot: { stateVersion: '1' } }),
        await readView(store, 'row'),
        await store.findViews({ name: 'balances', generation: 1, where: [], limit: 9 }),
        await store.readIds({ aggregateType: 'account', limit: 9 }),
        await store.viewGenerations('balances'),
      ]
      return store.capabilities.globalOrder ? [...all, await store.readFeed({ limit: 9 })] : all
    }
    const before = JSON.stringify(await answers())
    for (const answer of await answers()) spoil(answer)
    equal('answers', JSON.parse(JSON.stringify(await answers())), JSON.parse(before))
  },

  'a change to data after append() resolved changes nothing in the store': async ({ store }) => {
    const content = () => ({ list: [1], inner: { text: 'a' } })
    const [data, metadata, state, row] = [content(), content(), content(), content()]
    const sent = commit({
      appends: [{ aggregateId: 'a', at: 0, events: [{ data, metadata }], snapshot: { stateVersion: '1', state } }],
      views: [view('row', 0, row)],
    })
    await stores(store, sent)
    for (const value of [data, metadata, state, row]) spoil(value)
    const [event] = (await readAll(store, 'a')).events
    equal('data', event?.data, content())
    equal('metadata', event?.metadata, content())
    equal('state', (await snapshotOf(store, 'a'))?.state, content())
    equal('view', await readView(store, 'row'), { ...viewKey('row'), version: 1, view: content() })
  },

  'SQL in data, metadata, types and names is text like any other': async ({ store }) => {
    for (const text of injections) await saveAndRead(store, text)
    equal('found', await findIds(store, { where: [{ index: 'n', is: '=', value: "4' OR '1'='1" }] }), [])
    await stores(store, deposit('still', 0), saveViews(view('still', 0, {})))
  },

  'SQL in a filter of the feed is text like any other': when(globalOrder, async ({ store }) => {
    await stores(store, deposit('a', 0))
    for (const text of injections) {
      equal('as a type', await readLog(store, { only: [{ aggregateType: text }] }), [])
      equal('as an event type', await readLog(store, { only: [{ aggregateType: 'account', eventTypes: [text] }] }), [])
    }
  }),
}

const injections = [
  "'; DROP TABLE events; --",
  "' OR '1'='1",
  '" OR ""="',
  "\\'; DELETE FROM events; --",
  '`events`',
  '$1 ? :id @id %s {0} $&',
  '/* */ UNION SELECT 1 --',
]

/** Stores one text in every place that holds text. */
async function saveAndRead(store: Store, text: string) {
  const aggregateType = text.replace(/[:/]/g, '')
  const key = { idempotencyKey: text, commandHash: text }
  const row = view(text, 0, { [text]: text }, { name: text, indexes: [{ index: text, value: `4${text}` }] })
  const checkpoint = { name: text, fence: await lease(store, text, text), position: text }
  const plan = { type: text, version: text, data: { [text]: text }, metadata: { [text]: text } }
  const snapshot = { stateVersion: text, state: text }
  const sent = commit({
    appends: [{ aggregateType, aggregateId: text, at: 0, events: [plan], snapshot }],
    key,
    views: [row],
    checkpoint,
  })
  await stores(store, sent)
  const { events } = await readAll(store, text, { aggregateType })
  equal(
    'event',
    events.map(({ position: _, ...event }) => event),
    sent.appends[0]?.events,
  )
  equal('snapshot', (await readAll(store, text, { aggregateType, snapshot: { stateVersion: text } })).snapshot?.state, text)
  equal('key', (await store.readKey({ aggregateType, aggregateId: text, idempotencyKey: text }))?.commandHash, text)
  equal('view', (await readView(store, text, { name: text }))?.view, { [text]: text })
  equal(
    'found',
    await findIds(store, { name: text, where: [{ index: text, is: '=', value: `4${text}` }], orderBy: { index: text } }),
    [text],
  )
  equal('checkpoint', (await store.readCheckpoint(text))?.position, text)
  equal('id', (await store.readIds({ aggregateType, limit: 9 })).items, [text])
}

/** Changes everything in a value that can be changed. */
function spoil(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const inner of Object.values(value)) spoil(inner)
  if (Object.isFrozen(value)) return
  if (Array.isArray(value)) value.push('spoilt')
  else for (const key of Object.keys(value)) (value as Record<string, unknown>)[key] = 'spoilt'
}

const jsonValues: readonly unknown[] = [
  null,
  true,
  false,
  '',
  'null',
  '{"a":1}',
  [],
  {},
  [[], [{}], null, [null, [false]]],
  { a: { b: { c: { d: [{ e: {} }] } } } },
  { '': { '': [] } },
  { ключ: 'значение', 漢字: '\u{1f600}', 'e\u0301': 'é', '\u2028': '\u2029', '\u0001\t\n\r': '\u007f\u0080\ufeff' },
  ['"', '\\', '\\"', '\\u0000', '/', '</script>', "'", '\u{10ffff}', '\uffff', '\ufffd'],
  [0, 1, -1, 0.1, -0.1, 1 / 3, 1e21, 1e-7, 123456789.12345679, 100, 1.5e300],
  [1e308, -1e308, 1.7976931348623157e308, 5e-324, -5e-324, 2.2250738585072014e-308],
  [2 ** 53, -(2 ** 53), 2 ** 53 - 1, 2 ** 31, -(2 ** 31) - 1, 2 ** 63, 2 ** 64, 4294967296],
  ['2026-01-02', '2026-01-02T03:04:05.678Z', '1e5', '007', '1.0', 'true', ' padded '],
  Array.from({ length: 200 }, (_, i) => ({ i, text: 'x'.repeat(i) })),
]
