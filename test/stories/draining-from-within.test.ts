import { AsyncLocalStorage } from 'node:async_hooks'
import { createApp, defineSqlView, defineSubscription } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import LibSql from 'libsql'
import { describe, expect, test } from 'vitest'
import { asyncScope } from '../../src/util/async-scope.ts'
import { failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { keeping } from '../support/keeping.ts'
import { logging } from '../support/logging.ts'
import { unordered } from '../support/stores.ts'
import { totalsOf } from '../support/totals.ts'

const kept = keeping()

type Logging = ReturnType<typeof logging>

/** What the handler's call came to, and the drain that ran the handler. The call is made after a wait. */
async function calledInHandler(call: (app: Logging) => Promise<unknown>, store = memoryStore()) {
  const outcomes: unknown[] = []
  const app: Logging = kept(
    logging(store, async () => {
      await settled()
      outcomes.push(await failureOf(call(app)))
    }),
  )
  await app.aggregates.counter.execute('a', count(1))
  const result = await app.drain()
  return { outcomes, result }
}

describe('inside a handler', () => {
  test.each<[string, (app: Logging) => Promise<unknown>]>([
    ['app.drain', (app) => app.drain()],
    ['app.catchUp', (app) => app.catchUp([{ aggregateType: 'counter', aggregateId: 'b', sequence: 1 }])],
    ['caughtUp', (app) => app.subscriptions.log.caughtUp()],
  ])('%s is refused inside a handler that it would wait for', async (what, call) => {
    const { outcomes, result } = await calledInHandler(call)
    expect(outcomes).toEqual([
      expect.objectContaining({
        code: 'VALIDATION',
        message: expect.stringMatching(`^${what}.* in a handler of the subscription 'log'.* Nothing was done\\.`),
      }),
    ])
    expect(result).toEqual({ caughtUp: true, events: 1 })
  })

  test('app.catchUp is refused inside a handler on a store without a global order', async () => {
    const changes = [{ aggregateType: 'counter', aggregateId: 'a', sequence: 1 }]
    const { outcomes } = await calledInHandler((app) => app.catchUp(changes), unordered(memoryStore()))
    expect(outcomes).toMatchObject([{ code: 'VALIDATION' }])
  })

  test('drain() is refused in handleBatch and in a handler that another handler waits for', async () => {
    const outcomes: unknown[] = []
    const inner = defineSubscription({
      name: 'inner',
      aggregates: [counter],
      handleBatch: async () => {
        outcomes.push(await failureOf(app.drain()))
        outcomes.push(await failureOf(app.subscriptions.outer.caughtUp()))
      },
    })
    const outer = defineSubscription({
      name: 'outer',
      aggregates: [counter],
      handle: (): unknown => app.subscriptions.inner.caughtUp(),
    })
    const app = kept(createApp({ store: memoryStore(), aggregates: { counter }, subscriptions: { outer, inner } }))
    await app.aggregates.counter.execute('a', count(1))
    await app.subscriptions.outer.caughtUp()
    expect(outcomes).toMatchObject([
      { message: expect.stringContaining("'inner'") },
      { message: expect.stringContaining("'outer'") },
    ])
  })

  test('a sqlView that waits for itself or rebuilds itself is refused', async () => {
    const base = sqliteStore(new LibSql(':memory:') as unknown as SqliteDatabase)
    await base.createSchema()
    const outcomes: Promise<unknown>[] = []
    const tables = defineSqlView({
      name: 'tables',
      aggregates: [counter],
      update: () => {
        outcomes.push(failureOf(app.drain()), failureOf(app.views.tables.caughtUp()), failureOf(app.views.tables.rebuild()))
      },
      reset: () => {},
    })
    const app = kept(createApp({ store: base, aggregates: { counter }, views: { tables } }))
    await app.aggregates.counter.execute('a', count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 1 })
    expect(await Promise.all(outcomes)).toMatchObject([{ code: 'VALIDATION' }, { code: 'VALIDATION' }, { code: 'VALIDATION' }])
  })

  test('a handler may wait for another view and drain another app', async () => {
    const store = memoryStore()
    const other = kept(logging(memoryStore(), () => {}))
    const log = defineSubscription({
      name: 'log',
      aggregates: [counter],
      handle: async (): Promise<void> => {
        await app.views.totals.caughtUp()
        await other.drain()
      },
    })
    const app = kept(createApp({ store, aggregates: { counter }, views: { totals: totalsOf('async') }, subscriptions: { log } }))
    await app.aggregates.counter.execute('a', count(1))
    expect(await app.drain()).toEqual({ caughtUp: true, events: 2 })
  })

  test('work that a handler has started may drain once the handler has ended', async () => {
    const [ended, door] = [gate(), gate()]
    // While a handler is in flight anywhere, what follows from a handler is known.
    const other = kept(logging(memoryStore(), () => door.pass()))
    await other.aggregates.counter.execute('a', count(1))
    const draining = other.drain()
    await door.reached
    let later: Promise<unknown> | undefined
    const app: Logging = kept(
      logging(memoryStore(), () => {
        later ??= ended.pass().then(() => app.drain())
      }),
    )
    for (const id of ['a', 'b']) {
      await app.aggregates.counter.execute(id, count(1))
      await app.drain()
    }
    ended.open()
    expect(await later).toEqual({ caughtUp: true, events: 0 })
    door.open()
    await draining
  })
})

test('without AsyncLocalStorage a scope lasts until the call first waits', async () => {
  const { process } = globalThis as { process?: unknown }
  Reflect.set(globalThis, 'process', undefined)
  const scope = asyncScope<number>()
  Reflect.set(globalThis, 'process', process)
  const seen = await scope.run(1, async () => {
    const first = scope.getStore()
    const inner = scope.run(2, () => scope.getStore())
    const after = scope.getStore()
    await settled()
    return [first, inner, after, scope.getStore()]
  })
  expect(seen).toEqual([1, 2, 1, undefined])
})

test('a scope that its platform cannot disable keeps its value', () => {
  class Scope extends AsyncLocalStorage<number> {
    override disable(): void {
      throw new Error('asyncLocalStorage.disable() is not implemented')
    }
  }
  const { process } = globalThis as { process?: unknown }
  Reflect.set(globalThis, 'process', { getBuiltinModule: () => ({ AsyncLocalStorage: Scope }) })
  const scope = asyncScope<number>()
  Reflect.set(globalThis, 'process', process)
  const seen = scope.run(1, () => {
    scope.disable()
    return scope.getStore()
  })
  expect(seen).toBe(1)
})

describe('the signal of a drain', () => {
  const stuck = (signals: AbortSignal[], isStuck: { pass(): Promise<void> }) =>
    kept(
      logging(memoryStore(), (_, { signal }) => {
        signals.push(signal)
        void isStuck.pass()
        return new Promise((resolve) => signal.addEventListener('abort', resolve))
      }),
    )

  test('an aborted drain aborts the handlers in flight', async () => {
    const [signals, door, abort] = [[] as AbortSignal[], gate(), new AbortController()]
    const app = stuck(signals, door)
    await app.aggregates.counter.execute('a', count(1))
    const drained = app.drain({ signal: abort.signal })
    await door.reached
    abort.abort()
    expect(await drained).toMatchObject({ caughtUp: false })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  test('an aborted drain stops waiting for a handler of another drain and does not abort it', async () => {
    const [signals, door, abort, first] = [[] as AbortSignal[], gate(), new AbortController(), new AbortController()]
    const app = stuck(signals, door)
    await app.aggregates.counter.execute('a', count(1))
    const running = app.drain({ signal: first.signal })
    await door.reached
    const waiting = app.drain({ signal: abort.signal })
    abort.abort()
    expect(await waiting).toEqual({ caughtUp: false, events: 0 })
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    first.abort()
    await running
  })
})
