import { type } from 'arktype'
import { createApp, defineAggregate, noData, reject, type Shape, type StandardSchema, typed, versions } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { collect, failureOf, thrownBy } from '../support/async.ts'

/** Puts `data` through an event of this shape: what `execute` gives, what a later read gives, and what is stored. */
async function through(shape: Shape, data: unknown) {
  const box = defineAggregate({
    type: 'box',
    events: { Packed: shape },
    commands: { Pack: noData },
    initialState: (): { last: unknown } => ({ last: null }),
  }).implement({
    handle: { Pack: () => ({ type: 'Packed', data }) as never },
    apply: { Packed: (_, last) => ({ last }) },
  })
  const store = memoryStore()
  const result = await createApp({ store, aggregates: { box } }).aggregates.box.execute('b', { type: 'Pack' })
  const [read] = await collect(createApp({ store, aggregates: { box } }).aggregates.box.events('b'))
  const { events } = await store.readAggregate({ aggregateType: 'box', aggregateId: 'b', after: 0 })
  return { now: result.ok && result.events[0]?.data, later: read?.data, stored: events[0]?.data }
}

/** As ajv with `useDefaults` or `coerceTypes` does: the value comes back, but it is no longer what it was. */
const doublesInPlace: StandardSchema<{ cents: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const money = value as { cents: number }
      money.cents *= 2
      return { value: money }
    },
  },
}

describe('a schema that always returns a promise', () => {
  const standard = (validate: (value: unknown) => unknown): Shape =>
    ({ '~standard': { version: 1, vendor: 'test', validate } }) as StandardSchema
  const asynchronous: [string, Shape][] = [
    ['an async function', standard(async (value) => ({ value }))],
    ['a function that returns a promise', standard((value) => Promise.resolve({ value }))],
    ['one that rejects', standard(async () => Promise.reject(new Error('no connection')))],
    // biome-ignore lint/suspicious/noThenProperty: what is awaited need be no promise
    ['a thenable', standard((value) => ({ then: (done: (made: unknown) => void) => done({ value }) }))],
    ['valibot', v.objectAsync({ n: v.number() })],
  ]
  const boxOf = (events: Readonly<Record<string, Shape>>, commands: Readonly<Record<string, Shape>> = {}) =>
    defineAggregate({ type: 'box', events, commands, initialState: () => ({}) })

  test.each(asynchronous)('defineAggregate refuses an event schema that always returns a promise: %s', (_, schema) => {
    const error = thrownBy(() => boxOf({ Sealed: noData, Packed: schema }))
    expect(error.code).toBe('DEFINITION')
    expect(error.message).toBe(
      "Aggregate 'box': events: the schema of 'Packed' is asynchronous: it returns a promise. Use a synchronous schema. Only schemas of commands may be asynchronous.",
    )
    expect(thrownBy(() => boxOf({ Packed: versions('2.0', schema, {}) })).message).toContain(
      "the schema of 'Packed' is asynchronous",
    )
  })

  test.each(asynchronous)('defineAggregate accepts a command schema that always returns a promise: %s', (_, schema) => {
    expect(() => boxOf({}, { Pack: schema })).not.toThrow()
  })

  test('defineAggregate accepts a schema that throws without data and an early z.lazy', async () => {
    const strict = standard((value) => ({ value: (value as { n: number }).n > 0 ? value : value }))
    expect(await through(strict, { n: 1 })).toMatchObject({ later: { n: 1 } })
    const lazy = z.lazy(() => later)
    boxOf({ Packed: lazy })
    const later = z.object({ n: z.number() })
    expect(await through(lazy, { n: 1 })).toMatchObject({ later: { n: 1 } })
  })
})

describe('schemas of events', () => {
  test.each([
    ['zod', z.object({ owner: z.string().min(1), tags: z.array(z.string()).optional() })],
    ['valibot', v.object({ owner: v.pipe(v.string(), v.minLength(1)), tags: v.optional(v.array(v.string())) })],
    ['arktype', type({ owner: 'string > 0', 'tags?': 'string[]' })],
    ['typed', typed<{ owner: string; tags?: string[] }>()],
  ])('an event schema of %s reads back what was decided', async (vendor, shape) => {
    const data = { owner: 'ann', tags: ['a'] }
    expect(await through(shape, data)).toStrictEqual({ now: data, later: data, stored: data })
    if (vendor === 'typed') return
    expect(await failureOf(through(shape, { owner: '' }))).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path: ['owner'] }] })
  })

  test.each([
    ['zod', z.object({ at: z.coerce.date() })],
    [
      'valibot',
      v.object({
        at: v.pipe(
          v.union([v.date(), v.string()]),
          v.transform((at) => new Date(at)),
          v.date(),
        ),
      }),
    ],
    ['arktype', type({ at: type('Date').or(type('string.date.iso.parse')) })],
  ])('an event schema of %s may hold a Date that it reads back from its ISO form', async (_, shape) => {
    const at = new Date('2020-02-02T02:02:02.020Z')
    expect(await through(shape, { at })).toStrictEqual({ now: { at }, later: { at }, stored: { at: at.toISOString() } })
  })

  test('an event schema may not hold a Date that it reads back as a text', async () => {
    const error = await failureOf(through(z.object({ at: z.union([z.date(), z.string()]) }), { at: new Date(0) }))
    expect(error).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path: ['at'] }] })
    expect(error.message).toContain('comes back from JSON as another value')
  })

  test('an event schema may not hold a Date that it cannot read back', async () => {
    const error = await failureOf(through(z.object({ at: z.date() }), { at: new Date(0) }))
    expect(error).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path: ['at'] }] })
    expect(error.message).toContain('when read back from JSON')
    expect((await failureOf(through(z.object({ at: z.coerce.date() }), { at: new Date(Number.NaN) }))).code).toBe('INVALID_EVENT')
  })

  let draws = 0
  test.each<[string, Shape, unknown, PropertyKey[]]>([
    ['transforms', z.object({ cents: z.number().transform((n) => n * 100) }), { cents: 1 }, ['cents']],
    ['trims', v.object({ name: v.pipe(v.string(), v.trim()) }), { name: ' ann ' }, ['name']],
    ['adds a default', z.object({ a: z.number(), b: z.number().default(7) }), { a: 1 }, ['b']],
    ['adds a default inside a list', z.array(z.object({ b: z.number().default(7) })), [{ b: 1 }, {}], [1, 'b']],
    ['draws a default', z.object({ id: z.number().default(() => ++draws) }), {}, ['id']],
    ['strips a field', z.object({ a: z.number() }), { a: 1, extra: true }, ['extra']],
    ['changes what it is given', doublesInPlace, { cents: 1 }, ['cents']],
    ['reorders a list', z.array(z.number()).transform((list) => [...list].reverse()), [1, 2], [0]],
    ['parses a morph', type({ n: 'string.numeric.parse' }), { n: '1' }, ['n']],
    ['makes it something else altogether', z.object({}).transform(() => 'text'), {}, []],
    [
      'makes a class of it',
      z.object({ n: z.number() }).transform(({ n }) => Object.assign(new (class Money {})(), { n })),
      { n: 1 },
      [],
    ],
  ])('an event schema that %s is refused at write, with the path', async (_, shape, data, path) => {
    const error = await failureOf(through(shape, data))
    expect(error).toMatchObject({ code: 'INVALID_EVENT', issues: [{ path }] })
    expect(error.message).toMatch(/the schema (would change it|fills it in|does not know this field)/)
  })

  test('an event schema that makes a Date of a text is refused at write', async () => {
    expect((await failureOf(through(z.object({ at: z.coerce.date() }), { at: '2020-01-01' }))).code).toBe('INVALID_EVENT')
  })

  test('an event schema may have a default that is not needed', async () => {
    expect((await through(z.object({ n: z.number().default(7) }), { n: 1 })).later).toEqual({ n: 1 })
  })
})

describe('schemas of commands', () => {
  const till = defineAggregate({
    type: 'till',
    events: { PaidIn: typed<{ amount: number; note: string }>(), Shut: noData },
    commands: {
      PayIn: z.object({ amount: z.coerce.number().positive(), note: z.string().trim().default('none') }),
      PayInLater: v.objectAsync({
        amount: v.pipeAsync(
          v.number(),
          v.checkAsync(async (n) => n !== 13, 'unlucky'),
        ),
      }),
      PayInSome: type({ amount: 'number > 0' }),
      Shut: noData,
    },
    initialState: () => 0,
  }).implement({
    handle: {
      PayIn: (_, data) => ({ type: 'PaidIn', data }),
      PayInLater: (_, { amount }) => ({ type: 'PaidIn', data: { amount, note: '' } }),
      PayInSome: (sum, { amount }) => (sum > 0 ? reject('full') : { type: 'PaidIn', data: { amount, note: '' } }),
      Shut: () => ({ type: 'Shut' }),
    },
    apply: { PaidIn: (sum, { amount }) => sum + amount, Shut: (sum) => sum },
  })
  const appOn = (store = memoryStore()) => createApp({ store, aggregates: { till } }).aggregates.till

  test('a command schema may transform, default and trim, and the handler receives the result', async () => {
    const result = await appOn().execute('t', { type: 'PayIn', data: { amount: '5', note: ' x ' } })
    expect(result).toMatchObject({ ok: true, events: [{ data: { amount: 5, note: 'x' } }] })
    expect(await appOn().execute('t', { type: 'PayIn', data: { amount: 1 } })).toMatchObject({
      events: [{ data: { note: 'none' } }],
    })
  })

  test('a command schema may be asynchronous', async () => {
    expect(await appOn().execute('t', { type: 'PayInLater', data: { amount: 5 } })).toMatchObject({ ok: true, state: 5 })
    const error = await failureOf(appOn().execute('t', { type: 'PayInLater', data: { amount: 13 } }))
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ message: 'unlucky', path: ['amount'] }] })
  })

  test.each([
    { type: 'PayIn', data: { amount: -1 } },
    { type: 'PayInLater', data: { amount: 'five' as unknown as number } },
    { type: 'PayInSome', data: { amount: -1 } },
  ] as const)('$type refuses invalid data with the path, and nothing is read or stored', async (command) => {
    const store = memoryStore()
    const error = await failureOf(appOn(store).execute('t', command as never))
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path: ['amount'] }] })
    expect(error.message).toContain(`${command.type} on till 't'`)
    expect(error.message).toContain('amount')
    expect(await store.lastPosition()).toBeUndefined()
  })

  test.each([[undefined], [{}]])('a command without data accepts %j', async (data) => {
    const store = memoryStore()
    const result = await appOn(store).execute('t', { type: 'Shut', data: data as undefined })
    expect(result).toMatchObject({ ok: true })
    expect(result.ok && Object.keys(result.events[0] ?? {})).not.toContain('data')
    const { events } = await store.readAggregate({ aggregateType: 'till', aggregateId: 't', after: 0 })
    expect(events).toMatchObject([{ type: 'Shut', data: {} }])
    expect((await collect(appOn(store).events('t')))[0]).toStrictEqual(result.ok && result.events[0])
  })

  test.each([[{ a: 1 }], [null], [[]], ['text'], [0]])('a command without data refuses %j', async (data) => {
    const error = await failureOf(appOn().execute('t', { type: 'Shut', data: data as unknown as undefined }))
    expect(error.code).toBe('VALIDATION')
    expect(error.message).toContain('takes no data')
  })
})

test('an event without data refuses data', async () => {
  expect((await failureOf(through(noData, { a: 1 }))).message).toContain('takes no data')
  expect(await through(noData, undefined)).toEqual({ now: undefined, later: undefined, stored: {} })
})

test.each([[undefined], [null], [{}], ['string'], [() => 0]])('defineAggregate refuses %j as a schema', (shape) => {
  const options = { type: 'x', commands: {}, initialState: () => 0 }
  const error = thrownBy(() => defineAggregate({ ...options, events: { Made: shape as unknown as Shape } }))
  expect(error.code).toBe('DEFINITION')
  expect(error.message).toContain("'Made' needs a schema")
})
