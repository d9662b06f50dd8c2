import { createApp, defineSubscription, defineView, platformRuntime } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { onHttp } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { functionUrl, remaining } from '../lambda/events.ts'
import { failureOf, gate } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'

const soon = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Resolves when something is done; one that never is fails at the limit of the test. */
const isDone = (promise: Promise<unknown>) => promise.then(() => true)

const totalsOf = (viewVersion = 1) =>
  defineView({
    name: 'totals',
    aggregates: [counter],
    initialView: () => ({ total: 0 }),
    update: { Counted: (view, { data }) => ({ total: view.total + data.by }) },
    consistency: 'async',
    viewVersion,
  })

const hopeless = defineSubscription({
  name: 'hopeless',
  aggregates: [counter],
  onFailure: 'retry',
  handle: () => {
    throw new Error('never')
  },
})

/** An app whose view stays behind, since another process has its lease. */
async function appThatLags() {
  const store = memoryStore()
  await store.acquireLease({ name: 'view/1/totals', holder: 'another process', ttlMs: 60_000 })
  return { store, app: createApp({ store, aggregates: { counter }, views: { totals: totalsOf() } }) }
}

describe('an unknown view', () => {
  test('waitFor with an unknown view is refused before the command is stored', async () => {
    const app = createApp({ store: memoryStore(), aggregates: { counter }, views: { totals: totalsOf() } })
    const failure = await failureOf(app.aggregates.counter.execute('a', count(1), { waitFor: ['totls'], idempotencyKey: 'k' }))
    expect(failure).toMatchObject({ code: 'VALIDATION', message: expect.stringContaining("no view 'totls'") })
    expect((await app.aggregates.counter.load('a')).sequence).toBe(0)
  })

  test('waitFor is refused in an app without views before the command is stored', async () => {
    const app = createApp({ store: memoryStore(), aggregates: { counter } })
    expect((await failureOf(app.aggregates.counter.execute('a', count(1), { waitFor: ['totals'] }))).code).toBe('VALIDATION')
    expect((await app.aggregates.counter.load('a')).sequence).toBe(0)
  })
})

describe('close() ends waits', () => {
  test.each([true, false])('close() ends a wait for a subscription that makes no progress (started: %s)', async (started) => {
    const app = createApp({
      store: memoryStore(),
      aggregates: { counter },
      subscriptions: { hopeless },
      observe: () => {},
    })
    await app.aggregates.counter.execute('a', count(1))
    if (started) await app.start()
    const waiting = failureOf(app.subscriptions.hopeless.caughtUp())
    await soon(50)
    expect(await isDone(app.close())).toBe(true)
    expect(await waiting).toMatchObject({ code: 'CLOSED', message: expect.stringContaining('caughtUp') })
  })

  test('close() ends a wait for a view that another process runs', async () => {
    const { app, store } = await appThatLags()
    await app.aggregates.counter.execute('a', count(1))
    const caughtUp = failureOf(app.views.totals.caughtUp())
    const waitFor = failureOf(app.waitFor('totals', (await store.lastPosition?.()) as never))
    await soon(50)
    expect(await isDone(app.close())).toBe(true)
    expect((await caughtUp).code).toBe('CLOSED')
    expect((await waitFor).code).toBe('CLOSED')
  })

  test('close() ends the wait of a command, which is stored', async () => {
    const { app } = await appThatLags()
    const waiting = failureOf(app.aggregates.counter.execute('a', count(1), { waitFor: ['totals'] }))
    await soon(50)
    expect(await isDone(app.close())).toBe(true)
    expect(await waiting).toMatchObject({ code: 'NOT_YET', result: { ok: true, sequence: 1 }, cause: { code: 'CLOSED' } })
  })

  test('close() ends a wait that starts during the close', async () => {
    const { app } = await appThatLags()
    await app.aggregates.counter.execute('a', count(1))
    const closed = app.close()
    const waiting = failureOf(app.views.totals.caughtUp())
    expect(await isDone(closed)).toBe(true)
    expect((await waiting).code).toBe('CLOSED')
  })

  test('close() lets a handler in flight finish before it ends a wait', async () => {
    let ended = false
    const slow = defineSubscription({
      name: 'slow',
      aggregates: [counter],
      handle: async () => {
        await soon(200)
        ended = true
      },
    })
    const store = memoryStore()
    const app = createApp({ store, aggregates: { counter }, subscriptions: { slow } })
    await app.aggregates.counter.execute('a', count(1))
    const waiting = failureOf(app.subscriptions.slow.caughtUp())
    await soon(50)
    await app.close()
    expect(ended).toBe(true)
    expect((await waiting).code).toBe('CLOSED')
    expect(await store.readCheckpoint('subscription/slow')).toMatchObject({ position: '1' })
  })
})

test('close() aborts a handler that outlives the caller that waited for it', async () => {
  const stuck = defineSubscription({
    name: 'stuck',
    aggregates: [counter],
    handle: (_, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { stuck } })
  await app.aggregates.counter.execute('a', count(1))
  expect((await failureOf(app.subscriptions.stuck.caughtUp({ timeoutMs: 30 }))).code).toBe('NOT_YET')
  expect(await isDone(app.close())).toBe(true)
})

test('status() ends when the app closes', async () => {
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { hopeless } })
  const seen: string[] = []
  const watching = (async () => {
    for await (const { state } of app.subscriptions.hopeless.status()) seen.push(state)
  })()
  await soon(50)
  await app.close()
  expect(await isDone(watching)).toBe(true)
  expect(seen).toEqual(['idle'])
  for await (const _ of app.subscriptions.hopeless.status()) throw new Error('It is closed.')
})

describe('a signal', () => {
  test('a signal ends the wait of a command, which is stored', async () => {
    const { app } = await appThatLags()
    const signal = AbortSignal.timeout(50)
    const waiting = failureOf(app.aggregates.counter.execute('a', count(1), { waitFor: ['totals'], signal, timeoutMs: 5_000 }))
    expect(await isDone(waiting)).toBe(true)
    expect(await waiting).toMatchObject({
      code: 'NOT_YET',
      result: { ok: true, sequence: 1 },
      cause: { name: 'TimeoutError' },
    })
    await app.close()
  })

  test('the signal of a Lambda function leaves time to answer that the command is stored', async () => {
    const { app } = await appThatLags()
    const handler = onHttp(createHandler(app, { authorize: 'none', waitFor: ['totals'] }))
    const headers = { 'content-type': 'application/json', prefer: 'wait=10' }
    const event = functionUrl({ rawPath: '/counter/a/Count', body: '{"by":1}', headers }, 'POST')
    const { statusCode, body } = await handler(event, remaining(1_000))
    expect([statusCode, JSON.parse(String(body))]).toMatchObject([202, { sequence: 1, replayed: false }])
    await app.close()
  })
})

describe('a stopped clock', () => {
  const runtime = { ...platformRuntime, now: () => new Date('2030-01-01T00:00:00Z') }

  test('timeoutMs ends a wait although the clock of the app has stopped', async () => {
    const { store } = await appThatLags()
    const app = createApp({ store, aggregates: { counter }, views: { totals: totalsOf() }, runtime })
    await app.aggregates.counter.execute('a', count(1))
    const waiting = failureOf(app.aggregates.counter.execute('a', count(1), { waitFor: ['totals'], timeoutMs: 50 }))
    const caughtUp = failureOf(app.views.totals.caughtUp({ timeoutMs: 50 }))
    expect(await isDone(Promise.all([waiting, caughtUp]))).toBe(true)
    expect(await waiting).toMatchObject({ code: 'NOT_YET', result: { sequence: 2 } })
    expect(await caughtUp).toMatchObject({ code: 'NOT_YET' })
    await app.close()
  })
})

test('caughtUp() times out on time while a handler runs, and the handler continues', async () => {
  const signals: AbortSignal[] = []
  const door = gate()
  let ended = 0
  const slow = defineSubscription({
    name: 'slow',
    aggregates: [counter],
    handle: async (_, { signal }) => {
      signals.push(signal)
      await door.pass()
      ended++
    },
  })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { slow } })
  await app.aggregates.counter.execute('a', count(1))
  const failure = await failureOf(app.subscriptions.slow.caughtUp({ timeoutMs: 30 }))
  expect(failure).toMatchObject({ code: 'NOT_YET', message: expect.stringContaining('within 30 ms; it is at 0') })
  expect(ended).toBe(0)
  door.open()
  await app.subscriptions.slow.caughtUp()
  expect([ended, signals.some(({ aborted }) => aborted)]).toEqual([1, false])
  await app.close()
})

test('caughtUp() retries a failing event after growing waits', async () => {
  let calls = 0
  const fails = defineSubscription({
    name: 'fails',
    aggregates: [counter],
    onFailure: 'retry',
    handle: () => {
      calls++
      throw new Error('down')
    },
  })
  const app = createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { fails }, observe: () => {} })
  await app.aggregates.counter.execute('a', count(1))
  expect((await failureOf(app.subscriptions.fails.caughtUp({ timeoutMs: 600 }))).code).toBe('NOT_YET')
  // At once, and after 100, 200 and 400 ms at the least.
  expect(calls).toBeLessThanOrEqual(4)
})

describe('a program with a newer viewVersion', () => {
  test('a program with a newer viewVersion does not rebuild a view because a caller waits for it', async () => {
    const store = memoryStore()
    const old = createApp({ store, aggregates: { counter }, views: { totals: totalsOf(1) } })
    await old.aggregates.counter.execute('a', count(1), { waitFor: ['totals'] })
    const newer = createApp({ store, aggregates: { counter }, views: { totals: totalsOf(2) } })
    const waiting = await failureOf(newer.aggregates.counter.execute('a', count(2), { waitFor: ['totals'], timeoutMs: 50 }))
    expect(waiting).toMatchObject({ code: 'NOT_YET', result: { sequence: 2 } })
    const position = (await store.lastPosition?.()) as never
    expect(await failureOf(newer.waitFor('totals', position, { timeoutMs: 500 }))).toMatchObject({
      code: 'NOT_YET',
      cause: { code: 'VIEW_OUTDATED' },
    })
    await old.views.totals.caughtUp()
    expect((await old.views.totals.find()).items[0]?.view).toEqual({ total: 3 })
    await newer.drain()
    await newer.waitFor('totals', position)
    expect((await newer.views.totals.find()).items[0]?.view).toEqual({ total: 3 })
    for (const app of [old, newer]) await app.close()
  })
})
