import { createApp, defineView } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { collect, failureOf, gate, settled } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { sendingBy } from '../support/stores.ts'

describe('close', () => {
  const totals = defineView({
    name: 'totals',
    aggregates: [counter],
    initialView: () => ({ n: 0 }),
    update: { Counted: (v) => v },
  })

  test('lets pending commands finish, their queries too', async () => {
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

  test('refuses everything afterwards, and leaves the store open', async () => {
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
