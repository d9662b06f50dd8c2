import { createApp, type EventEnvelope } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { count, countEach, counter } from '../support/counter.ts'

type Query = (events: readonly EventEnvelope[]) => void | Promise<void>
const appWith = (queries: Query[], onQueryError?: (error: unknown, events: readonly EventEnvelope[]) => void) =>
  createApp({ store: memoryStore(), aggregates: { counter }, queries, ...(onQueryError && { onQueryError }) }).aggregates.counter

test('queries are called in list order, each after the one before has finished', async () => {
  const calls: string[] = []
  const slow = async () => {
    calls.push('slow begins')
    await new Promise((resolve) => setImmediate(resolve))
    calls.push('slow ends')
  }
  await appWith([slow, () => void calls.push('second'), () => void calls.push('third')]).execute('c', count(1))
  expect(calls).toEqual(['slow begins', 'slow ends', 'second', 'third'])
})

test('each query receives all events of the command at once, after they are stored', async () => {
  const store = memoryStore()
  const received: unknown[] = []
  const query = async (events: readonly EventEnvelope[]) => {
    received.push({ events, stored: await store.lastPosition() })
  }
  const app = createApp({ store, aggregates: { counter }, queries: [query, query] })
  const result = await app.aggregates.counter.execute('c', countEach(1, 2, 3), { metadata: { userId: 'u7' } })
  expect(received).toEqual(Array(2).fill({ events: result.ok && result.events, stored: '3' }))
  expect(received[0]).toMatchObject({
    events: [1, 2, 3].map((n) => ({
      aggregateId: 'c',
      sequence: n,
      data: { by: n },
      metadata: { userId: 'u7' },
      position: `${n}`,
    })),
  })
})

test('the events that a query receives are frozen for the next query and the caller', async () => {
  const failures: unknown[] = []
  const vandal: Query = ([event]) => {
    ;(event as unknown as { data: { by: number } }).data.by = 99
  }
  const result = await appWith([vandal], (error) => failures.push(error)).execute('c', count(1))
  expect(result).toMatchObject({ ok: true, events: [{ data: { by: 1 } }] })
  expect(failures).toEqual([expect.any(TypeError)])
})

describe('a query that fails', () => {
  const failure = new Error('the mail server is down')
  const failing: [string, Query][] = [
    [
      'throws',
      () => {
        throw failure
      },
    ],
    ['rejects', () => Promise.reject(failure)],
  ]

  test.each(failing)(
    'a query that %s is reported with its events, and fails neither command nor next query',
    async (_, query) => {
      const reported: unknown[] = []
      const next = vi.fn()
      const result = await appWith([query, next], (...what) => reported.push(what)).execute('c', count(1))
      expect(result).toMatchObject({ ok: true, sequence: 1 })
      expect(next).toHaveBeenCalledOnce()
      expect(reported).toEqual([[failure, result.ok && result.events]])
    },
  )

  describe('on the console', () => {
    const shown = vi.spyOn(console, 'error').mockImplementation(() => {})
    afterEach(() => shown.mockClear())

    test.each(failing)('a query that %s is reported on the console without an onQueryError', async (_, query) => {
      expect(await appWith([query]).execute('c', count(1))).toMatchObject({ ok: true })
      expect(shown).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("counter 'c'"), failure)
    })

    test('an error of onQueryError is reported on the console together with that of the query', async () => {
      const worse = new Error('the pager is down')
      const next = vi.fn()
      const c = appWith([() => Promise.reject(failure), next], () => {
        throw worse
      })
      expect(await c.execute('c', count(1))).toMatchObject({ ok: true })
      expect(next).toHaveBeenCalledOnce()
      const [words = []] = shown.mock.calls
      expect(words).toContain(failure)
      expect(words).toContain(worse)
    })
  })
})

test('an onQueryError that rejects later causes no unhandled rejection', async () => {
  const shown = vi.spyOn(console, 'error').mockImplementation(() => {})
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  const worse = new Error('the pager is down')
  const onQueryError = () => Promise.reject(worse)
  expect(await appWith([() => Promise.reject(new Error('down'))], onQueryError).execute('c', count(1))).toMatchObject({
    ok: true,
  })
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', unhandled)
  expect(unhandled).not.toHaveBeenCalled()
  expect(shown.mock.calls.flat()).toContain(worse)
  shown.mockRestore()
})
