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

describe('advice for an event that cannot be stored', () => {
  test('an InvalidEventError for a Date advises an ISO text or z.coerce.date()', async () => {
    expect(await refusal(z.object({ at: z.any() }), { at: new Date(0) })).toContain(
      'at: comes back from JSON as another value: a Date comes back as text, so store an ISO text, or use z.coerce.date()',
    )
    expect(await refusal(z.object({ at: z.date() }), { at: new Date(0) })).toContain(
      '(when read back from JSON): a Date comes back as text, so store an ISO text, or use z.coerce.date()',
    )
  })

  test('an InvalidEventError names a field that the schema fills in, does not know or changes', async () => {
    const schema = z.object({ a: z.string().trim(), b: z.object({ c: z.number().default(3) }) })
    expect(await refusal(schema, { a: 'a', b: {} })).toContain('stored: b.c: the schema fills it in; set it in the handler.')
    expect(await refusal(schema, { a: 'a', b: { c: 1, d: 1 } })).toContain('stored: b.d: the schema does not know this field.')
    expect(await refusal(schema, { a: ' a', b: { c: 1 } })).toContain('stored: a: the schema would change it.')
  })
})

test('a DeserializationError advises a newer version when the schema has changed', async () => {
  const store = memoryStore()
  await noted(z.object({ a: z.number() }), { a: 1 }, store)
  const now = createApp({ store, aggregates: { note: noting(z.object({ a: z.string() })) } })
  expect((await failureOf(now.aggregates.note.load('n'))).message).toMatch(
    /^Event 1 of note 'n' \(Noted 1\.0\) cannot be read: a: .*\. Make its schema accept it, or declare a newer version: versions\('…', schema, \{ '1\.0': … \}\)\.$/,
  )
  const migrated = versions('2.0', z.object({ a: z.string() }), { '1.0': () => ({ a: 1 as never }) })
  const wrong = createApp({ store, aggregates: { note: noting(migrated as never) } })
  expect((await failureOf(wrong.aggregates.note.load('n'))).message).not.toContain('Make its schema')
})

test('a DeserializationError advises to fill in a default in versions(), not in the handler', async () => {
  const store = memoryStore()
  await noted(z.object({}), {}, store)
  const migrated = versions('2.0', z.object({ a: z.string().default('x') }), { '1.0': () => ({}) })
  const now = createApp({ store, aggregates: { note: noting(migrated as never) } })
  expect((await failureOf(now.aggregates.note.load('n'))).message).toContain('a: the schema fills it in; set it in versions()')
})

test('a ViewOutdatedError names the version of the rows and that of the program', async () => {
  const store = memoryStore()
  const old = createApp({ store, aggregates: { counter }, views: { totals: totalsOf('inline') } })
  await old.aggregates.counter.execute('a', count(1))
  const newer = createApp({ store, aggregates: { counter }, views: { totals: totalsOf('inline', { viewVersion: 2 }) } })
  const said = (one: typeof old) => failureOf(one.views.totals.find()).then(({ message }) => message)
  expect(await said(newer)).toContain("The rows of the view 'totals' have version '1'; this program has version '2'.")
  await newer.views.totals.rebuild()
  expect(await said(old)).toContain("have version '2'; this program has version '1'.")
})

test('an ApplyError says that update must return a new view when update has changed its row', async () => {
  const careless = defineView({
    name: 'careless',
    aggregates: [counter],
    initialView: () => ({ total: 0 }),
    update: { Counted: (view, { data }) => Object.assign(view, { total: data.by }) },
  })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, views: { careless } })
  const failure = await failureOf(app.aggregates.counter.execute('a', count(1)))
  expect(failure.message).toMatch(/it threw: .* \(it must return a new view, not change the one it receives\)\.$/)
})

test('two commands of one handler to one aggregate fail with the advice to name each reaction()', async () => {
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

  test('createApp names both registrations of a duplicate aggregate or view', () => {
    expect(build({ aggregates: { order: counter, d: counter } })).toBe(
      "createApp: the aggregate type 'counter' is registered twice, as aggregates.order and aggregates.d. Remove one, or give one a name of its own.",
    )
    const totals = totalsOf('async')
    expect(build({ aggregates: { counter }, views: { a: totals, b: totals } })).toContain('twice, as views.a and views.b.')
  })

  test('createApp says what is missing and shows an example', () => {
    expect(build({ views: [totalsOf('async')] })).toBe('createApp: views must be an object by name: { balances: … }.')
    expect(build({ subscriptions: [] })).toBe('createApp: subscriptions must be an object by name: { mailer: … }.')
    expect(build({ aggregates: [counter] })).toBe('createApp: aggregates must be an object by name: { account: … }.')
    expect(build({ store: undefined })).toBe('createApp needs a store, such as memoryStore() or sqliteStore(db).')
    expect(build({ store: {} })).toContain('not the database client itself')
  })

  test('start() names streams and streamsClient on a store without a global order', async () => {
    const app = createApp({ store: unordered(memoryStore()), aggregates: { counter }, views: { totals: totalsOf('async') } })
    expect((await failureOf(app.start())).message).toContain('streams: true and a streamsClient')
  })
})

test('an app without an observer logs a stopped subscription on the console once, with its cause', async () => {
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

test('the message of a caughtUp() timeout has no stray spaces', async () => {
  const slow = defineSubscription({ name: 'slow', aggregates: [counter], handle: () => new Promise(() => {}), timeoutMs: 100 })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { slow }, observe: () => {} })
  await app.aggregates.counter.execute('a', count(1))
  const { message } = await failureOf(app.subscriptions.slow.caughtUp({ timeoutMs: 20 }))
  expect(message).toBe(message.trim())
  await app.close()
})
