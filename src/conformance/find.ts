import type { ViewWrite } from '../store/commit.ts'
import { encodeIndexValue, type IndexValue } from '../store/index-value.ts'
import { compareBytes } from '../store/order.ts'
import type { Store, ViewFind } from '../store/store.ts'
import { range, saveViews, view } from './build.ts'
import type { Cases } from './case.ts'
import { equal, holds, stores } from './check.ts'
import { findAll, findIds } from './read.ts'

/** In the order that the port defines. */
const values: readonly IndexValue[] = [
  ...[null, false, true],
  ...[-Infinity, -1e308, -1_000, -12.5, -12, -1, -0.5, -5e-324, 0, 5e-324, 0.1, 0.25, 1, 9, 10, 100, 2 ** 53, 1e308, Infinity],
  ...[
    '',
    ' ',
    '%',
    '10',
    '9',
    'A',
    'Z',
    '_',
    '__proto__',
    'a',
    'a ',
    'a%',
    'ab',
    'b',
    'é',
    '漢',
    '\uff5e',
    '\u{1f600}',
    '\u{10ffff}',
  ],
]

export const findCases: Cases = {
  'findViews without conditions returns all views of the name in byte order of their ids': async ({ store }) => {
    const ids = ['b', 'a', 'B', 'é', '\u{1f600}', '\uff5e', 'aa', '10', '9', '__proto__']
    for (const id of ids) await stores(store, saveViews(view(id, 0, { id })))
    await stores(store, saveViews(view('other', 0, {}, { name: 'others' })))
    const sorted = [...ids].sort(compareBytes)
    const found = await findAll(store)
    equal(
      'ids',
      found.map(({ id }) => id),
      sorted,
    )
    equal(
      'views',
      found.map(({ view: content }) => content),
      sorted.map((id) => ({ id })),
    )
    equal('of a name without views', await findIds(store, { name: 'none' }), [])
    for (const limit of [1, 3, 10]) equal(`in pages of ${limit}`, await findIds(store, { limit }), sorted)
  },

  'an equality condition matches only values of its own type': async ({ store }) => {
    await saveValues(store)
    for (const [i, value] of values.entries()) equal(`= ${String(value)}`, await find(store, '=', value), [idOf(i)])
    equal('= -0', await find(store, '=', -0), await find(store, '=', 0))
    equal('= 7', await find(store, '=', 7), [])
  },

  'range conditions compare numbers, texts and other values in the order of values': async ({ store }) => {
    await saveValues(store)
    const ids = range(values.length).map(idOf)
    for (const i of [0, 2, 3, 7, 11, 14, 20, 22, 30, values.length - 1]) {
      const value = values[i] as IndexValue
      equal(`< ${String(value)}`, await find(store, '<', value), ids.slice(0, i))
      equal(`<= ${String(value)}`, await find(store, '<=', value), ids.slice(0, i + 1))
      equal(`> ${String(value)}`, await find(store, '>', value), ids.slice(i + 1))
      equal(`>= ${String(value)}`, await find(store, '>=', value), ids.slice(i))
    }
  },

  'findViews returns the views that meet all conditions': async ({ store }) => {
    for (const i of range(12))
      await stores(store, saveViews(view(idOf(i), 0, i, index({ n: i, even: i % 2 === 0, owner: i < 6 ? 'ann' : 'bob' }))))
    const where = (...conditions: [string, '=' | '<' | '<=' | '>' | '>=', IndexValue][]) =>
      findIds(store, { where: conditions.map(([name, is, value]) => ({ index: name, is, value: encodeIndexValue(value) })) })
    equal('two indexes', await where(['even', '=', true], ['owner', '=', 'ann']), [0, 2, 4].map(idOf))
    equal('a range on both sides', await where(['n', '>', 3], ['n', '<=', 6]), [4, 5, 6].map(idOf))
    equal('three conditions', await where(['n', '>', 3], ['n', '<=', 9], ['even', '=', false]), [5, 7, 9].map(idOf))
    equal('the same one twice', await where(['n', '=', 3], ['n', '=', 3]), [3].map(idOf))
    equal('what contradicts', await where(['n', '=', 3], ['n', '=', 4]), [])
    equal('an index without values', await where(['n', '=', 3], ['unknown', '>=', null]), [])
  },

  'a view without a value for an index is neither found nor ordered by it': async ({ store }) => {
    await stores(
      store,
      saveViews(view('a', 0, 1, index({ n: 1 }))),
      saveViews(view('b', 0, 2)),
      saveViews(view('c', 0, 3, index({ m: 1 }))),
    )
    equal('found', await findIds(store, { where: [{ index: 'n', is: '>=', value: '0' }] }), ['a'])
    equal('ordered', await findIds(store, { orderBy: { index: 'n' } }), ['a'])
    equal('all', await findIds(store), ['a', 'b', 'c'])
  },

  'a save replaces all index values of its view': async ({ store }) => {
    const by = async (name: string, value: IndexValue) =>
      findIds(store, { where: [{ index: name, is: '=', value: encodeIndexValue(value) }] })
    await stores(store, saveViews(view('row', 0, 1, index({ owner: 'ann', city: 'Rome' }))))
    await stores(store, saveViews(view('row', 1, 2, index({ owner: 'bob' }))))
    equal('by the old values', [await by('owner', 'ann'), await by('city', 'Rome')], [[], []])
    equal('by the new one', await by('owner', 'bob'), ['row'])
    await stores(store, saveViews(view('row', 2, 3)))
    equal('saved without any', [await by('owner', 'bob'), await findIds(store)], [[], ['row']])
  },

  'a found view has every field of its row': async ({ store }) => {
    await stores(store, saveViews(view('a', 0, {})), saveViews(view('a', 1, { n: [1] }, { sequence: 5, ...index({ n: 1 }) })))
    const row = { name: 'balances', generation: 1, id: 'a', version: 2, view: { n: [1] }, sequence: 5 }
    equal('page', await store.findViews({ name: 'balances', generation: 1, where: [], limit: 1 }), { items: [row] })
    equal('ordered', await findAll(store, { orderBy: { index: 'n' } }), [row])
  },

  'findViews orders by an index in both directions, ties by id': async ({ store }) => {
    await saveTies(store)
    const up = ties.map(([id]) => id)
    equal('ascending', await findIds(store, { orderBy: { index: 'n' } }), up)
    equal('descending', await findIds(store, { orderBy: { index: 'n', descending: true } }), descendingTies())
    await saveValues(store, 'values')
    const ids = range(values.length).map(idOf)
    equal('values of all kinds', await findIds(store, { name: 'values', orderBy: { index: 'value' } }), ids)
    equal(
      'the other way',
      await findIds(store, { name: 'values', orderBy: { index: 'value', descending: true } }),
      [...ids].reverse(),
    )
  },

  'pages of any size have every view once': async ({ store }) => {
    await saveTies(store)
    const requests: [string, Partial<ViewFind>, readonly string[]][] = [
      ['by id', {}, [...ties.map(([id]) => id)].sort(compareBytes)],
      ['by index', { orderBy: { index: 'n' } }, ties.map(([id]) => id)],
      ['by index, descending', { orderBy: { index: 'n', descending: true } }, descendingTies()],
      ['by condition', { where: [{ index: 'n', is: '=', value: encodeIndexValue(2) }] }, tiesOf(2)],
    ]
    for (const [what, request, expected] of requests) {
      for (const limit of [1, 2, 3, 5, 9, 10])
        equal(`${what} in pages of ${limit}`, await findIds(store, { ...request, limit }), expected)
      const full = await store.findViews({ name: 'balances', generation: 1, where: [], limit: expected.length, ...request })
      equal(`${what}: a page that ends with the last view has no next one`, full.next, undefined)
    }
  },

  'a page ends with a cursor that works even if its last view is deleted': async ({ store }) => {
    await saveTies(store)
    const request: ViewFind = { name: 'balances', generation: 1, where: [], orderBy: { index: 'n' }, limit: 4 }
    const page = await store.findViews(request)
    holds('there is a next page', page.next !== undefined)
    equal('where it goes on', page.next, { id: ties[3]?.[0], value: encodeIndexValue(ties[3]?.[1] as number) })
    await stores(store, saveViews(view(ties[3]?.[0] as string, 1, null)))
    equal(
      'the rest',
      await findIds(store, { orderBy: { index: 'n' }, ...(page.next && { after: page.next }) }),
      ties.slice(4).map(([id]) => id),
    )
  },

  'deleted views do not shorten a page': async ({ store }) => {
    for (const i of range(20)) await stores(store, saveViews(view(idOf(i), 0, i, index({ n: i }))))
    for (const i of range(15)) await stores(store, saveViews(view(idOf(i), 1, null)))
    equal(
      'found',
      await findIds(store, { limit: 2 }),
      range(5).map((i) => idOf(i + 15)),
    )
    equal(
      'ordered',
      await findIds(store, { limit: 2, orderBy: { index: 'n', descending: true } }),
      range(5).map((i) => idOf(19 - i)),
    )
  },
}

/** In ascending order, ties by id. */
const ties: readonly (readonly [string, number])[] = [
  ['d', -1],
  ['B', 1],
  ['a', 1],
  ['c', 1],
  ['A', 2],
  ['b', 2],
  ['é', 2],
  ['\uff5e', 2],
  ['\u{1f600}', 2],
  ['aa', 3],
]

const tiesOf = (value: number) => ties.filter(([, n]) => n === value).map(([id]) => id)
const descendingTies = () => [3, 2, 1, -1].flatMap(tiesOf)
const saveTies = async (store: Store) => {
  for (const [id, n] of [...ties].reverse()) await stores(store, saveViews(view(id, 0, { n }, index({ n }))))
}

const idOf = (i: number) => `row-${String(i).padStart(3, '0')}`

const index = (of: Readonly<Record<string, IndexValue>>): Required<Pick<ViewWrite, 'indexes'>> => ({
  indexes: Object.entries(of).map(([name, value]) => ({ index: name, value: encodeIndexValue(value) })),
})

async function saveValues(store: Store, name = 'balances') {
  const writes = values.map((value, i) => saveViews(view(idOf(i), 0, i, { name, ...index({ value }) })))
  await stores(store, ...writes.reverse())
}

const find = (store: Store, is: '=' | '<' | '<=' | '>' | '>=', value: IndexValue) =>
  findIds(store, { where: [{ index: 'value', is, value: encodeIndexValue(value) }] })
