import { createApp, defineAggregate, type Shape, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { collect, failureOf } from '../support/async.ts'

/** An aggregate whose command is put into an event as it is. */
function boxOf<S extends Shape>(shape: S) {
  const box = defineAggregate({
    type: 'box',
    events: { Packed: shape },
    commands: { Pack: typed<unknown>() },
    initialState: (): { last: unknown } => ({ last: null }),
  }).implement({
    handle: { Pack: () => ({ type: 'Packed', data: contents }) as never },
    apply: { Packed: (_, last) => ({ last }) },
  })
  let contents: unknown
  const store = memoryStore()
  const app = () => createApp({ store, aggregates: { box } }).aggregates.box
  const pack = (data: unknown, id = 'b') => {
    contents = data
    return app().execute(id, { type: 'Pack', data: 0 })
  }
  const unpack = async (id = 'b') => (await collect(app().events(id))).map((e): unknown => e.data)
  return { pack, unpack, store, app }
}
const plain = typed<unknown>()

const oddTexts = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'a:b',
  'a#b',
  'a/b/../c',
  "'; DROP TABLE events; --",
  '"double" `back`',
  '%_\\',
  ' ',
  '\n\t\u0001\u007f',
  '\u2028',
  'é vs e\u0301',
  '🦆',
  '𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
  'ﷺ',
  'x'.repeat(255),
  '🦆'.repeat(127),
]

describe('ids of every kind', () => {
  test.each(oddTexts)('the id %j works like any other', async (id) => {
    const { app, pack, unpack } = boxOf(plain)
    expect(await pack('in', id)).toMatchObject({ ok: true, sequence: 1, events: [{ aggregateId: id, id: `box/${id}/1` }] })
    expect(await unpack(id)).toEqual(['in'])
    expect((await app().load(id)).sequence).toBe(1)
    expect((await app().load([...id].slice(1).join('') || 'other')).sequence).toBe(0)
  })

  test('ids that look alike are different aggregates', async () => {
    const { pack, app } = boxOf(plain)
    const ids = ['a', 'A', 'á', 'a\u0301', 'a ', ' a', 'ａ', '1', '01', '1.0']
    for (const [i, id] of ids.entries()) await pack(i, id)
    for (const [i, id] of ids.entries()) expect((await app().load(id)).state).toEqual({ last: i })
  })

  test.each([
    ['', 'must not be empty'],
    ['x'.repeat(256), 'is 256 characters long; the limit is 255'],
    ['a\0b', 'NUL'],
    ['\ud83e', 'lone surrogate'],
    ['\udd86\ud83e', 'lone surrogate'],
    [7, 'must be a text, not number'],
    [null, 'must be a text, not null'],
    [undefined, 'must be a text, not undefined'],
    [['a'], 'must be a text, not object'],
  ])('%j is refused by execute, load and events', async (id, problem) => {
    const { app } = boxOf(plain)
    const asked = [
      () => app().execute(id as string, { type: 'Pack', data: 0 }),
      () => app().load(id as string),
      async () => collect(app().events(id as string)),
    ]
    for (const ask of asked) {
      const error = await failureOf(ask())
      expect(error.code).toBe('VALIDATION')
      expect(error.message).toContain(problem)
    }
  })
})

describe('event data', () => {
  test.each([
    ['texts', oddTexts],
    ['names of what every object has', { constructor: 1, toString: { valueOf: 2 }, hasOwnProperty: [] }],
    ['numbers', [0, 1e308, 5e-324, -1.5, 2 ** 53]],
    ['nothing much', [null, false, true, '', {}, [], [[]]]],
    ['a text alone', 'text'],
    ['null', null],
    [
      'many levels',
      Array(200)
        .fill(0)
        .reduce((inner) => ({ inner }), 'deep'),
    ],
    ['keys of every kind', Object.fromEntries(oddTexts.slice(1).map((text, i) => [text, i]))],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
  ])('event data with %s reads back unchanged', async (_, data) => {
    const { pack, unpack } = boxOf(plain)
    const result = await pack(data)
    expect(result).toMatchObject({ ok: true })
    expect(result.ok && result.events[0]?.data).toEqual(data)
    expect(await unpack()).toEqual([data])
  })

  test('an undefined property is absent and -0 is 0, at once and after a restart', async () => {
    const { pack, unpack } = boxOf(plain)
    const result = await pack({ gone: undefined, zero: -0, list: [-0], in: { gone: undefined } })
    const expected = { zero: 0, list: [0], in: {} }
    expect(result.ok && result.events[0]?.data).toStrictEqual(expected)
    expect(result.ok && result.state.last).toStrictEqual(expected)
    expect(await unpack()).toStrictEqual([expected])
  })

  const own = { at: 1 }
  test.each([
    ['NaN', { a: { b: Number.NaN } }, ['a', 'b']],
    ['Infinity', [1, -Infinity], [1]],
    ['a bigint', { a: 1n }, ['a']],
    ['a Map', { a: new Map() }, ['a']],
    ['a Set', [new Set()], [0]],
    ['a Date', { at: new Date(0) }, ['at']],
    ['a function', { f: () => 0 }, ['f']],
    ['a symbol', { s: Symbol('s') }, ['s']],
    ['a class instance', { a: new (class Money {})() }, ['a']],
    ['an object inheriting', { a: Object.create(own) }, ['a']],
    ['a boxed number', { a: Object(1) }, ['a']],
    ['a typed array', { a: new Uint8Array(1) }, ['a']],
    ['an Error', { a: new Error('x') }, ['a']],
    ['undefined in a list', { a: [1, undefined] }, ['a', 1]],
    ['a list with a field', { a: Object.assign([1], { extra: 1 }) }, ['a']],
    ['a hole in a list', { a: new Array(1) }, ['a', 0]],
    ['undefined alone', undefined, []],
    ['NUL in a text', { a: 'x\0y' }, ['a']],
    ['a lone surrogate', { a: ['\ud800'] }, ['a', 0]],
    ['NUL in a key', { 'x\0': 1 }, ['x\0']],
    ['the key __proto__', JSON.parse('{"a":{"__proto__":{"admin":true}}}'), ['a', '__proto__']],
    ['a symbol as key', { a: { [Symbol('s')]: 1 } }, ['a']],
  ])('event data with %s is refused with its path, and nothing is stored', async (_, data, path) => {
    for (const shape of [plain, z.unknown()]) {
      const { pack, store } = boxOf(shape)
      if (data instanceof Object && 'at' in data && data.at instanceof Date && shape !== plain) continue
      const error = await failureOf(pack(data))
      expect(error).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path }] })
      expect(error.message).toContain("Pack on box 'b'")
      expect(await store.lastPosition()).toBeUndefined()
    }
  })

  test('circular event data is refused', async () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    expect((await failureOf(boxOf(plain).pack(circle))).code).toBe('INVALID_EVENT')
  })

  test('a change to event data after the commit changes nothing stored', async () => {
    const { pack, unpack, app } = boxOf(plain)
    const data = { list: [1] }
    await pack(data)
    data.list.push(2)
    expect(await unpack()).toEqual([{ list: [1] }])
    expect((await app().load('b')).state).toEqual({ last: { list: [1] } })
  })
})

describe('metadata', () => {
  test.each([
    ['a Date', { at: new Date(0) }, ['at']],
    ['NaN', { n: [Number.NaN] }, ['n', 0]],
    ['the key __proto__', JSON.parse('{"__proto__":1}'), ['__proto__']],
  ])('metadata with %s is refused with its path', async (_, metadata, path) => {
    const { app, store } = boxOf(plain)
    const error = await failureOf(app().execute('b', { type: 'Pack', data: 0 }, { metadata }))
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path }] })
    expect(await store.lastPosition()).toBeUndefined()
  })

  test.each([[[]], ['text'], [7], [null]])('metadata %j is refused', async (metadata) => {
    const { app } = boxOf(plain)
    const error = await failureOf(app().execute('b', { type: 'Pack', data: 0 }, { metadata: metadata as never }))
    expect(error.code).toBe('VALIDATION')
  })
})
