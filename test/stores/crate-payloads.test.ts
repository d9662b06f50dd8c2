import { createApp, defineAggregate, noData, typed } from 'cqrs-es'
import type { Store } from 'cqrs-es/store'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unselected } from '../servers/stores.ts'
import { appendOne, commit } from './commits.ts'
import { type CrateTables, crateTables, type SharedOptions } from './crate-tables.ts'

const note = defineAggregate({
  type: 'note',
  events: { Opened: typed<{ title?: string }>(), Tagged: typed<Record<string, string>>(), Closed: noData },
  commands: { Open: typed<{ title?: string }>(), Tag: typed<Record<string, string>>(), Close: noData },
  initialState: () => ({ events: 0 }),
}).implement({
  handle: {
    Open: (_, data) => ({ type: 'Opened', data }),
    Tag: (_, data) => ({ type: 'Tagged', data }),
    Close: () => ({ type: 'Closed' }),
  },
  apply: {
    Opened: ({ events }) => ({ events: events + 1 }),
    Tagged: ({ events }) => ({ events: events + 1 }),
    Closed: ({ events }) => ({ events: events + 1 }),
  },
})

describe.each(crateTables)('payloads on the tables of the Rust crate, on %s:', (name, open) => {
  const skipped = unselected(name)
  let tables: CrateTables
  beforeAll(async () => {
    if (skipped) return
    tables = await open()
    await tables.store().createSchema()
  })
  afterAll(() => tables?.close())

  const enums = (options: SharedOptions = {}): Store => tables.store({ payloadFormat: 'serde-enum', ...options })
  const read = (store: Store, aggregateId: string) => store.readAggregate({ aggregateType: 'counter', aggregateId, after: 0 })

  it.skipIf(skipped)("serde-enum writes '{}' as a variant with data, and only noData as a unit variant", async () => {
    const { execute, events } = createApp({ store: enums(), aggregates: { note } }).aggregates.note
    await execute('n', { type: 'Open', data: {} })
    await execute('n', { type: 'Tag', data: {} })
    await execute('n', { type: 'Close' })
    expect(await tables.payloads('note', 'n')).toEqual(['{"Opened":{}}', '{"Tagged":{}}', '"Closed"'])
    const data = []
    for await (const event of events('n')) data.push(event.data)
    expect(data).toEqual([{}, {}, undefined])
  })

  it.skipIf(skipped)('serde-enum reads every shape of a variant that has the name of the event type', async () => {
    const written = [
      ['Opened', '{"Opened":{}}'],
      ['Opened', '{"Opened":{"title":"a"}}'],
      ['Closed', '"Closed"'],
      ['Counted', '{"Counted":9}'],
      ['Moved', '{"Moved":[1,"x",null]}'],
      ['Remarked', '{"Remarked":null}'],
    ] as const
    await tables.write(written.map(([eventType, payload], i) => ({ id: 'shapes', sequence: i + 1, eventType, payload })))
    const { events } = await read(enums(), 'shapes')
    expect(events.map(({ data }) => data)).toEqual([{}, { title: 'a' }, {}, 9, [1, 'x', null], null])
  })

  it.skipIf(skipped).each([
    ['an internally tagged enum', '{"kind":"Flag"}'],
    ['an untagged number', '{"amount":5}'],
    ['an untagged text', '{"text":"Flagged"}'],
    ['another variant', '{"Raised":{"by":1}}'],
    ['another unit variant', '"Raised"'],
    ['a variant whose name differs in case', '{"flagged":{}}'],
    ['several keys', '{"Flagged":{},"by":1}'],
    ['no key', '{}'],
    ['null', 'null'],
    ['a number', '5'],
    ['a boolean', 'true'],
    ['a list', '["Flagged"]'],
    ['a list with a variant', '[{"Flagged":{}}]'],
  ])('serde-enum refuses %s as a payload and names the event', async (shape, payload) => {
    const id = `unfit ${shape}`
    await tables.write([{ id, sequence: 1, eventType: 'Flagged', payload }])
    await expect(read(enums(), id)).rejects.toMatchObject({
      code: 'DESERIALIZATION',
      aggregateId: id,
      sequence: 1,
      message: expect.stringContaining(`counter/${id}/1`),
    })
  })

  it.skipIf(skipped)('serdeEnum maps event types to the names of variants, both ways', async () => {
    const payloadFormat = { serdeEnum: { 'note.opened': 'Opened', MoneyDeposited: 'money-deposited', __proto__: 'x' } }
    const store = enums({ payloadFormat })
    await tables.write([
      { id: 'renamed', sequence: 1, eventType: 'note.opened', payload: '{"Opened":{"title":"a"}}' },
      { id: 'renamed', sequence: 2, eventType: 'Closed', payload: '"Closed"' },
      { id: 'unmapped', sequence: 1, eventType: 'note.opened', payload: '{"note.opened":{}}' },
    ])
    expect((await read(store, 'renamed')).events.map(({ data }) => data)).toEqual([{ title: 'a' }, {}])
    await expect(read(store, 'unmapped')).rejects.toMatchObject({ code: 'DESERIALIZATION' })
    expect((await appendOne(store, commit('c', 'renamed', 0))).kind).toBe('stored')
    expect(await tables.payloads('account', 'renamed')).toEqual(['{"money-deposited":{"amount":1}}'])
  })

  it.skipIf(skipped).each(['null', '[]', '"text"', '5'])(
    'metadata that is %s is refused and the event is named',
    async (metadata) => {
      const id = `metadata ${metadata}`
      await tables.write([{ id, sequence: 1, eventType: 'Closed', payload: '"Closed"', metadata }])
      await expect(read(enums(), id)).rejects.toMatchObject({
        code: 'DESERIALIZATION',
        message: expect.stringContaining(`counter/${id}/1`),
      })
    },
  )

  it.skipIf(skipped).each([
    ['a 64-bit number', '{"Counted":9007199254740993}', '', '9007199254740993'],
    ['the least 64-bit number', '{"Counted":-9223372036854775808}', '', '-9223372036854775808'],
    ['the largest unsigned one', '{"Counted":{"of":[1,18446744073709551615]}}', 'of[1]', '18446744073709551615'],
    ['a decimal', '{"Counted":{"price":0.1234567890123456789}}', 'price', '0.1234567890123456789'],
  ])('%s is refused when it would be rounded, or read as text', async (what, payload, path, text) => {
    const id = `inexact ${what}`
    await tables.write([{ id, sequence: 1, eventType: 'Counted', payload }])
    // MySQL itself rounds decimals in a column of the type JSON.
    const kept = (await tables.payloads('counter', id))[0] === payload
    if (!kept) return expect(name).toBe('mysql')
    await expect(read(enums(), id)).rejects.toMatchObject({
      code: 'DESERIALIZATION',
      sequence: 1,
      message: expect.stringMatching(new RegExp(`counter/${id}/1.*${path.replace(/[[\]]/g, '\\$&')}.*inexactNumbers`)),
    })
    await expect(tables.store().readAggregate({ aggregateType: 'counter', aggregateId: id, after: 0 })).rejects.toMatchObject({
      code: 'DESERIALIZATION',
    })
    const { events } = await read(enums({ inexactNumbers: 'text' }), id)
    expect(JSON.stringify(events[0]?.data)).toBe(payload.slice('{"Counted":'.length, -1).replace(text, `"${text}"`))
  })

  it.skipIf(skipped)('numbers that JavaScript holds are numbers, with inexactNumbers of either kind', async () => {
    const numbers = [0, -1, 0.1, 9_007_199_254_740_991, 9_007_199_254_740_992, 1e21, 123_456_789_012_345_680_000, 1.5e-7, 5e-324]
    const payload = `{"Counted":${JSON.stringify(numbers)}}`
    await tables.write([{ id: 'exact', sequence: 1, eventType: 'Counted', payload }])
    for (const inexactNumbers of ['refuse', 'text'] as const)
      expect((await read(enums({ inexactNumbers }), 'exact')).events[0]?.data).toEqual(numbers)
  })

  it.skipIf(skipped)('a number in metadata that would be rounded is refused, or read as text', async () => {
    const metadata = '{"trace":9007199254740993}'
    await tables.write([{ id: 'trace', sequence: 1, eventType: 'Closed', payload: '"Closed"', metadata }])
    await expect(read(enums(), 'trace')).rejects.toMatchObject({ message: expect.stringMatching(/metadata .*trace/) })
    const { events } = await read(enums({ inexactNumbers: 'text' }), 'trace')
    expect(events[0]?.metadata).toEqual({ trace: '9007199254740993' })
  })
})

it.each([null, 'serde', { serdeEnum: { a: 1 } }, { serdeEnum: ['a'] }, { serdeEnum: {}, more: 1 }, { serdeEnum: { a: '' } }])(
  'payloadFormat %j is refused when the store is made',
  async (payloadFormat) => {
    const { postgresStore } = await import('cqrs-es/postgres')
    const client = { query: async () => ({ rows: [] }) }
    expect(() => postgresStore(client, { payloadFormat: payloadFormat as never })).toThrow(/payloadFormat.*serdeEnum/)
    expect(() => postgresStore(client, { inexactNumbers: 'round' as never })).toThrow(/inexactNumbers.*'text'/)
  },
)
