import { createHandler } from 'cqrs-es/http'
import { beforeEach, describe, expect, test } from 'vitest'
import { ask, asking, openShop, type Shop } from './shop.ts'

let shop: Shop
let handler: (request: Request) => Promise<Response>
let post: ReturnType<typeof asking>['post']
beforeEach(() => {
  shop = openShop()
  handler = createHandler(shop, { authorize: 'none', maxBodyBytes: 1_000 })
  ;({ post } = asking(handler))
})

const place = { customer: 'ann', total: 1 }
const sequence = async () => (await shop.aggregates.order.load('o-1')).sequence

test.each(['{"customer":', '{customer: "ann"}', 'undefined', '[', '{"total":1}}', '\uFEFF\uFEFF{}', 'NaN'])(
  'a body of %j is 400 because it is not JSON',
  async (body) => {
    const answer = await post('/order/o-1/Place', body)
    expect([answer.status, answer.body.detail]).toEqual([400, 'The body is not JSON in UTF-8.'])
    expect((await post('/order/o-1', body)).status).toBe(400)
  },
)

test.each(['9007199254740993', '-12345678901234567890', '12345678901234567.89', '1e400', '1e-400'])(
  'a command with the number %s is 400 and names it',
  async (total) => {
    for (const [path, field, body] of [
      ['/order/o-1/Place', 'total', `{"customer":"ann","total":${total}}`],
      ['/order/o-1', 'data.total', `{"type":"Place","data":{"customer":"ann","total":${total}}}`],
    ] as const) {
      const answer = await post(path, body)
      expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining(`${field}: JavaScript cannot hold`) } })
      expect(answer.body.issues).toMatchObject([{ path: field.split('.') }])
    }
    expect(await sequence()).toBe(0)
  },
)

test.each(['123456.12345678901', '0.10000000000000001', '1.0', '3.0000000000000004e1'])(
  'a command with the number %s is accepted',
  async (total) => {
    expect((await post('/order/o-1/Place', `{"customer":"ann","total":${total}}`)).status).toBeLessThan(300)
  },
)

test('a body that is not UTF-8 is 400, and nothing is stored', async () => {
  const body = Buffer.from('{"customer":"\xe4","total":1}', 'latin1')
  const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }
  expect((await handler(new Request('http://shop.example/order/o-1/Place', init))).status).toBe(400)
  expect(await sequence()).toBe(0)
})

test('a command that needs data is 400 without an object of it', async () => {
  for (const body of [undefined, '', 'null', '[]', '"x"', '1']) expect((await post('/order/o-1/Place', body)).status).toBe(400)
})

test('a command without data is 400 when it receives some', async () => {
  await post('/order/o-1/Place', place)
  for (const body of ['null', '[]', '{"a":1}', '1'])
    expect([body, (await post('/order/o-1/Cancel', body)).status]).toEqual([body, 400])
  expect(await sequence()).toBe(1)
})

test.each([
  ['data', '/order/o-1/Note', '{"text":"a","__proto__":{"isAdmin":true}}'],
  ['a command', '/order/o-1', '{"type":"Note","data":{"text":"a"},"__proto__":{"isAdmin":true}}'],
  ['the data in a command', '/order/o-1', '{"type":"Note","data":{"text":"a","more":{"__proto__":{}}}}'],
])('a __proto__ key in %s is 400', async (_, path, body) => {
  await post('/order/o-1/Place', place)
  expect((await post(path, body)).status).toBe(400)
  expect(({} as Record<string, unknown>).isAdmin).toBeUndefined()
  expect(await sequence()).toBe(1)
})

test('a body nested thousands of levels deep is 400', async () => {
  const deep = createHandler(shop, { authorize: 'none', maxBodyBytes: 1_000_000 })
  await post('/order/o-1/Place', place)
  const text = '['.repeat(100_000) + ']'.repeat(100_000)
  for (const headers of [{}, { 'Idempotency-Key': 'k' }])
    expect((await asking(deep).post('/order/o-1/Note', `{"text":${text}}`, headers)).status).toBe(400)
})

describe('the content type', () => {
  const send = (headers: Record<string, string>, body: string | null = JSON.stringify(place), path = '/order/o-1/Place') =>
    handler(new Request(`http://shop.example${path}`, { method: 'POST', headers, body }))

  test.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'application/json; charset=utf8',
    'application/json;charset=UTF8;x=y',
    'application/json ; x=y',
  ])('the content type %s is accepted', async (type) => {
    expect((await send({ 'Content-Type': type })).status).toBe(200)
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonx',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'json',
  ])('the content type %s is 415', async (type) => {
    const response = await send({ 'Content-Type': type })
    expect([response.status, response.headers.get('content-type')]).toEqual([415, 'application/problem+json'])
    expect(await sequence()).toBe(0)
  })

  test('a command without a body is 415 without a JSON content type', async () => {
    await post('/order/o-1/Place', place)
    expect((await send({}, null, '/order/o-1/Cancel')).status).toBe(415)
    expect((await send({ 'Content-Type': 'text/plain' }, '', '/order/o-1/Cancel')).status).toBe(415)
    expect(await sequence()).toBe(1)
  })

  test('a compressed body is 415', async () => {
    expect((await send({ 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' })).status).toBe(415)
    expect((await send({ 'Content-Type': 'application/json', 'Content-Encoding': 'identity' })).status).toBe(200)
    expect(
      (await send({ 'Content-Type': 'application/json', 'Content-Encoding': 'Identity' }, '{"text":"a"}', '/order/o-1/Note'))
        .status,
    ).toBe(200)
  })
})

describe('the length', () => {
  const body = (length: number) =>
    JSON.stringify({ ...place, customer: 'x'.repeat(length - JSON.stringify({ ...place, customer: '' }).length) })
  const streaming = (text: string, headers: Record<string, string> = {}) => {
    let pulled = 0
    const chunks = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = text.slice(pulled, pulled + 100)
        pulled += chunk.length
        if (chunk === '') controller.close()
        else controller.enqueue(new TextEncoder().encode(chunk))
      },
    })
    const init = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: chunks,
      duplex: 'half' as const,
    }
    return handler(new Request('http://shop.example/order/o-1/Note', init)).then(({ status }) => ({ status, pulled }))
  }
  const note = (length: number) => JSON.stringify({ text: 'x'.repeat(length - '{"text":""}'.length) })

  test('a body above maxBodyBytes is 413 and names the limit', async () => {
    const answer = await post('/order/o-1/Place', body(1_001))
    expect([answer.status, answer.body.detail]).toEqual([413, 'The body exceeds the limit of 1000 bytes.'])
    expect((await post('/order/o-1', { type: 'Note', data: { text: 'x'.repeat(1_000) } })).status).toBe(413)
  })

  test('maxBodyBytes is measured in bytes, not characters', async () => {
    await post('/order/o-1/Place', place)
    expect((await post('/order/o-1/Note', { text: '€'.repeat(320) })).status).toBe(200)
    expect((await post('/order/o-1/Note', { text: '€'.repeat(340) })).status).toBe(413)
  })

  test('a body without Content-Length is 413 and no longer read once it exceeds the limit', async () => {
    await post('/order/o-1/Place', place)
    expect(await streaming(note(1_000))).toEqual({ status: 200, pulled: 1_000 })
    const { status, pulled } = await streaming(note(1_000_000))
    expect(status).toBe(413)
    expect(pulled).toBeLessThan(2_000)
  })

  test('a wrong Content-Length does not bypass the limit', async () => {
    await post('/order/o-1/Place', place)
    expect((await streaming(note(1_500), { 'Content-Length': '10' })).status).toBe(413)
    expect((await streaming(note(500), { 'Content-Length': '5000' })).status).toBe(413)
    expect((await streaming(note(500), { 'Content-Length': 'many' })).status).toBe(200)
  })
})

describe('an incomplete body', () => {
  const reported: unknown[] = []
  const sending = (
    body: ReadableStream<Uint8Array>,
    { signal, ...headers }: { signal?: AbortSignal } & Record<string, unknown> = {},
  ) => {
    reported.length = 0
    const telling = createHandler(shop, { authorize: 'none', maxBodyBytes: 1_000, onError: (error) => reported.push(error) })
    const init = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...(headers as Record<string, string>) },
      body,
      duplex: 'half' as const,
      ...(signal === undefined ? {} : { signal }),
    }
    return telling(new Request('http://shop.example/order/o-1/Place', init))
  }
  const some = new TextEncoder().encode('{"te')
  const broken = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(some),
      pull: (controller) => controller.error(new Error('aborted')),
    })

  test.each([{}, { 'Content-Length': '500' }])('a body that breaks off is 400 and not reported, %j', async (headers) => {
    const response = await sending(broken(), headers)
    expect([response.status, (await response.json()).detail]).toEqual([400, 'The body could not be read completely.'])
    expect([reported, await sequence()]).toEqual([[], 0])
  })

  test.each([{}, { 'Content-Length': '500' }])(
    'a handler does not wait for the body of a caller that has gone away, %j',
    async (headers) => {
      const gone = new AbortController()
      const cancelled: unknown[] = []
      const endless = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(some),
        cancel: (reason) => {
          cancelled.push(reason)
          return new Promise(() => {})
        },
      })
      const asked = sending(endless, { signal: gone.signal, ...headers })
      setTimeout(() => gone.abort(), 20)
      expect([(await asked).status, reported]).toEqual([499, []])
      if (!('Content-Length' in headers)) expect(cancelled).toHaveLength(1)
    },
  )

  test('a body is not read once the request has timed out', async () => {
    const late = AbortSignal.abort(new DOMException('The time is up.', 'TimeoutError'))
    expect((await sending(new ReadableStream<Uint8Array>(), { signal: late })).status).toBe(503)
  })

  test.each<[string, () => unknown]>([
    ['never ends', () => new Promise(() => {})],
    ['fails', () => Promise.reject(new Error('no'))],
  ])('a body that is too long is 413 even if its cancellation %s', async (_, cancel) => {
    const long = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(600)),
      cancel: cancel as () => void,
    })
    expect([(await sending(long)).status, reported]).toEqual([413, []])
  })

  test('a body that other code has already read is a 500', async () => {
    const telling = createHandler(shop, { authorize: 'none', onError: (error) => reported.push(error) })
    reported.length = 0
    const handler = async (request: Request) => {
      await request.text()
      return telling(request)
    }
    expect((await ask(handler, 'POST', '/order/o-1/Place', place)).status).toBe(500)
    expect(reported).toHaveLength(1)
  })
})
