import { cloudEventFrom } from 'cqrs-es/messaging'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../support/async.ts'

const event = { specversion: '1.0', id: 'e-1', source: '/psp', type: 'paid.v1', data: { amount: 9 } }
const body = JSON.stringify(event)
const bytes = (text: string) => new TextEncoder().encode(text)
const attributes = (prefix: string) => ({
  [`${prefix}specversion`]: '1.0',
  [`${prefix}id`]: 'e-1',
  [`${prefix}source`]: '/psp',
  [`${prefix}type`]: 'paid.v1',
})

describe('cloudEventFrom', () => {
  test('cloudEventFrom reads structured mode from each transport', async () => {
    const structured = { 'content-type': 'application/cloudevents+json; charset=utf-8' }
    const read = [
      cloudEventFrom.kafka({ headers: structured, value: bytes(body) }),
      cloudEventFrom.nats({ data: bytes(body) }),
      cloudEventFrom.rabbit({ content: bytes(body), properties: { contentType: 'application/cloudevents+json' } }),
      cloudEventFrom.sqs({ body }),
      cloudEventFrom.sqs({ Body: body }),
      cloudEventFrom.sqs({ body: JSON.stringify({ Type: 'Notification', Message: body }) }),
      cloudEventFrom.sqs({ body: JSON.stringify({ 'detail-type': 'paid.v1', detail: event }) }),
      cloudEventFrom.sns({ Message: body }),
      cloudEventFrom.sns({ Sns: { Message: body } }),
      cloudEventFrom.eventBridge({ detail: event }),
      await cloudEventFrom.request(new Request('http://x', { method: 'POST', headers: structured, body })),
    ]
    for (const one of read) expect(one).toEqual(event)
  })

  test('cloudEventFrom reads binary mode from each transport that has headers', async () => {
    const data = '{"amount":9}'
    const read = [
      cloudEventFrom.kafka({ headers: { ...attributes('ce_'), other: [bytes('x'), 'y'] }, value: bytes(data) }),
      cloudEventFrom.nats({
        headers: Object.entries(attributes('ce-')).map(([name, value]) => [name, [value]]),
        data: bytes(data),
      }),
      cloudEventFrom.rabbit({ content: bytes(data), properties: { headers: attributes('cloudEvents:') } }),
      cloudEventFrom.rabbit({ content: bytes(data), properties: { headers: attributes('cloudEvents_') } }),
    ]
    for (const one of read) expect(one).toEqual(event)
    const headers = { ...attributes('ce-'), 'content-type': 'application/json' }
    const request = new Request('http://x', { method: 'POST', headers, body: data })
    expect(await cloudEventFrom.request(request)).toEqual({ ...event, datacontenttype: 'application/json' })
  })

  test('a message without a value has no data', () => {
    expect(cloudEventFrom.kafka({ headers: attributes('ce_'), value: null })).not.toHaveProperty('data')
  })

  test.each([
    ['not JSON', () => cloudEventFrom.sqs({ body: 'x' }), 'The message of SQS is not JSON'],
    ['no CloudEvent', () => cloudEventFrom.sqs({ body: '{}' }), 'is not a CloudEvent of version 1.0: specversion is undefined'],
    [
      'a number that JavaScript would round',
      () => cloudEventFrom.sqs({ body: body.replace('9', '12345678901234567890') }),
      'send up to 15 digits',
    ],
    [
      'binary data',
      () => cloudEventFrom.sqs({ body: JSON.stringify({ ...event, data_base64: 'AA==' }) }),
      'has binary data (data_base64)',
    ],
    [
      'a batch',
      () => cloudEventFrom.kafka({ headers: { 'content-type': 'application/cloudevents-batch+json' }, value: bytes('[]') }),
      'is a batch of CloudEvents',
    ],
    [
      'another media type',
      () => cloudEventFrom.kafka({ headers: { ...attributes('ce_'), 'content-type': 'text/xml' }, value: bytes('<a/>') }),
      'has data of the type text/xml, not JSON',
    ],
  ])('cloudEventFrom refuses %s', (_, read, message) => {
    const error = thrownBy(read)
    expect(error).toMatchObject({ code: 'VALIDATION' })
    expect((error as Error).message).toContain(message)
  })
})
