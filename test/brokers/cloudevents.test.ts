import { HTTP, Kafka, type KafkaMessage } from 'cloudevents'
import { type CloudEvent, cloudEventFrom, kafka, nats, type RabbitConfirmChannel, rabbit, sqs, webhook } from 'cqrs-es/messaging'
import { describe, expect, test } from 'vitest'

const signal = new AbortController().signal

/** Characters that headers have to encode, and each attribute. */
const event: CloudEvent = {
  specversion: '1.0',
  id: 'order/ü 1 "%"/3',
  source: '/tests',
  type: 'test.placed.v1',
  subject: 'ü 1 "%"',
  time: '2030-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  data: { text: 'ü€😀', list: [1, 2.5, null], nested: { yes: true } },
  partitionkey: 'order/ü 1 "%"',
  sequence: '0000000000000003',
  correlationid: 'c',
  causationid: 'b',
  traceparent: '00-1-2-01',
}

/** What a client was called with. */
const recording = <T>(answer: unknown) => {
  const calls: T[] = []
  return {
    calls,
    call: async (...args: unknown[]) => {
      calls.push(args as T)
      return answer
    },
  }
}

describe('the official SDK reads', () => {
  const same = (read: object) => expect(JSON.parse(JSON.stringify(read))).toEqual(event)

  test('the official SDK reads the binary mode of kafka, and so does cloudEventFrom', async () => {
    const { calls, call } = recording<
      [{ topicMessages: { messages: { key: string; value: string; headers: Record<string, string> }[] }[] }]
    >({})
    await kafka({ sendBatch: call }, { topic: 't' }).send([event], { signal })
    const message = calls[0]?.[0].topicMessages[0]?.messages[0] as { key: string; value: string; headers: Record<string, string> }
    same(Kafka.toEvent({ ...message, body: message.value } as unknown as KafkaMessage) as object)
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, Buffer.from(value)]))
    expect(cloudEventFrom.kafka({ headers, value: Buffer.from(message.value) })).toEqual(event)
  })

  test('the official SDK reads the binary mode of webhook, and so does cloudEventFrom', async () => {
    const { calls, call } = recording<[string, { headers: Record<string, string>; body: string }]>(new Response())
    await webhook('http://127.0.0.1/hook', { fetch: call as never }).send([event], { signal })
    const [url, { headers, body }] = calls[0] as [string, { headers: Record<string, string>; body: string }]
    const decoded = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, decodeURIComponent(value)]))
    same(HTTP.toEvent({ headers: decoded, body }) as object)
    expect(await cloudEventFrom.request(new Request(url, { method: 'POST', headers, body }))).toEqual(event)
  })

  test('the official SDK reads the structured mode of all other targets', async () => {
    const headers = { 'content-type': 'application/cloudevents+json' }
    const queue = recording<[{ Entries: { MessageBody: string }[] }]>({})
    await sqs({ sendMessageBatch: queue.call as never }, { queueUrl: 'q' }).send([event], { signal })
    const body = queue.calls[0]?.[0].Entries[0]?.MessageBody as string
    same(HTTP.toEvent({ headers, body }) as object)
    const stream = recording<[string, Uint8Array]>({})
    await nats({ publish: stream.call as never }, { subject: 's' }).send([event], { signal })
    expect(cloudEventFrom.nats({ data: stream.calls[0]?.[1] as Uint8Array })).toEqual(event)
    let content: Buffer | undefined
    const channel: RabbitConfirmChannel<Buffer> & { waitForConfirms(): void } = {
      publish: (_exchange, _key, sent, _properties, done) => {
        content = sent
        done(null)
        return true
      },
      waitForConfirms: () => {},
    }
    await rabbit(channel, { exchange: 'e' }).send([event], { signal })
    const properties = { contentType: 'application/cloudevents+json', headers: {} }
    expect(cloudEventFrom.rabbit({ content: content as Buffer, properties })).toEqual(event)
  })

  test('cloudEventFrom reads what the official SDK writes in both modes', async () => {
    const { CloudEvent: Official } = await import('cloudevents')
    const official = new Official({ ...event, data: event.data } as never)
    for (const message of [HTTP.binary(official), HTTP.structured(official)]) {
      const init = { method: 'POST', headers: message.headers as Record<string, string>, body: message.body as string }
      const encoded = Object.entries(init.headers).map(
        ([name, value]) => [name, name.startsWith('ce-') ? encodeURIComponent(value) : value] as [string, string],
      )
      const read = await cloudEventFrom.request(new Request('http://127.0.0.1', { ...init, headers: encoded }))
      expect({ ...read, datacontenttype: 'application/json' }).toEqual(event)
    }
  })
})
