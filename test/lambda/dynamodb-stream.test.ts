import { createApp, defineSubscription, type Store } from 'cqrs-es'
import { type DynamoDbStreamOptions, onDynamoDbStream } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test, vi } from 'vitest'
import { failureOf, thrownBy } from '../support/async.ts'
import { count, countEach, counter } from '../support/counter.ts'
import { changed, unordered } from '../support/stores.ts'
import { sizesOf, totalsOf } from '../support/totals.ts'
import { functionUrl, inserted, queued, remaining, stream } from './events.ts'

/** Counters with a view and a subscription behind them; the subscription fails or hangs where a test says so. */
function following(options: DynamoDbStreamOptions = {}, store: Store = unordered(memoryStore())) {
  const seen: string[] = []
  const trouble: { at?: string; how?: 'throw' | 'hang' } = {}
  const log = defineSubscription({
    name: 'log',
    aggregates: [counter],
    onFailure: 'retry',
    handle: async ({ id }) => {
      if (id === trouble.at && trouble.how === 'throw') throw new Error('odd')
      if (id === trouble.at && trouble.how === 'hang') await new Promise(() => {})
      seen.push(id)
    },
  })
  const app = createApp({
    store,
    aggregates: { counter },
    views: { totals: totalsOf('async'), sizes: sizesOf('async') },
    subscriptions: { log },
    observe: () => {},
  })
  const failures: string[] = []
  const handler = onDynamoDbStream(app, {
    onFailure: (error, { aggregateId, first, sequence }) => void failures.push(`${aggregateId} ${first}–${sequence}: ${error}`),
    ...options,
  })
  const write = (id: string, ...by: number[]) =>
    app.aggregates.counter.execute(id, by.length === 1 ? count(by[0] ?? 0) : countEach(...by))
  const total = async (id: string) => (await app.views.totals.load(id))?.view
  return { app, handler, write, total, seen, trouble, failures }
}
const failed = (...records: ReturnType<typeof inserted>[]) => ({
  batchItemFailures: records.map(({ dynamodb }) => ({ itemIdentifier: dynamodb?.SequenceNumber })),
})

describe('a batch of the stream', () => {
  test('a batch updates views and subscriptions, each aggregate in order', async () => {
    const { app, handler, write, total, seen } = following()
    await write('a', 1, 2, 3)
    await write('b', 4)
    const batch = stream(inserted(1, 'a', 1), inserted(2, 'a', 2), inserted(3, 'a', 3), inserted(4, 'b', 1))
    expect(await handler(batch, remaining(60_000))).toEqual(failed())
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/a/3', 'counter/b/1'])
    expect(await total('a')).toEqual({ total: 6, count: 3 })
    expect((await app.views.sizes.load('by-4'))?.view.times).toBe(1)
  })

  test('a batch with duplicate, late or imageless records processes each event once, in order', async () => {
    const { handler, write, total, seen } = following()
    await write('a', 1, 2, 3)
    await write('b', 4)
    const keysOnly = { keysOnly: true }
    const [last, other, second] = [inserted(3, 'a', 3, keysOnly), inserted(4, 'b', 1, keysOnly), inserted(2, 'a', 2, keysOnly)]
    expect(await handler(stream(last, other, second, last))).toEqual(failed())
    expect(await handler(stream(second, inserted(1, 'a', 1, keysOnly)))).toEqual(failed())
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/a/3', 'counter/b/1'])
    expect(await total('a')).toEqual({ total: 6, count: 3 })
  })

  test('a batch skips records that are not new events of this app', async () => {
    const { handler, write, seen, failures } = following()
    await write('a', 1)
    const batch = stream(
      inserted(1, 'a', 1, { eventName: 'MODIFY' }),
      inserted(2, 'a', 1, { eventName: 'REMOVE' }),
      inserted(3, 'm-1', 1, { type: 'meter' }),
      inserted(5, 'm'.repeat(300), 1, { type: 'meter' }),
      { eventName: 'INSERT', dynamodb: { Keys: { Pk: { S: 'key/counter:a' }, Sk: { S: 'k' } }, SequenceNumber: '4' } },
      { eventName: 'INSERT' },
      {},
    )
    expect(await handler(batch)).toEqual(failed())
    expect({ seen, failures }).toEqual({ seen: [], failures: [] })
    expect(await handler(stream())).toEqual(failed())
  })

  test("a subscription from 'now' begins at the first event of its batch", async () => {
    const store = unordered(memoryStore())
    const seen: string[] = []
    const log = defineSubscription({ name: 'new', aggregates: [counter], from: 'now', handle: ({ id }) => void seen.push(id) })
    const app = createApp({ store, aggregates: { counter }, subscriptions: { log } })
    for (const by of [1, 2, 3, 4]) await app.aggregates.counter.execute('a', count(by))
    await onDynamoDbStream(app)(stream(inserted(4, 'a', 4), inserted(3, 'a', 3)))
    expect(seen).toEqual(['counter/a/3', 'counter/a/4'])
  })
})

describe('a batch with a failing aggregate', () => {
  test('a failing aggregate does not stop the others, and its first record is reported', async () => {
    const { handler, write, total, seen, trouble, failures } = following()
    await write('a', 1, 2)
    await write('bad', 1, 2)
    await write('c', 3)
    Object.assign(trouble, { at: 'counter/bad/2', how: 'throw' })
    const [first, second] = [inserted(2, 'bad', 1), inserted(4, 'bad', 2)]
    const batch = stream(inserted(1, 'a', 1), first, inserted(3, 'a', 2), second, inserted(5, 'c', 1))
    expect(await handler(batch)).toEqual(failed(first))
    expect(failures).toEqual(['bad 1–2: Error: odd'])
    expect(seen).toEqual(['counter/a/1', 'counter/a/2', 'counter/bad/1', 'counter/c/1'])
    expect([await total('bad'), await total('c')]).toEqual([
      { total: 3, count: 2 },
      { total: 3, count: 1 },
    ])
    delete trouble.at
    expect(await handler(stream(first, inserted(3, 'a', 2), second, inserted(5, 'c', 1)))).toEqual(failed())
    expect(seen.slice(4)).toEqual(['counter/bad/2'])
  })

  test('a read that never ended is started again in the next invocation', async () => {
    const store = unordered(memoryStore())
    let hangs = true
    const hanging = changed(store, { readAggregate: (request) => (hangs ? new Promise(() => {}) : store.readAggregate(request)) })
    const { handler, seen } = following({}, hanging)
    await following({}, store).write('a', 1)
    const record = inserted(1, 'a', 1)
    expect(await handler(stream(record), remaining(600))).toEqual(failed(record))
    hangs = false
    expect(await handler(stream(record), remaining(60_000))).toEqual(failed())
    expect(seen).toEqual(['counter/a/1'])
  })

  test('context.attempt counts up even if other aggregates succeed in between', async () => {
    const attempts: number[] = []
    const handle = ({ aggregateId }: { readonly aggregateId: string }, { attempt }: { readonly attempt: number }) => {
      if (aggregateId !== 'bad') return
      attempts.push(attempt)
      throw new Error('odd')
    }
    const log = defineSubscription({ name: 'log', aggregates: [counter], onFailure: 'retry', handle })
    const store = unordered(memoryStore())
    const app = createApp({ store, aggregates: { counter }, subscriptions: { log }, observe: () => {} })
    const handler = onDynamoDbStream(app, { onFailure: () => {} })
    for (const id of ['bad', 'a', 'b']) await app.aggregates.counter.execute(id, count(1))
    await handler(stream(inserted(1, 'bad', 1), inserted(2, 'a', 1)))
    await handler(stream(inserted(1, 'bad', 1), inserted(3, 'b', 1)))
    expect(attempts).toEqual([1, 2])
  })

  test('the handler returns in time even if onFailure never ends', async () => {
    const told: string[] = []
    const never = (_: unknown, { aggregateId }: { readonly aggregateId: string }) => {
      told.push(aggregateId)
      return new Promise<void>(() => {})
    }
    const { handler, write, trouble } = following({ onFailure: never })
    await write('a', 1)
    await write('b', 1)
    Object.assign(trouble, { at: 'counter/a/1', how: 'hang' })
    const spoken = vi.spyOn(console, 'error').mockImplementation(() => {})
    try {
      const [first, second] = [inserted(1, 'a', 1), inserted(2, 'b', 1)]
      expect(await handler(stream(first, second), remaining(600))).toEqual(failed(first, second))
      expect(told).toEqual(['a', 'b'])
      expect(spoken.mock.calls).toEqual([[expect.stringContaining('onFailure did not end in time')]])
    } finally {
      spoken.mockRestore()
    }
  })

  test('a record that cannot be an event of this package is reported', async () => {
    const { handler, write, seen, failures } = following()
    await write('a', 1)
    const [zero, long] = [inserted(1, 'x', 0), inserted(2, 'y'.repeat(300), 1)]
    expect(await handler(stream(zero, long, inserted(3, 'a', 1)))).toEqual(failed(zero, long))
    expect(failures).toEqual([expect.stringContaining('x 0–0: ValidationError'), expect.stringContaining('the limit is 255')])
    expect(seen).toEqual(['counter/a/1'])
  })

  test('a failing record without a sequence number fails the whole batch', async () => {
    const { handler, write, trouble } = following()
    await write('a', 1)
    Object.assign(trouble, { at: 'counter/a/1', how: 'throw' })
    const { SequenceNumber: _, ...dynamodb } = inserted(1, 'a', 1).dynamodb ?? {}
    const error = await failureOf(handler(stream({ ...inserted(1, 'a', 1), dynamodb })))
    expect(error.message).toBe('onDynamoDbStream: a failed record has no identifier, so the whole batch fails.')
  })

  test('a failure goes to the console when there is no onFailure', async () => {
    const { app, write, trouble } = following()
    await write('a', 1)
    Object.assign(trouble, { at: 'counter/a/1', how: 'throw' })
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    try {
      await onDynamoDbStream(app)(stream(inserted(1, 'a', 1)))
      expect(told.mock.calls).toEqual([["The change of counter 'a' could not be processed:", new Error('odd')]])
    } finally {
      told.mockRestore()
    }
  })
})

describe('the time limit of the function', () => {
  test('work that runs out of time is done next time even if a handler ignores its signal', async () => {
    const store = unordered(memoryStore())
    const { handler, write, seen, trouble, failures } = following({}, store)
    await write('a', 1)
    await write('b', 1)
    await write('c', 1)
    Object.assign(trouble, { at: 'counter/b/1', how: 'hang' })
    const [a, b, c] = [inserted(1, 'a', 1), inserted(2, 'b', 1), inserted(3, 'c', 1)]
    expect(await handler(stream(a, b, c), remaining(2_000))).toEqual(failed(a, b, c))
    expect(seen).toEqual(['counter/a/1'])
    expect(failures).toEqual(['a', 'b', 'c'].map((id) => `${id} 1–1: TimeoutError: The time of the Lambda function is up.`))
    const another = following({}, store)
    expect(await another.handler(stream(a, b, c), remaining(60_000))).toEqual(failed())
    expect(another.seen).toEqual(['counter/b/1', 'counter/c/1'])
    expect(await another.total('c')).toEqual({ total: 1, count: 1 })
  })

  test('a subscription is aborted by its signal when time is up and receives its event again', async () => {
    const reasons: unknown[] = []
    const log = defineSubscription({
      name: 'log',
      aggregates: [counter],
      handle: (_, { signal }) =>
        reasons.length > 0
          ? undefined
          : new Promise((_, reject) => {
              signal.addEventListener('abort', () => {
                reasons.push(signal.reason.name)
                reject(signal.reason)
              })
            }),
    })
    const app = createApp({ store: unordered(memoryStore()), aggregates: { counter }, subscriptions: { log } })
    await app.aggregates.counter.execute('a', count(1))
    const handler = onDynamoDbStream(app, { onFailure: () => {} })
    expect(await handler(stream(inserted(1, 'a', 1)), remaining(1_500))).toEqual(failed(inserted(1, 'a', 1)))
    expect(reasons).toEqual(['TimeoutError'])
    expect(await handler(stream(inserted(1, 'a', 1)), remaining(60_000))).toEqual(failed())
  })
})

describe('wrong wiring of onDynamoDbStream', () => {
  test.each([
    [{ Records: [queued('m-1', '{}')] }, "records of 'aws:sqs'"],
    [{ Records: [null] }, 'records that do not say where they are from'],
    [functionUrl(), 'a request of an HTTP API or a Function URL'],
  ])('onDynamoDbStream refuses an event of another source: %#', async (event, told) => {
    const { code, message } = await failureOf(following().handler(event as never))
    expect(code).toBe('DEFINITION')
    expect(message).toContain(`onDynamoDbStream takes batches of 'aws:dynamodb', but got ${told}.`)
  })

  test('onDynamoDbStream checks its options when it is called', () => {
    const { app } = following()
    expect(thrownBy(() => onDynamoDbStream(app, { onError: () => {} } as never)).message).toContain("has no option 'onError'")
    expect(thrownBy(() => onDynamoDbStream(app, { onFailure: 1 } as never)).message).toContain('onFailure must be a function')
  })
})
