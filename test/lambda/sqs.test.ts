import { createApp, defineAggregate, isCqrsError, noData } from 'cqrs-es'
import { onSqs, type SqsMessage, type SqsOptions } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test, vi } from 'vitest'
import { collect, failureOf, gate, thrownBy } from '../support/async.ts'
import { count, counter } from '../support/counter.ts'
import { changed } from '../support/stores.ts'
import { httpApi, inGroup, inserted, queued, remaining, restApi, sqs } from './events.ts'

/** A counter behind a queue, and what was told of its messages. */
function counting(options: SqsOptions = {}, store = memoryStore()) {
  const app = createApp({ store, aggregates: { counter } })
  const failures: [id: string, error: string][] = []
  const onFailure = (error: unknown, { messageId }: SqsMessage) => void failures.push([messageId, String(error)])
  const handler = onSqs(app, { onFailure, ...options })
  const counts = async (id: string) =>
    (await collect(app.aggregates.counter.events(id))).map(({ data, metadata }) => ({ by: data.by, metadata }))
  const total = async (id: string) => (await app.aggregates.counter.load(id)).state.total
  return { app, handler, failures, counts, total }
}
const by = (id: string, n: number, more = {}) => ({ aggregate: 'counter', id, command: count(n), ...more })
const failed = (...ids: string[]) => ({ batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) })

describe('a queue of commands', () => {
  test('a batch executes its commands, those of one aggregate in order of arrival', async () => {
    const { handler, counts, total } = counting()
    const messages = [1, 2, 3, 4].map((n) => queued(`m-${n}`, by(n === 4 ? 'b' : 'a', n)))
    expect(await handler(sqs(...messages), remaining(60_000))).toEqual(failed())
    expect((await counts('a')).map(({ by }) => by)).toEqual([1, 2, 3])
    expect(await total('b')).toBe(4)
    expect(await handler(sqs(), remaining(60_000))).toEqual(failed())
  })

  test('a message is stored once, even if it occurs twice in a batch', async () => {
    const { handler, total } = counting()
    const message = queued('m-1', by('a', 5))
    await handler(sqs(message, message))
    const again = { ...message, attributes: { ...message.attributes, ApproximateReceiveCount: '2' } }
    expect(await handler(sqs(again))).toEqual(failed())
    expect(await total('a')).toBe(5)
    await handler(sqs(queued('m-2', by('a', 5))))
    expect(await total('a')).toBe(10)
  })

  test('two messages with the same idempotencyKey are stored once', async () => {
    const { handler, total } = counting()
    await handler(sqs(queued('m-1', by('a', 5, { idempotencyKey: 'order-7' }))))
    await handler(sqs(queued('m-2', by('a', 5, { idempotencyKey: 'order-7' }))))
    expect(await total('a')).toBe(5)
  })

  test('metadata of the function overrides metadata of the message', async () => {
    const { handler, counts } = counting({
      metadata: ({ messageId, messageAttributes }) => ({ causationId: messageId, userId: messageAttributes?.user?.stringValue }),
    })
    const messageAttributes = { user: { stringValue: 'ann', stringListValues: [], binaryListValues: [], dataType: 'String' } }
    const metadata = { userId: 'eve', correlationId: 'c-1' }
    await handler(sqs(queued('m-1', by('a', 1, { metadata }), { messageAttributes })))
    expect(await counts('a')).toEqual([{ by: 1, metadata: { userId: 'ann', correlationId: 'c-1', causationId: 'm-1' } }])
  })

  test('a rejected command is a success', async () => {
    const told: unknown[] = []
    const { handler, failures } = counting({
      onRejected: ({ reason, details }, { messageId }) => void told.push({ reason, details, messageId }),
    })
    expect(await handler(sqs(queued('m-1', by('a', -1)), queued('m-2', by('b', 1))))).toEqual(failed())
    expect(told).toEqual([{ reason: 'too-little', details: { total: 0 }, messageId: 'm-1' }])
    expect(failures).toEqual([])
    expect(await counting().handler(sqs(queued('m-1', by('a', -1))))).toEqual(failed())
  })

  test('a rejected command fails when onRejected throws', async () => {
    const { handler, failures } = counting({ onRejected: () => Promise.reject(new Error('no mail')) })
    expect(await handler(sqs(queued('m-1', by('a', -1))))).toEqual(failed('m-1'))
    expect(failures).toEqual([['m-1', 'Error: no mail']])
  })

  test('a message with an outdated expectedSequence fails and stores nothing', async () => {
    const { handler, failures, total } = counting()
    const messages = [queued('m-1', by('a', 1, { expectedSequence: 0 })), queued('m-2', by('a', 2, { expectedSequence: 0 }))]
    expect(await handler(sqs(...messages))).toEqual(failed('m-2'))
    expect(failures[0]?.[1]).toContain('ConflictError')
    expect(await total('a')).toBe(1)
  })
})

describe('a message that is not a command', () => {
  test.each([
    ['that is not JSON', 'Count!', "SQS message 'bad' is not JSON."],
    ['without text', '', "SQS message 'bad' is not JSON."],
    ['that is a text', '"Count"', "SQS message 'bad' is not a command"],
    ['that is null', 'null', "SQS message 'bad' is not a command"],
    ['that is a list', [by('a', 1)], "SQS message 'bad' is not a command"],
    [
      'wrapped by another service',
      { Type: 'Notification', Message: '{}' },
      "SQS message 'bad' has the unknown property 'Type'. Its properties: aggregate, id",
    ],
    ['without an aggregate', { id: 'a', command: count(1) }, "SQS message 'bad' does not name its aggregate."],
    ['for an unknown aggregate', { ...by('a', 1), aggregate: 'meter' }, "this app has no aggregate 'meter'"],
    ['for a prototype', { ...by('a', 1), aggregate: '__proto__' }, "this app has no aggregate '__proto__'"],
    ['for a constructor', { ...by('a', 1), aggregate: 'constructor' }, "this app has no aggregate 'constructor'"],
    [
      'with a prototype',
      '{"__proto__":{"aggregate":"counter"},"id":"a","command":{"type":"Count"}}',
      "has the unknown property '__proto__'",
    ],
    ['without an id', { aggregate: 'counter', command: count(1) }, 'the id must be a text, not undefined'],
    ['with an id that is too long', by('a'.repeat(256), 1), 'the limit is 255'],
    ['without a command', { aggregate: 'counter', id: 'a' }, 'a command must be an object { type, data }'],
    ['with an unknown command', { ...by('a', 1), command: { type: 'Reset' } }, 'ValidationError'],
    ['with a command of a prototype', { ...by('a', 1), command: { type: 'toString' } }, 'ValidationError'],
    ['with a misspelt option', by('a', 1, { idempotencykey: 'k' }), "has the unknown property 'idempotencykey'"],
    ['with metadata that are none', by('a', 1, { metadata: 'ann' }), 'metadata must be an object'],
    ['with a list of metadata', by('a', 1, { metadata: ['ann'] }), 'metadata must be an object'],
    [
      'with a key in metadata that JSON may not have',
      '{"aggregate":"counter","id":"a","command":{"type":"Count","data":{"by":1}},"metadata":{"__proto__":{}}}',
      '__proto__',
    ],
    [
      'with a number that JavaScript would round',
      '{"aggregate":"counter","id":"a","command":{"type":"Count","data":{"by":9007199254740993}}}',
      'command.data.by: JavaScript cannot hold this number exactly',
    ],
    ['with a sequence that is none', by('a', 1, { expectedSequence: '1' }), 'expectedSequence must be a whole number'],
    ['with an empty key', by('a', 1, { idempotencyKey: '' }), 'must not be empty'],
  ])('a message %s fails alone', async (_, body, told) => {
    const { handler, failures, total } = counting({ metadata: () => ({ via: 'queue' }) })
    expect(await handler(sqs(queued('bad', body), queued('good', by('b', 1))))).toEqual(failed('bad'))
    expect(failures).toEqual([['bad', expect.stringContaining(told)]])
    expect(await total('b')).toBe(1)
    expect(await total('a')).toBe(0)
    expect(Object.prototype).not.toHaveProperty('aggregate')
  })

  test('a failure goes to the console when there is no onFailure', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    try {
      await counting({ onFailure: undefined as never }).handler(sqs(queued('bad', '?')))
      expect(error.mock.calls).toEqual([["SQS message 'bad' has failed:", expect.objectContaining({ code: 'VALIDATION' })]])
    } finally {
      error.mockRestore()
    }
  })

  test('a failure is reported even if onFailure throws', async () => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    try {
      const onFailure = () => Promise.reject(new Error('no log'))
      expect(await counting({ onFailure }).handler(sqs(queued('bad', '?')))).toEqual(failed('bad'))
      expect(String(error.mock.calls)).toContain('onSqs: onFailure failed:,Error: no log')
    } finally {
      error.mockRestore()
    }
  })
})

describe('a FIFO queue', () => {
  test('a FIFO group stops at its first failure, and its later messages fail too', async () => {
    const { app, handler, failures, counts } = counting()
    const one = by('a', 1)
    const answer = await handler(
      sqs(
        inGroup('a', 'a-1', one),
        inGroup('b', 'b-1', '?'),
        inGroup('a', 'a-2', by('a', 2)),
        inGroup('b', 'b-2', by('b', 1)),
        inGroup('c', 'c-1', by('c', -1)),
        inGroup('c', 'c-2', by('c', 1)),
        inGroup('b', 'b-3', by('b', 1)),
        inGroup('a', 'a-3', by('a', 3)),
      ),
    )
    expect(answer).toEqual(failed('b-1', 'b-2', 'b-3'))
    expect(failures.map(([id]) => id)).toEqual(['b-1', 'b-2', 'b-3'])
    expect(failures[2]?.[1]).toContain("Not executed: the earlier message 'b-1' of its group failed.")
    expect((await counts('a')).map(({ by }) => by)).toEqual([1, 2, 3])
    expect((await counts('c')).map(({ by }) => by)).toEqual([1])
    expect((await app.aggregates.counter.ids()).items).toEqual(['a', 'c'])
  })

  test('a FIFO group runs its commands one by one, concurrently with other groups', async () => {
    const begun: string[] = []
    const door = gate()
    const store = memoryStore()
    const waiting = changed(store, {
      append: async (commits) => {
        for (const { appends } of commits) begun.push(...appends.map(({ aggregateId }) => aggregateId))
        if (begun.length < 3) await door.pass()
        return store.append(commits)
      },
    })
    const app = createApp({ store: waiting, aggregates: { counter }, batching: false })
    const batch = [inGroup('g', '1', by('a', 1)), inGroup('g', '2', by('b', 1)), inGroup('h', '3', by('c', 1))]
    const done = onSqs(app)(sqs(...batch))
    await door.reached
    await vi.waitFor(() => expect([...begun].sort()).toEqual(['a', 'c']))
    door.open()
    expect(await done).toEqual(failed())
    expect(begun).toHaveLength(3)
    expect(begun[2]).toBe('b')
  })

  test('a group of a standard queue has no order', async () => {
    const { handler, total } = counting()
    const fair = (id: string, body: unknown) =>
      queued(id, body, { attributes: { MessageGroupId: 'tenant-1' } as SqsMessage['attributes'] as never })
    expect(await handler(sqs(fair('m-1', '?'), fair('m-2', by('a', 1))))).toEqual(failed('m-1'))
    expect(await total('a')).toBe(1)
  })
})

describe('the time limit of the function', () => {
  test('a message that runs out of time is delivered again and stored once', async () => {
    const store = memoryStore()
    let isSlow = true
    const slow = changed(store, {
      readAggregate: async (request) => {
        if (isSlow && request.aggregateId === 'slow') await new Promise(() => {})
        return store.readAggregate(request)
      },
    })
    const { handler, failures, total } = counting({}, slow)
    const batch = sqs(
      inGroup('g', 'm-1', by('quick', 1)),
      inGroup('g', 'm-2', by('slow', 1)),
      inGroup('g', 'm-3', by('quick', 2)),
    )
    expect(await handler(batch, remaining(2_000))).toEqual(failed('m-2', 'm-3'))
    expect(failures[0]).toEqual(['m-2', 'TimeoutError: The time of the Lambda function is up.'])
    isSlow = false
    expect(await counting({}, store).handler(batch, remaining(60_000))).toEqual(failed())
    expect([await total('quick'), await total('slow')]).toEqual([3, 1])
  })

  test.each([
    { whileDeciding: true, answer: failed('m-1'), sequence: 0 },
    { whileDeciding: false, answer: failed(), sequence: 1 },
  ])('a message that runs out of time while deciding ($whileDeciding) reports the true outcome', async (when) => {
    const door = gate()
    const slow = defineAggregate({
      type: 'slow',
      events: { Done: noData },
      commands: { Do: noData },
      initialState: () => ({}),
    }).implement({
      handle: {
        Do: async (_, _data, { signal }) => {
          signal.addEventListener('abort', door.open)
          if (when.whileDeciding) await door.pass()
          return { type: 'Done' }
        },
      },
      apply: { Done: (state) => state },
    })
    const store = memoryStore()
    const waiting = changed(store, {
      append: async (commits) => {
        await door.pass()
        return store.append(commits)
      },
    })
    const app = createApp({ store: waiting, aggregates: { slow } })
    const message = queued('m-1', { aggregate: 'slow', id: 'a', command: { type: 'Do' } })
    expect(await onSqs(app, { onFailure: () => {} })(sqs(message), remaining(3_000))).toEqual(when.answer)
    expect((await app.aggregates.slow.load('a')).sequence).toBe(when.sequence)
  })

  test('a batch of 1,000 messages causes no warning about too many listeners', async () => {
    const warnings: string[] = []
    const listen = (warning: Error) => void warnings.push(warning.name)
    process.on('warning', listen)
    const { handler, total } = counting()
    const batch = Array.from({ length: 1_000 }, (_, i) => queued(`m-${i}`, by('a', 1)))
    expect(await handler(sqs(...batch), remaining(60_000))).toEqual(failed())
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(await total('a')).toBe(1_000)
    expect(warnings).toEqual([])
  })
})

describe('wrong wiring of onSqs', () => {
  test.each([
    [{ Records: [inserted(1, 'a', 1)] }, "records of 'aws:dynamodb'"],
    [{ Records: [{ EventSource: 'aws:sns', Sns: {} }, undefined] }, "records of 'aws:sns'"],
    [httpApi(), 'a request of an HTTP API or a Function URL'],
    [restApi, 'a request of a REST API'],
    [undefined, 'undefined'],
  ])('onSqs refuses an event of another source: %#', async (event, told) => {
    const error = await failureOf(counting().handler(event as never))
    expect(isCqrsError(error, 'DEFINITION')).toBe(true)
    expect(error.message).toContain(`onSqs takes batches of 'aws:sqs', but got ${told}.`)
  })

  test('a failure without a messageId fails the whole batch', async () => {
    const { messageId: _, ...nameless } = queued('m-1', '?')
    expect((await failureOf(counting().handler(sqs(nameless as never)))).message).toContain(
      'onSqs: a failed record has no identifier',
    )
  })

  test('onSqs checks its options when it is called', () => {
    const app = createApp({ store: memoryStore(), aggregates: { counter } })
    expect(thrownBy(() => onSqs(app, { onFail: () => {} } as never)).message).toContain("onSqs has no option 'onFail'")
    expect(thrownBy(() => onSqs(app, { metadata: {} } as never)).message).toContain('onSqs: metadata must be a function')
  })
})
