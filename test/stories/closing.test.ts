import { createApp, defineSubscription, defineView, type Store } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { collect, failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { sendingBy, unordered } from '../support/stores.ts'

describe('close()', () => {
  const totals = defineView({
    name: 'totals',
    aggregates: [counter],
    initialView: () => ({ n: 0 }),
    update: { Counted: (v) => v },
  })

  test('close() lets pending commands and their queries finish', async () => {
    const { pass, open, reached } = gate()
    const done: string[] = []
    const store = sendingBy(memoryStore(), async (commit, really) => {
      await pass()
      return really(commit)
    })
    const queries = [
      async () => {
        await settled()
        done.push('query')
      },
    ]
    const app = createApp({ store, aggregates: { counter }, queries })
    const pending = [1, 2, 3].map((by) => app.aggregates.counter.execute('c', count(by)))
    await reached
    const closed = app.close().then(() => done.push('closed'))
    const again = app.close()
    await settled()
    expect(done).toEqual([])
    open()
    await closed
    await again
    expect(done).toEqual(['query', 'query', 'query', 'closed'])
    expect(await Promise.all(pending)).toMatchObject([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }])
  })

  describe.each([
    ['with a global order', (store: Store) => store, ['drain', 'caughtUp']],
    ['without one', unordered, ['drain', 'caughtUp', 'catchUp']],
  ] as const)('on a store %s', (_, as, ways) => {
    test.each(ways)('close() lets a handler of %s and its commands finish, and its event is not redelivered', async (how) => {
      const store = as(memoryStore())
      const { pass, open, reached } = gate()
      const seen: string[] = []
      const mirror = defineSubscription({
        name: 'mirror',
        aggregates: [counter],
        handle: async ({ id, aggregateId }, { app, signal }) => {
          if (aggregateId === 'mirror') return
          if (!isOver) await pass()
          if (!isOver) seen.push(`told to end: ${signal.aborted}`)
          await app.aggregate(counter).execute('mirror', count(1))
          seen.push(id)
        },
      })
      let isOver = false
      const make = () => createApp({ store, aggregates: { counter }, subscriptions: { mirror }, observe: () => {} })
      const app = make()
      for (const id of ['a', 'b']) await app.aggregates.counter.execute(id, count(1))
      const run = {
        drain: () => app.drain(),
        caughtUp: () => app.subscriptions.mirror.caughtUp().catch(() => {}),
        catchUp: () => app.catchUp([{ aggregateType: 'counter', aggregateId: 'a', sequence: 1 }]),
      }[how]
      const running = run()
      await reached
      const closed = app.close()
      await settled()
      open()
      await closed
      await running
      isOver = true
      const [told, first, ...others] = seen
      expect([told, others]).toEqual(['told to end: true', []])
      const next = make()
      expect(await next.drain()).toMatchObject({ caughtUp: true })
      // Without an order of all events either aggregate may be first.
      expect(first).toMatch(store.capabilities.globalOrder ? 'counter/a/1' : /^counter\/[ab]\/1$/)
      expect(new Set(seen.slice(1))).toEqual(new Set(['counter/a/1', 'counter/b/1']))
      await next.close()
    })
  })

  test('the app refuses every call after close() and leaves the store open', async () => {
    const store = memoryStore()
    const app = createApp({ store, aggregates: { counter }, views: { totals } })
    await app.aggregates.counter.execute('c', count(1))
    await app.close()
    const { counter: c } = app.aggregates
    const asked: (() => Promise<unknown>)[] = [
      () => c.execute('c', count(1)),
      () => c.load('c'),
      () => c.ids(),
      () => app.views.totals.load('c'),
      () => app.views.totals.find(),
      async () => collect(c.events('c')),
      async () => collect(app.events()),
    ]
    for (const ask of asked) {
      const error = await failureOf(ask())
      expect(error.code).toBe('CLOSED')
      expect(error.message).toMatch(/^.*(execute|load|ids|find|events).* was called after app\.close\(\)\.$/)
    }
    await app.close()
    expect(await createApp({ store, aggregates: { counter } }).aggregates.counter.execute('c', count(1))).toMatchObject({
      sequence: 2,
    })
  })
})
