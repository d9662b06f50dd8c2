import { createHmac } from 'node:crypto'
import { type CloudEvent, eventBridge, kafka, nats, rabbit, sns, sqs, webhook } from 'cqrs-es/messaging'
import { describe, expect, test } from 'vitest'
import { failureOf } from '../support/async.ts'

const signal = new AbortController().signal
const message = (id: string, more: object = {}): CloudEvent => ({
  specversion: '1.0',
  id,
  source: '/tests',
  type: 't.v1',
  data: {},
  partitionkey: `order/${id}`,
  ...more,
})
const all = [message('1'), message('2'), message('3')]

describe('sqs and sns', () => {
  const Failed = [
    { Id: '1', Code: 'InternalError', Message: 'try again', SenderFault: false },
    { Id: '2', Code: 'InvalidMessageContents', SenderFault: true },
  ]

  test('a partial failure of a batch is one of each message', async () => {
    for (const target of [
      sqs({ sendMessageBatch: async () => ({ Failed }) }, { queueUrl: 'https://sqs/1/q' }),
      sns({ publishBatch: async () => ({ Failed }) }, { topicArn: 'arn:aws:sns:eu:1:t' }),
    ]) {
      const [first, second, third] = (await target.send(all, { signal })) as readonly (Error & { isPermanent?: true })[]
      expect([first, second?.isPermanent, third?.isPermanent]).toEqual([undefined, undefined, true])
      expect(second?.message).toMatch(/^S[QN]S refused the message: InternalError, try again$/)
    }
  })

  test('a FIFO queue has one message of a group per call, and ids of 128 characters at most', async () => {
    const sent: { MessageGroupId?: string; MessageDeduplicationId?: string }[] = []
    const client = {
      sendMessageBatch: async ({ Entries }: { Entries: typeof sent }) => ({
        Failed: [sent.push(...Entries)].slice(1) as never[],
      }),
    }
    const target = sqs(client, { queueUrl: 'https://sqs/1/q.fifo' })
    expect(target).toMatchObject({ name: 'sqs:q.fifo', keeps: 'one-per-key', most: { messages: 10, bytes: 262_144 } })
    await target.send([message('1'), message('ü'.repeat(200)), message('1', { source: '/other' })], { signal })
    expect(sent.map(({ MessageGroupId }) => MessageGroupId)).toEqual([
      'order/1',
      expect.stringMatching(/^[0-9a-f]{64}$/),
      'order/1',
    ])
    const ids = sent.map(({ MessageDeduplicationId }) => MessageDeduplicationId)
    expect(new Set(ids).size).toBe(3)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{64}$/)
  })

  test('a standard queue or topic has neither groups nor deduplication ids', async () => {
    const sent: object[] = []
    const client = {
      publishBatch: async (input: { PublishBatchRequestEntries: object[] }) => ({
        Failed: [sent.push(...input.PublishBatchRequestEntries)].slice(1) as never[],
      }),
    }
    const target = sns(client, { topicArn: 'arn:aws:sns:eu:1:t' })
    expect(target).toMatchObject({ name: 'sns:t', keeps: 'nothing' })
    await target.send([message('1')], { signal })
    expect(Object.keys(sent[0] as object)).toEqual(['Id', 'Message'])
  })
})

describe('eventBridge', () => {
  test('failed entries are errors of their messages', async () => {
    const Entries = [{}, { ErrorCode: 'ThrottlingException' }, { ErrorCode: 'MalformedDetail', ErrorMessage: 'no' }]
    const target = eventBridge({ putEvents: async () => ({ Entries }) }, { bus: 'shop' })
    expect(target.name).toBe('eventBridge:shop')
    const [first, second, third] = (await target.send(all, { signal })) as readonly (Error & { isPermanent?: true })[]
    expect([first, second?.isPermanent, third?.isPermanent]).toEqual([undefined, undefined, true])
    expect(third?.message).toBe('EventBridge refused the event: MalformedDetail, no')
  })
})

describe('kafka and nats', () => {
  test('kafka sends one batch with a list for each topic, acknowledged by all replicas', async () => {
    const calls: { acks?: number; topicMessages: { topic: string; messages: { key: string }[] }[] }[] = []
    const target = kafka({ sendBatch: async (batch) => void calls.push(batch) }, { topic: ({ id }) => (id === '2' ? 'b' : 'a') })
    expect(target).toMatchObject({ name: 'kafka', keeps: 'order', most: { messages: 1_000, bytes: 1_000_000 } })
    await target.send(all, { signal })
    expect(
      calls.map(({ acks, topicMessages }) => [
        acks,
        topicMessages.map(({ topic, messages }) => [topic, messages.map(({ key }) => key)]),
      ]),
    ).toEqual([
      [
        -1,
        [
          ['a', ['order/1', 'order/3']],
          ['b', ['order/2']],
        ],
      ],
    ])
  })

  test('nats sends the source and id as the message id', async () => {
    const calls: unknown[] = []
    const target = nats({ publish: async (...args) => void calls.push([args[0], args[2]]) }, { subject: 'orders', name: 'n' })
    expect(target).toMatchObject({ name: 'n', keeps: 'one-per-key', most: { messages: 1 } })
    await target.send([message('1')], { signal })
    expect(calls).toEqual([['orders', { msgID: '/tests/1' }]])
  })
})

describe('rabbit', () => {
  const channel = (confirm: (nth: number) => unknown) => {
    let nth = 0
    return {
      publish: (_e: string, _k: string, _c: Buffer, _o: object, done: (error: unknown) => void) => {
        done(confirm(nth++))
        return true
      },
      waitForConfirms: () => {},
    }
  }

  test('a rejected message is an error of its own, and a closed channel of all', async () => {
    const nacking = rabbit(
      channel((nth) => (nth === 1 ? new Error('message nacked') : null)),
      { exchange: 'e' },
    )
    const errors = (await nacking.send(all, { signal })) as readonly (Error | undefined)[]
    expect(errors.map((error) => error?.message)).toEqual([
      undefined,
      'RabbitMQ rejected the message of event 2 (basic.nack).',
      undefined,
    ])
    const closed = rabbit(
      channel(() => new Error('channel closed')),
      { exchange: 'e' },
    )
    expect(await failureOf(Promise.resolve(closed.send(all, { signal })))).toMatchObject({ message: 'channel closed' })
  })

  test('a function returns the channel for each call', async () => {
    let opened = 0
    const target = rabbit(
      async () => {
        opened++
        return channel(() => null)
      },
      { exchange: 'e' },
    )
    await target.send(all, { signal })
    await target.send(all, { signal })
    expect(opened).toBe(2)
  })
})

describe('webhook', () => {
  const answering = (status: number, seen: RequestInit[] = []) =>
    webhook('https://user:pw@example.com/hooks?token=secret', {
      fetch: async (_, init) => {
        seen.push(init)
        return new Response(null, { status })
      },
      secret: `whsec_${btoa('0123456789abcdef')}`,
      headers: { authorization: 'Bearer x' },
      now: () => new Date(1_700_000_000_500),
    })

  test('the name of a webhook has no secrets', () => {
    expect(answering(200).name).toBe('webhook:example.com/hooks')
  })

  test('a request is signed as Standard Webhooks define', async () => {
    const seen: RequestInit[] = []
    await answering(204, seen).send([message('ü', { data: { a: 1 } })], { signal })
    const { headers, body, redirect } = seen[0] as { headers: Record<string, string>; body: string; redirect: string }
    expect({ body, redirect, id: headers['webhook-id'], at: headers['webhook-timestamp'], own: headers.authorization }).toEqual({
      body: '{"a":1}',
      redirect: 'manual',
      id: '%C3%BC',
      at: '1700000000',
      own: 'Bearer x',
    })
    const expected = createHmac('sha256', '0123456789abcdef').update('%C3%BC.1700000000.{"a":1}').digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${expected}`)
  })

  test.each([
    [200, 'sent'],
    [202, 'sent'],
    [302, 'never'],
    [400, 'never'],
    [404, 'never'],
    [408, 'later'],
    [409, 'later'],
    [425, 'later'],
    [500, 'later'],
    [429, 'away'],
    [502, 'away'],
    [503, 'away'],
    [504, 'away'],
  ])('status %i means %s', async (status, expected) => {
    const outcome = await Promise.resolve(answering(status).send([message('1')], { signal })).then(
      (result) => {
        const error = (result as readonly ({ isPermanent?: true } | undefined)[] | undefined)?.[0]
        return error === undefined ? 'sent' : error.isPermanent ? 'never' : 'later'
      },
      () => 'away',
    )
    expect(outcome).toBe(expected)
  })
})
