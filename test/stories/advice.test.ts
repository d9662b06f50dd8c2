import { createApp, defineAggregate, defineSubscription, defineView, type Store, versions } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { failureOf, thrownBy } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { unordered } from '../support/stores.ts'
import { totalsOf } from '../support/totals.ts'

/** An aggregate with one event, which takes whatever a command says. */
const noting = <S extends z.ZodType>(schema: S, type = 'note') =>
  defineAggregate({ type, events: { Noted: schema }, commands: { Note: z.any() }, initialState: () => ({}) }).implement({
    handle: { Note: (_, data) => ({ type: 'Noted', data: data as never }) },
    apply: { Noted: (state) => state },
  })
const noted = (schema: z.ZodType, data: unknown, store: Store = memoryStore()) =>
  createApp({ store, aggregates: { note: noting(schema) } }).aggregates.note.execute('n', { type: 'Note', data })
const refusal = async (schema: z.ZodType, data: unknown) => (await failureOf(noted(schema, data))).message

describe('an event that cannot be stored says what to do', () => {
  test('a Date that no schema reads back', async () => {
    expect(await refusal(z.object({ at: z.any() }), { at: new Date(0) })).toContain(
      'at: comes back from JSON as something else: a Date comes back as text, so keep an ISO text, or use z.coerce.date()',
    )
    expect(await refusal(z.object({ at: z.date() }), { at: new Date(0) })).toContain(
      '(when read back from JSON): a Date comes back as text, so keep an ISO text, or use z.coerce.date()',
    )
  })

  test('a field that its schema fills in, does not know, or changes', async () => {
    const schema = z.object({ a: z.string().trim(), b: z.object({ c: z.number().default(3) }) })
    expect(await refusal(schema, { a: 'a', b: {} })).toContain('stored: b.c: the schema fills it in; set it in the handler.')
    expect(await refusal(schema, { a: 'a', b: { c: 1, d: 1 } })).toContain('stored: b.d: the schema does not know this field.')
    expect(await refusal(schema, { a: ' a', b: { c: 1 } })).toContain('stored: a: the schema would change it.')
  })
})

test('an event whose schema has changed says how to go on', async () => {
  const store = memoryStore()
  await noted(z.object({ a: z.number() }), { a: 1 }, store)
  const now = createApp({ store, aggregates: { note: noting(z.object({ a: z.string() })) } })
  expect((await failureOf(now.aggregates.note.load('n'))).message).toMatch(
    /^Event 1 of note 'n' \(Noted 1\.0\) cannot be read: a: .*\. Make its schema take it, or declare a newer version: versions\('…', schema, \{ '1\.0': … \}\)\.$/,
  )
  const migrated = versions('2.0', z.object({ a: z.string() }), { '1.0': () => ({ a: 1 as never }) })
  const wrong = createApp({ store, aggregates: { note: noting(migrated as never) } })
  expect((await failureOf(wrong.aggregates.note.load('n'))).message).not.toContain('Make its schema')
})

test('what versions() leaves to a default is not said to be a field of the handler', async () => {
  const store = memoryStore()
  await noted(z.object({}), {}, store)
  const migrated = versions('2.0', z.object({ a: z.string().default('x') }), { '1.0': () => ({}) })
  const now = createApp({ store, aggregates: { note: noting(migrated as never) } })
  expect((await failureOf(now.aggregates.note.load('n'))).message).toContain('a: the schema fills it in; set it in versions()')
})

test('rows of another version are named with both', async () => {
  const store = memoryStore()
  const old = createApp({ store, aggregates: { counter }, views: { totals: totalsOf('inline') } })
  await old.aggregates.counter.execute('a', count(1))
  const newer = createApp({ store, aggregates: { counter }, views: { totals: totalsOf('inline', { viewVersion: 2 }) } })
  const said = (one: typeof old) => failureOf(one.views.totals.find()).then(({ message }) => message)
  expect(await said(newer)).toContain("The rows of the view 'totals' have version '1'; this program has version '2'.")
  await newer.views.totals.rebuild()
  expect(await said(old)).toContain("have version '2'; this program has version '1'.")
})

test('an update that changes its row is told that it must not', async () => {
  const careless = defineView({
    name: 'careless',
    aggregates: [counter],
    initialView: () => ({ total: 0 }),
    update: { Counted: (view, { data }) => Object.assign(view, { total: data.by }) },
  })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, views: { careless } })
  const failure = await failureOf(app.aggregates.counter.execute('a', count(1)))
  expect(failure.message).toMatch(/it threw: .* \(it must return a new view, not change the one it is given\)\.$/)
})

test('two commands of one handler on one aggregate are told to have a name each', async () => {
  const twice = defineSubscription({
    name: 'twice',
    aggregates: [counter],
    handle: async ({ aggregateId }, { app, reaction }) => {
      if (aggregateId !== 'a') return
      await app.aggregate(counter).execute('b', count(1), reaction())
      await app.aggregate(counter).execute('b', count(2), reaction())
    },
  })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { twice }, observe: () => {} })
  await app.aggregates.counter.execute('a', count(1))
  const failure = await failureOf(app.subscriptions.twice.caughtUp())
  expect(failure.message).toContain("Give each a name: reaction('…').")
  await app.aggregates.counter.execute('c', count(1), { idempotencyKey: 'k' })
  const own = await failureOf(app.aggregates.counter.execute('c', count(2), { idempotencyKey: 'k' }))
  expect(own.message).toContain('Use a new key for a new command.')
})

describe('wrong wiring', () => {
  const build = (options: object) =>
    thrownBy(() => createApp({ store: memoryStore(), aggregates: {}, ...options } as never)).message

  test('says under which names something is given twice', () => {
    expect(build({ aggregates: { order: counter, d: counter } })).toBe(
      "createApp: the aggregate type 'counter' is registered twice, as aggregates.order and aggregates.d.",
    )
    const totals = totalsOf('async')
    expect(build({ aggregates: { counter }, views: { a: totals, b: totals } })).toContain('twice, as views.a and views.b.')
  })

  test('says what is missing, and shows what would fit', () => {
    expect(build({ views: [totalsOf('async')] })).toBe('createApp: views must be an object by name: { balances: … }.')
    expect(build({ subscriptions: [] })).toBe('createApp: subscriptions must be an object by name: { mailer: … }.')
    expect(build({ aggregates: [counter] })).toBe('createApp: aggregates must be an object by name: { account: … }.')
    expect(build({ store: undefined })).toBe('createApp needs a store, such as memoryStore() or sqliteStore(db).')
    expect(build({ store: {} })).toContain('not the database client itself')
  })

  test('of a stream is told by its options', async () => {
    const app = createApp({ store: unordered(memoryStore()), aggregates: { counter }, views: { totals: totalsOf('async') } })
    expect((await failureOf(app.start())).message).toContain('streams: true and a streamsClient')
  })
})

test('a subscription that stops is told to the console once, with its cause', async () => {
  const console = vi.spyOn(globalThis.console, 'error').mockImplementation(() => {})
  try {
    const boom = new Error('boom')
    const stopping = defineSubscription({
      name: 'stopping',
      aggregates: [counter],
      handle: () => {
        throw boom
      },
    })
    const store = memoryStore()
    const app = createApp({ store, aggregates: { counter }, subscriptions: { stopping } })
    await app.aggregates.counter.execute('a', count(1))
    await app.drain()
    const sentence = expect.stringContaining("The subscription 'stopping' stopped at event counter/a/1: boom.")
    expect(console.mock.calls).toEqual([[sentence, boom]])
    // Another process knows no more than the sentence.
    await createApp({ store, aggregates: { counter }, subscriptions: { stopping } }).drain()
    expect(console.mock.calls.slice(1)).toEqual([[sentence]])
  } finally {
    console.mockRestore()
  }
})

test('who was not there in time is said in whole sentences', async () => {
  const slow = defineSubscription({ name: 'slow', aggregates: [counter], handle: () => new Promise(() => {}), timeoutMs: 100 })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { slow }, observe: () => {} })
  await app.aggregates.counter.execute('a', count(1))
  const { message } = await failureOf(app.subscriptions.slow.caughtUp({ timeoutMs: 20 }))
  expect(message).toBe(message.trim())
  await app.close()
})
