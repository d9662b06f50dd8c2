import { createHandler } from 'cqrs-es/http'
import { beforeEach, describe, expect, test } from 'vitest'
import { ask, asking, openShop, type Shop } from './shop.ts'

let shop: Shop
let post: ReturnType<typeof asking>['post']
let get: ReturnType<typeof asking>['get']
beforeEach(() => {
  shop = openShop()
  ;({ get, post } = asking(createHandler(shop, { authorize: 'none', waitFor: ['perCustomer'] })))
})

const place = { customer: 'ann', total: 12.5 }

describe('a command in the path', () => {
  test('a command in the path returns what it stored', async () => {
    const { status, headers, body } = await post('/order/o-1/Place', place)
    expect([status, headers.get('etag'), headers.get('content-type')]).toEqual([200, '"1"', 'application/json'])
    const events = []
    for await (const event of shop.aggregates.order.events('o-1')) events.push(event)
    expect(body).toEqual({ sequence: 1, replayed: false, state: { status: 'placed', notes: 0 }, events })
  })

  test('a command without data needs no body', async () => {
    await post('/order/o-1/Place', place)
    expect((await post('/order/o-1/Cancel')).body).toMatchObject({ sequence: 2, events: [{ type: 'Cancelled' }] })
    expect((await post('/order/o-1/Cancel', {})).body).toMatchObject({ sequence: 2, events: [] })
  })

  test('a command named events works although the history has the same path', async () => {
    expect((await post('/order/o-1/events')).body).toMatchObject({ sequence: 0, events: [] })
  })
})

describe('a command in the body', () => {
  test('a command in the body works like one in the path', async () => {
    const { status, body } = await post('/order/o-1', { type: 'Place', data: place })
    expect([status, body.sequence]).toEqual([200, 1])
    expect((await post('/order/o-1', { type: 'Cancel' })).body.sequence).toBe(2)
  })

  test.each([
    ['another type', { type: 'Steal', data: {} }],
    ['a type that every object has', { type: 'constructor' }],
    ['a type that is a prototype', '{"type":"__proto__"}'],
    ['no type', { data: place }],
    ['a list', [{ type: 'Place', data: place }]],
    ['a text', '"Place"'],
    ['null', 'null'],
    ['nothing', undefined],
  ])('a command body of %s is 400 and lists the commands', async (_, body) => {
    const answer = await post('/order/o-1', body)
    expect([answer.status, answer.body.code]).toEqual([400, 'VALIDATION'])
    expect(answer.body.detail).toContain('Place, Note, Tag, Rate, Cancel')
  })

  test('a command body with another member is 400', async () => {
    const { status, body } = await post('/order/o-1', { type: 'Place', data: place, metadata: { userId: 'root' } })
    expect([status, body.detail]).toEqual([400, expect.stringContaining("not 'metadata'")])
  })
})

describe('a rejected command', () => {
  test('a rejected command is 422 with its reason and details', async () => {
    await post('/order/o-1/Place', place)
    const { status, headers, body } = await post('/order/o-1/Place', place)
    expect([status, headers.get('content-type')]).toEqual([422, 'application/problem+json'])
    expect(body).toEqual({
      title: 'Unprocessable Content',
      status: 422,
      detail: 'The order rejected the command: already-placed.',
      reason: 'already-placed',
      details: { status: 'placed' },
    })
  })

  test('a rejected command without details has none in its answer', async () => {
    expect((await post('/order/o-1/Note', { text: 'x' })).body).not.toHaveProperty('details')
  })
})

test('invalid data is 400 with its issues and their paths', async () => {
  const { status, body } = await post('/order/o-1/Place', { customer: 'ann', total: -1 })
  expect([status, body.code, body.issues]).toEqual([400, 'VALIDATION', [{ message: expect.any(String), path: ['total'] }]])
  expect((await get('/order/o-1')).status).toBe(404)
})

describe('Idempotency-Key', () => {
  test('Idempotency-Key makes a command safe to send again', async () => {
    const first = await post('/order/o-1/Place', place, { 'Idempotency-Key': 'k' })
    const again = await post('/order/o-1/Place', place, { 'Idempotency-Key': 'k' })
    expect(again.body).toEqual({ ...first.body, replayed: true })
    expect(again.headers.get('etag')).toBe('"1"')
  })

  test('Idempotency-Key with another command is 422 with its code and without a reason', async () => {
    await post('/order/o-1/Place', place, { 'Idempotency-Key': 'k' })
    const { status, body } = await post('/order/o-1/Place', { ...place, total: 1 }, { 'Idempotency-Key': 'k' })
    expect([status, body.code, body.reason]).toEqual([422, 'IDEMPOTENCY', undefined])
  })
})

describe('If-Match', () => {
  test('If-Match accepts a command while the sequence is unchanged, then returns 412', async () => {
    await post('/order/o-1/Place', place)
    const etag = (await get('/order/o-1')).headers.get('etag') ?? ''
    expect((await post('/order/o-1/Note', { text: 'a' }, { 'If-Match': etag })).status).toBe(200)
    const late = await post('/order/o-1/Note', { text: 'b' }, { 'If-Match': etag })
    expect(late.status).toBe(412)
    expect(late.body).toMatchObject({ code: 'CONFLICT', actualSequence: 2 })
    expect(late.headers.has('retry-after')).toBe(false)
  })

  test('If-Match accepts an ETag that a proxy has made weak', async () => {
    await post('/order/o-1/Place', place)
    expect((await post('/order/o-1/Note', { text: 'a' }, { 'If-Match': 'W/"1"' })).status).toBe(200)
    expect((await post('/order/o-1/Note', { text: 'a' }, { 'If-Match': 'W/"1"' })).status).toBe(412)
  })

  test.each(['1', '"1', '"1"x', '"1", "2"', '*', '"-1"', '""', '"1e3"', '"9999999999999999"', 'w/"1"', '"1-a b"'])(
    'If-Match: %s is 400',
    async (value) => {
      expect((await post('/order/o-1/Place', place, { 'If-Match': value })).status).toBe(400)
    },
  )
})

describe('If-None-Match', () => {
  test('If-None-Match: * accepts a command only for a new aggregate', async () => {
    expect((await post('/order/o-1/Place', place, { 'If-None-Match': '*' })).status).toBe(200)
    expect((await post('/order/o-1/Note', { text: 'a' }, { 'If-None-Match': '*' })).status).toBe(412)
  })

  test.each([
    ['another value', { 'If-None-Match': '"1"' }],
    ['If-Match beside it', { 'If-None-Match': '*', 'If-Match': '"0"' }],
  ])('If-None-Match with %s is 400', async (_, headers) => {
    expect((await post('/order/o-1/Place', place, headers)).status).toBe(400)
  })
})

describe('Prefer: wait', () => {
  test('Prefer: wait returns 200 once the view shows the command', async () => {
    const { status, headers } = await post('/order/o-1/Place', place, { Prefer: 'respond-async, wait=5' })
    expect([status, headers.get('preference-applied')]).toEqual([200, 'wait=5'])
    expect((await get('/views/perCustomer/ann')).body.view).toEqual({ orders: 1 })
  })

  test('Prefer: wait returns 202 and what was stored when the view lags', async () => {
    const { status, body, headers } = await post('/order/o-1/Place', place, { Prefer: 'wait=0' })
    expect([status, body.sequence, headers.get('etag')]).toEqual([202, 1, '"1"'])
    expect(headers.get('preference-applied')).toBe('wait=0')
  })

  test.each([
    ['Wait=0', 'wait=0'],
    ['wait = 0', 'wait=0'],
    ['wait="0"', 'wait=0'],
    ['wait=000', 'wait=0'],
    ['wait=0; x=y', 'wait=0'],
    ['foo="a, wait=7 ", wait=0', 'wait=0'],
    ['foo="a\\", wait=7 ", wait=0', 'wait=0'],
    ['wait=0, wait=5', 'wait=0'],
    ['handling=strict,wait=0', 'wait=0'],
  ])('Prefer: %s is applied', async (value, applied) => {
    const { status, headers } = await post('/order/o-1/Place', place, { Prefer: value })
    expect([status, headers.get('preference-applied')]).toEqual([202, applied])
  })

  test.each([
    'foo="a, wait=0 "',
    'wait',
    'wait=',
    'wait=x',
    'wait=-1',
    'wait=0.5',
    'x; wait=0',
    'await=0',
    '"wait=0"',
    'wait="0',
  ])('Prefer: %s is ignored', async (value) => {
    const { status, headers } = await post('/order/o-1/Place', place, { Prefer: value })
    expect([status, headers.has('preference-applied')]).toEqual([200, false])
  })

  test('Prefer: wait waits for up to 60 s', async () => {
    for (const value of ['wait=100', 'wait=99999999999999999999'])
      expect((await post('/order/o-1/Cancel', undefined, { Prefer: value })).headers.get('preference-applied')).toBe('wait=60')
  })

  test('Prefer: wait is ignored without views to wait for', async () => {
    const { post } = asking(createHandler(shop, { authorize: 'none' }))
    const { status, headers } = await post('/order/o-1/Place', place, { Prefer: 'wait=0' })
    expect([status, headers.has('preference-applied')]).toEqual([200, false])
  })
})

test('a command with a query parameter is 400, and nothing is stored', async () => {
  for (const [path, body] of [
    ['/order/o-1/Place?dryRun=true', place],
    ['/order/o-1?dryRun=true', { type: 'Place', data: place }],
  ] as const) {
    const answer = await post(path, body)
    expect([answer.status, answer.body.detail]).toEqual([400, expect.stringContaining("no parameter 'dryRun'")])
  }
  expect((await get('/openapi.json?x=1')).status).toBe(400)
  expect((await get('/order/o-1')).status).toBe(404)
})

describe('metadata', () => {
  test('events have the metadata that the function makes of request and caller', async () => {
    const handler = createHandler(shop, {
      authorize: (request) => ({ ok: true, caller: { name: request.headers.get('Authorization') ?? '' } }),
      metadata: (request, { name }) => ({ userId: name, agent: request.headers.get('User-Agent') }),
    })
    const headers = { Authorization: 'ann', 'User-Agent': 'phone/7' }
    const { body } = await ask(handler, 'POST', '/order/o-1/Place', place, headers)
    expect(body.events[0].metadata).toEqual({ userId: 'ann', agent: 'phone/7' })
  })

  test('metadata with line breaks is stored and sets no header', async () => {
    const handler = createHandler(shop, {
      authorize: 'none',
      metadata: () => ({ agent: 'x\r\nSet-Cookie: a=b', 'key\r\n': '\u2028' }),
    })
    const { status, headers, body } = await ask(handler, 'POST', '/order/o-1/Place', place)
    expect([status, body.events[0].metadata]).toEqual([200, { agent: 'x\r\nSet-Cookie: a=b', 'key\r\n': '\u2028' }])
    expect([...headers.keys()]).toEqual(['cache-control', 'content-type', 'etag', 'x-content-type-options'])
  })
})

/** A command whose signal has aborted. */
function aborted(reason?: unknown): Request {
  const headers = { 'Content-Type': 'application/json' }
  const init = { method: 'POST', headers, body: JSON.stringify(place), signal: AbortSignal.abort(reason) }
  return new Request('http://shop.example/order/o-1/Place', init)
}

test('a command that timed out is 503 with Retry-After and not stored', async () => {
  const handler = createHandler(shop, { authorize: 'none' })
  const response = await handler(aborted(new DOMException('The time is up.', 'TimeoutError')))
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
  expect((await shop.aggregates.order.load('o-1')).sequence).toBe(0)
})

test('a command whose caller has gone away is 499 and not stored', async () => {
  const reported: unknown[] = []
  const handler = createHandler(shop, { authorize: 'none', onError: (error) => reported.push(error) })
  const response = await handler(aborted())
  expect([response.status, reported]).toEqual([499, []])
  expect((await shop.aggregates.order.load('o-1')).sequence).toBe(0)
})
