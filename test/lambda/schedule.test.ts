import { createApp, defineSubscription } from 'cqrs-es'
import { onSchedule } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { failureOf, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { changed, unordered } from '../support/stores.ts'
import { totalsOf } from '../support/totals.ts'
import { remaining, scheduled } from './events.ts'

const seenBy = (store = memoryStore(), handle: (id: string, signal: AbortSignal) => unknown = () => {}) => {
  const seen: string[] = []
  const log = defineSubscription({
    name: 'log',
    aggregates: [counter],
    handle: async ({ id }, { signal }) => {
      await handle(id, signal)
      seen.push(id)
    },
  })
  const app = createApp({ store, aggregates: { counter }, views: { totals: totalsOf('async') }, subscriptions: { log } })
  return { app, seen }
}

test.each([
  ['with a global order', (store: ReturnType<typeof memoryStore>) => store],
  ['without a global order', unordered],
])('a schedule processes everything that is left on a store %s', async (_, as) => {
  const { app, seen } = seenBy(as(memoryStore()) as ReturnType<typeof memoryStore>)
  await app.aggregates.counter.execute('a', countEach(1, 2))
  const handler = onSchedule(app)
  expect(await handler(scheduled, remaining(60_000))).toEqual({ caughtUp: true, events: 4 })
  expect(await handler(scheduled)).toEqual({ caughtUp: true, events: 0 })
  expect(seen).toEqual(['counter/a/1', 'counter/a/2'])
  expect((await app.views.totals.load('a'))?.view.total).toBe(3)
})

test('a schedule leaves work that runs out of time to the next one', async () => {
  const { app, seen } = seenBy(memoryStore(), (id, signal) =>
    id === 'counter/a/2' && seen.length === 1
      ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      : undefined,
  )
  await app.aggregates.counter.execute('a', countEach(1, 2, 3))
  const handler = onSchedule(app)
  const waited = handler({}, remaining(700))
  expect((await waited).caughtUp).toBe(false)
  expect(seen).toEqual(['counter/a/1'])
  seen.push('-')
  expect(await handler({}, remaining(60_000))).toMatchObject({ caughtUp: true })
  expect(seen).toEqual(['counter/a/1', '-', 'counter/a/2', 'counter/a/3'])
})

test('a schedule whose run does not end fails, so that Lambda retries it', async () => {
  const { app } = seenBy(memoryStore(), () => new Promise(() => {}))
  await app.aggregates.counter.execute('a', count(1))
  expect((await failureOf(onSchedule(app)({}, remaining(510)))).message).toBe('The time of the Lambda function is up.')
})

test('`reconcile` checks every aggregate on a store with a stream', async () => {
  const store = unordered(memoryStore())
  const silent = changed(store, {
    readChanges: async () => ({ changes: [], cursor: 'end', more: false }),
  }) as ReturnType<typeof memoryStore>
  const { app, seen } = seenBy(silent)
  await onSchedule(app)(scheduled)
  await app.aggregates.counter.execute('a', count(1))
  expect(await onSchedule(app)(scheduled)).toEqual({ caughtUp: true, events: 0 })
  expect(await onSchedule(app, { reconcile: true })(scheduled)).toEqual({ caughtUp: true, events: 2 })
  expect(seen).toEqual(['counter/a/1'])
})

test('onSchedule passes errors of the store through and checks its options', async () => {
  const { app } = seenBy()
  await app.close()
  expect((await failureOf(onSchedule(app)({}))).code).toBe('CLOSED')
  expect(thrownBy(() => onSchedule(app, { reconcile: 'yes' } as never)).message).toContain('reconcile must be true or false')
  expect(thrownBy(() => onSchedule(app, { budget: 1 } as never)).message).toContain("onSchedule has no option 'budget'")
})
