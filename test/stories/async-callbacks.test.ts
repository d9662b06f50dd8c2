import {
  createApp,
  defineAggregate,
  defineSqlView,
  defineView,
  noData,
  platformRuntime,
  type Runtime,
  type Store,
  semanticVersionUpcaster,
  typed,
  type Upcaster,
  versions,
} from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { onDynamoDbStream, onSqs } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { sqliteStore } from 'cqrs-es/sqlite'
import { given, givenLog } from 'cqrs-es/testing'
import Libsql from 'libsql'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { failureOf, settled, thrownBy } from '../support/async.ts'

const reason = new Error('the database is down')
/** Rejects at once: what an `async` function that throws gives. */
const rejecting = async (..._: unknown[]): Promise<never> => {
  throw reason
}
const late = async (..._: unknown[]): Promise<never> => {
  await settled()
  throw reason
}
/** As it is given where something synchronous is asked for. */
const wrong = rejecting as never

let unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeEach(() => {
  unhandled = []
  process.on('unhandledRejection', note)
})
afterEach(async () => {
  // Node reports a rejection when the microtasks of its turn are done.
  await settled()
  await settled()
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

interface Parts {
  readonly put?: unknown
  readonly upcasters?: readonly Upcaster[]
  readonly handle?: () => unknown
  readonly apply?: (state: { n: number }) => unknown
  readonly initialState?: () => unknown
  readonly snapshots?: 'always'
}

/** An aggregate whose event is `Put`, with one part as a row says. */
const thingWith = ({ put = typed<{ n: number }>(), upcasters = [], handle, apply, initialState, snapshots }: Parts) =>
  defineAggregate({
    type: 'thing',
    events: { Put: put as ReturnType<typeof typed<{ n: number }>> },
    commands: { Put: noData },
    initialState: (initialState ?? (() => ({ n: 0 }))) as () => { n: number },
    upcasters,
    ...(snapshots === undefined ? {} : { snapshots }),
  }).implement({
    handle: { Put: (handle ?? (() => ({ type: 'Put', data: { n: 1 } }))) as never },
    apply: { Put: (apply ?? ((state: { n: number }) => state)) as (state: { n: number }) => { n: number } },
  })
const thing = thingWith({})

/** A store with one event `Put` of version 1.0. */
async function stored(): Promise<Store> {
  const store = memoryStore()
  await createApp({ store, aggregates: { thing } }).aggregates.thing.execute('t', { type: 'Put' })
  return store
}
const loaded = async (parts: Parts) =>
  createApp({ store: await stored(), aggregates: { thing: thingWith(parts) } }).aggregates.thing.load('t')
const executed = (parts: Parts, options: Partial<Parameters<typeof createApp>[0]> = {}) =>
  createApp({ store: memoryStore(), aggregates: { thing: thingWith(parts) }, ...options } as {
    store: Store
    aggregates: { thing: typeof thing }
  }).aggregates.thing.execute('t', { type: 'Put' })
const view = (parts: object) =>
  defineView({ name: 'v', aggregates: [thing], initialView: () => ({ n: 0 }), update: { Put: (view) => view }, ...parts })
const viewed = (parts: object) => executed({}, { views: { v: view(parts) } })
const onRuntime = (parts: Partial<Runtime>) => executed({}, { runtime: { ...platformRuntime, ...parts } })
/** Its first result is a value, so that the definition is fine, and each later one a promise. */
const later = (first: unknown) => {
  let calls = 0
  return () => (++calls === 1 ? first : rejecting())
}
const schema = (validate: (value: unknown) => unknown) => ({ '~standard': { version: 1, vendor: 'test', validate } })
/** Answers at once what is not there, which is what a definition asks. */
const onData = (answer: () => unknown) =>
  schema((value) => (value === undefined ? { issues: [{ message: 'nothing' }] } : answer()))
const old = (migrate: unknown) => versions('2.0', typed<{ n: number }>(), { '1.0': migrate as never })

describe('an asynchronous callback in the place of a synchronous one', () => {
  test.each<[string, () => Promise<unknown>, string]>([
    ['apply, on a command', () => executed({ apply: rejecting }), 'APPLY'],
    ['apply, on a load', () => loaded({ apply: rejecting }), 'APPLY'],
    [
      'a promise in a state that is stored as a snapshot',
      () => executed({ apply: () => ({ n: rejecting() }), snapshots: 'always' }),
      'APPLY',
    ],
    ['a promise inside of the state', () => executed({ apply: () => ({ n: rejecting() }) }), 'APPLY'],
    ['update of an inline view', () => viewed({ update: { Put: wrong } }), 'APPLY'],
    ['a promise inside of a view', () => viewed({ update: { Put: () => ({ n: rejecting() }) } }), 'APPLY'],
    ['id of a view', () => viewed({ id: wrong }), 'APPLY'],
    ['a list of promises as ids of a view', () => viewed({ id: () => ['t', rejecting(), rejecting()] }), 'APPLY'],
    ['the schema of an event, on a command', () => executed({ put: onData(rejecting) }), 'INVALID_EVENT'],
    ['the schema of an event, on a load', () => loaded({ put: onData(rejecting) }), 'DESERIALIZATION'],
    ['a schema that rejects later', () => executed({ put: onData(late) }), 'INVALID_EVENT'],
    [
      'a promise as the data of an event',
      () => executed({ handle: () => ({ type: 'Put', data: rejecting() }) }),
      'INVALID_EVENT',
    ],
    [
      'promises inside the data of an event',
      () => executed({ handle: () => ({ type: 'Put', data: { n: rejecting(), m: [rejecting()] } }) }),
      'INVALID_EVENT',
    ],
    ['a list of promises from a handler', () => executed({ handle: () => [rejecting(), rejecting()] }), 'INVALID_EVENT'],
    ['a function of versions()', () => loaded({ put: old(rejecting) }), 'DESERIALIZATION'],
    ['a promise in what versions() makes', () => loaded({ put: old(() => ({ n: rejecting() })) }), 'DESERIALIZATION'],
    ['canUpcast, later', () => loaded({ upcasters: [{ canUpcast: later(false) as never, upcast: wrong }] }), 'DESERIALIZATION'],
    [
      'metadata of a command',
      async () =>
        createApp({ store: memoryStore(), aggregates: { thing } }).aggregates.thing.execute(
          't',
          { type: 'Put' },
          { metadata: rejecting() as never },
        ),
      'VALIDATION',
    ],
    [
      'a promise in the metadata of a command',
      async () =>
        createApp({ store: memoryStore(), aggregates: { thing } }).aggregates.thing.execute(
          't',
          { type: 'Put' },
          { metadata: { user: rejecting() } },
        ),
      'VALIDATION',
    ],
    ['runtime.now', () => onRuntime({ now: wrong }), 'DEFINITION'],
    ['runtime.randomUUID', () => onRuntime({ randomUUID: wrong }), 'DEFINITION'],
    ['initialState, later', () => executed({ initialState: later({ n: 0 }) }), 'DEFINITION'],
  ])('%s is refused with its reason as the cause', async (_, run, code) => {
    const error = await failureOf(run())
    expect(error).toMatchObject({ code })
    await settled()
    await settled()
    expect(error.cause).toBe(reason)
  })

  test.each<[string, unknown]>([
    ['upcast', rejecting],
    ['upcast that makes a list of promises', () => [rejecting(), rejecting()]],
    ['upcast whose data is a promise', (event: object) => ({ ...event, data: rejecting() })],
    ['upcast whose data holds a promise', (event: object) => ({ ...event, data: { n: rejecting() } })],
    ['semanticVersionUpcaster', semanticVersionUpcaster('Put', '1.5', rejecting).upcast],
  ])('%s is refused with its reason as the cause', async (_, upcast) => {
    const upcaster: Upcaster = { canUpcast: (_, version) => version === '1.0', upcast: upcast as never }
    const error = await failureOf(loaded({ put: versions('2.0', typed<{ n: number }>(), {}), upcasters: [upcaster] }))
    expect(error).toMatchObject({ code: 'DESERIALIZATION', cause: reason })
  })

  test.each<[string, () => unknown]>([
    ['initialState', () => thingWith({ initialState: rejecting })],
    ['a promise in initialState', () => thingWith({ initialState: () => ({ n: rejecting(), m: rejecting() }) })],
    ['initialView', () => view({ initialView: rejecting })],
    ['canUpcast', () => thingWith({ upcasters: [{ canUpcast: wrong, upcast: (event) => event }] })],
    ['the schema of an event', () => thingWith({ put: schema(rejecting) })],
  ])('%s is refused by the definition, with its reason as the cause', async (_, define) => {
    const error = thrownBy(define)
    expect(error).toMatchObject({ code: 'DEFINITION' })
    await settled()
    expect(error.cause).toBe(reason)
  })

  test('an initialView that rejects after its first call is refused with its reason as a cause', async () => {
    const error = await failureOf(viewed({ initialView: later({ n: 0 }) }))
    expect(error).toMatchObject({ code: 'APPLY', cause: { code: 'DEFINITION', cause: reason } })
  })

  test('update of an async view stops the view with its reason as the cause', async () => {
    const v = view({ consistency: 'async', update: { Put: wrong } })
    const app = createApp({ store: await stored(), aggregates: { thing }, views: { v } })
    await app.drain()
    const error = await failureOf(app.views.v.caughtUp())
    expect(error).toMatchObject({ code: 'STOPPED', cause: { code: 'APPLY', cause: reason } })
  })

  test.each(['update', 'reset'])(
    '%s of a sqlView on SQLite that rejects fails the view with its reason as the cause',
    async (method) => {
      const db = new Libsql(':memory:')
      const store = sqliteStore(db)
      await store.createSchema()
      const v = defineSqlView({ name: 'v', aggregates: [thing], update: () => {}, reset: () => {}, [method]: wrong })
      const app = createApp({ store, aggregates: { thing }, views: { v } })
      await app.aggregates.thing.execute('t', { type: 'Put' })
      const error = await failureOf(method === 'reset' ? app.views.v.rebuild() : app.views.v.caughtUp())
      const causes = [error, error.cause, (error.cause as Error | undefined)?.cause]
      expect(causes).toContain(reason)
      await app.close()
      db.close()
    },
  )

  test('rejections of observe, onQueryError and queries are reported on the console', async () => {
    const spy = vi.spyOn(console, 'error').mockImplementation(() => {})
    await executed({}, { observe: rejecting, queries: [rejecting], onQueryError: rejecting })
    await settled()
    const said = spy.mock.calls.flat().filter((one) => one === reason)
    spy.mockRestore()
    expect(said.length).toBeGreaterThanOrEqual(3)
  })

  test('a rejecting onError ends the replay', async () => {
    const app = createApp({ store: await stored(), aggregates: { thing } })
    expect(await failureOf(app.replay(rejecting, { onError: rejecting }))).toBe(reason)
    expect(await failureOf(app.replay(rejecting, { onError: late }))).toBe(reason)
  })

  test('a rejecting onProgress ends the rebuild', async () => {
    const v = view({ consistency: 'async' })
    const app = createApp({ store: await stored(), aggregates: { thing }, views: { v } })
    expect(await failureOf(app.views.v.rebuild({ onProgress: rejecting }))).toBe(reason)
  })

  test('rejecting metadata of createHandler is a 500, a rejecting onError is on the console', async () => {
    const spy = vi.spyOn(console, 'error').mockImplementation(() => {})
    const app = createApp({ store: memoryStore(), aggregates: { thing } })
    const handler = createHandler(app, { authorize: 'none', metadata: rejecting, onError: rejecting })
    const headers = { 'Content-Type': 'application/json' }
    const response = await handler(new Request('http://localhost/thing/t/Put', { method: 'POST', headers }))
    expect(response.status).toBe(500)
    await settled()
    expect(spy.mock.calls.flat()).toContain(reason)
    spy.mockRestore()
  })

  test('a rejecting authorize of createHandler is a 500 and is reported', async () => {
    const reported: unknown[] = []
    const app = createApp({ store: memoryStore(), aggregates: { thing } })
    const handler = createHandler(app, { authorize: rejecting, onError: (error) => reported.push(error) })
    expect((await handler(new Request('http://localhost/thing/t'))).status).toBe(500)
    expect(reported).toMatchObject([{ cause: reason }])
  })

  test('rejecting metadata of onSqs fails its message, a rejecting onFailure is on the console', async () => {
    const spy = vi.spyOn(console, 'error').mockImplementation(() => {})
    const app = createApp({ store: memoryStore(), aggregates: { thing } })
    const body = JSON.stringify({ aggregate: 'thing', id: 't', command: { type: 'Put' } })
    const handle = onSqs(app, { metadata: rejecting, onFailure: rejecting, onRejected: rejecting })
    expect(await handle({ Records: [{ messageId: 'm', body }] })).toEqual({ batchItemFailures: [{ itemIdentifier: 'm' }] })
    expect(spy.mock.calls.flat()).toContain(reason)
    spy.mockRestore()
  })

  test('onSqs waits for asynchronous metadata', async () => {
    const app = createApp({ store: memoryStore(), aggregates: { thing } })
    const body = JSON.stringify({ aggregate: 'thing', id: 't', command: { type: 'Put' } })
    await onSqs(app, { metadata: async () => ({ userId: 'ann' }) })({ Records: [{ messageId: 'm', body }] })
    for await (const { metadata } of app.aggregates.thing.events('t')) expect(metadata).toEqual({ userId: 'ann' })
  })

  test('a rejecting onFailure of onDynamoDbStream is reported on the console', async () => {
    const spy = vi.spyOn(console, 'error').mockImplementation(() => {})
    const record = {
      eventName: 'INSERT' as const,
      dynamodb: {
        SequenceNumber: '1',
        Keys: { AggregateTypeAndId: { S: 'thing:t' }, AggregateIdSequence: { N: '1' } },
        NewImage: { AggregateType: { S: 'thing' }, AggregateId: { S: 't' } },
      },
    }
    const app = { catchUp: rejecting }
    await onDynamoDbStream(app, { onFailure: rejecting })({ Records: [record] })
    expect(spy.mock.calls.flat()).toContain(reason)
    spy.mockRestore()
  })

  test.each<[string, () => Promise<unknown>]>([
    [
      'apply',
      () =>
        given(thingWith({ apply: rejecting }))
          .when({ type: 'Put' })
          .thenState({ n: 0 }),
    ],
    [
      'a promise in the state',
      () =>
        given(thingWith({ apply: () => ({ n: rejecting() }) }))
          .when({ type: 'Put' })
          .thenState({ n: 0 }),
    ],
    [
      'update',
      () =>
        given(thing)
          .when({ type: 'Put' })
          .thenView(view({ update: { Put: wrong } }), { n: 0 }),
    ],
    [
      'update, of a log',
      () =>
        givenLog()
          .of(thing, 't', [{ type: 'Put', data: { n: 1 } }])
          .thenView(view({ update: { Put: wrong } }), 't', { n: 0 }),
    ],
    [
      'a schema of an event',
      async () =>
        given(thingWith({ put: onData(rejecting) }))
          .when({ type: 'Put' })
          .thenEvents([]),
    ],
    ['thenEventsMatching', () => given(thing).when({ type: 'Put' }).thenEventsMatching(rejecting)],
  ])('%s fails the test in the test kit', async (_, run) => {
    const error = await failureOf(run())
    await settled()
    expect([error, error.cause]).toContain(reason)
  })

  test('an apply that returns a fulfilled promise is refused too', async () => {
    const error = await failureOf(executed({ apply: async (state) => state }))
    expect(error).toMatchObject({ code: 'APPLY' })
    expect(error.cause).toBeUndefined()
  })

  test('a query builder that starts when it is awaited is never started', async () => {
    let started = 0
    // biome-ignore lint/suspicious/noThenProperty: as the builders of knex and Prisma have it
    const builder = { then: () => started++ }
    expect(await failureOf(executed({ apply: () => builder }))).toMatchObject({ code: 'APPLY' })
    expect(await failureOf(viewed({ update: { Put: () => builder } }))).toMatchObject({ code: 'APPLY' })
    expect(started).toBe(0)
  })
})
