import specs from '@asyncapi/specs'
import { Ajv } from 'ajv'
import { createApp, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { asyncApi, defineInbox } from 'cqrs-es/messaging'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { thrownBy } from '../support/async.ts'
import { counter } from '../support/counter.ts'
import { counts, sink } from '../support/messages.ts'

const info = { title: 'Tests', version: '1.0.0' }

const address = z.object({ street: z.string() }).meta({ id: 'Address' })

function app() {
  const inbox = defineInbox({
    name: 'orders',
    messages: { 'com.test.placed.v1': z.object({ from: address, to: address }), 'com.test.noted.v1': typed<string>() },
    sends: [counter],
    sources: ['/shop'],
  }).implement({ 'com.test.placed.v1': () => undefined, 'com.test.noted.v1': () => undefined })
  const other = { ...sink().target, name: 'other' }
  return createApp({
    store: memoryStore(),
    aggregates: { counter },
    publications: { counts: counts().to(sink().target), again: counts().to(other) },
    inboxes: { orders: inbox },
  })
}

describe('asyncApi', () => {
  test('asyncApi describes publications and inboxes', () => {
    const { operations, channels, components } = asyncApi(app(), info)
    const refer = (channel: string, ...names: string[]) => ({
      channel: { $ref: `#/channels/${channel}` },
      messages: names.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` })),
    })
    expect(operations).toEqual({
      'send-counts': { action: 'send', ...refer('send-counts', 'counts.test.counted.v1') },
      'send-again': { action: 'send', ...refer('send-again', 'counts.test.counted.v1') },
      'receive-orders': {
        action: 'receive',
        ...refer('receive-orders', 'orders.com.test.placed.v1', 'orders.com.test.noted.v1'),
      },
    })
    expect(channels['send-again']).toEqual({
      address: null,
      description: "Publication 'counts' to other.",
      messages: { 'counts.test.counted.v1': { $ref: '#/components/messages/counts.test.counted.v1' } },
    })
    expect(components.messages['counts.test.counted.v1']).toMatchObject({
      name: 'test.counted.v1',
      contentType: 'application/cloudevents+json',
      payload: {
        required: ['specversion', 'id', 'source', 'type', 'data'],
        properties: {
          source: { const: '/tests' },
          type: { const: 'test.counted.v1' },
          data: { $ref: '#/components/schemas/counts.test.counted.v1.data' },
        },
      },
    })
    expect(components.messages['orders.com.test.noted.v1']).toMatchObject({
      payload: { properties: { source: { enum: ['/shop'] }, data: {} } },
    })
    expect(components.schemas['counts.test.counted.v1.data']).toMatchObject({
      properties: { by: { type: 'number' }, from: { type: 'string' } },
    })
  })

  test("the document fits AsyncAPI's own schema", () => {
    const ajv = new Ajv({ strict: false, validateFormats: false })
    const validate = ajv.compile(specs.schemasWithoutId['3.0.0'] as object)
    const document = JSON.parse(JSON.stringify(asyncApi(app(), info)))
    expect(validate(document), JSON.stringify(validate.errors?.slice(0, 5))).toBe(true)
    expect(validate({ ...document, channels: 5 })).toBe(false)
  })

  test('each reference of the document has its target', () => {
    const document = asyncApi(app(), info)
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path as string)
    expect(references.length).toBeGreaterThan(5)
    for (const path of references)
      expect(
        path.split('/').reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document),
        path,
      ).toBeDefined()
  })

  test.each([
    [{}, info, 'the first argument must be an app made by createApp(…)'],
    [app(), { title: 'x' }, 'info: version must be a text'],
    [app(), { ...info, titel: 'x' }, "asyncApi: info has no option 'titel'"],
  ])('asyncApi refuses wrong arguments', (of, about, message) => {
    expect((thrownBy(() => asyncApi(of, about as never)) as Error).message).toContain(message)
  })
})
