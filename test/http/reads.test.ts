import { createApp, defineAggregate, noData } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { beforeEach, describe, expect, test } from 'vitest'
import { ask, asking, openShop, type Shop } from './shop.ts'

let shop: Shop
let handler: (request: Request) => Promise<Response>
let get: ReturnType<typeof asking>['get']
beforeEach(async () => {
  shop = openShop()
  handler = createHandler(shop, { authorize: 'none' })
  ;({ get } = asking(handler))
  const { order } = shop.aggregates
  for (const [i, customer] of ['ann', 'bob', 'ann', 'cy'].entries())
    await order.execute(`o-${i}`, { type: 'Place', data: { customer, total: 10 * i } })
  await order.execute('o-0', { type: 'Note', data: { text: 'wrap it' } })
  await order.execute('o-3', { type: 'Cancel' })
})

describe('the state', () => {
  test('a state has its sequence as ETag', async () => {
    const { status, headers, body } = await get('/order/o-0')
    expect([status, headers.get('etag')]).toEqual([200, '"2"'])
    expect(body).toEqual({ id: 'o-0', sequence: 2, state: { status: 'placed', notes: 1 } })
  })

  test('a state is read as of an earlier sequence', async () => {
    expect((await get('/order/o-0?asOf=1')).body).toEqual({ id: 'o-0', sequence: 1, state: { status: 'placed', notes: 0 } })
    expect((await get('/order/o-0?asOf=7')).status).toBe(400)
  })

  test.each(['"2"', 'W/"2"', '"1", "2"'])('a state is 304 when the caller has it: %s', async (value) => {
    const { status, text, headers } = await get('/order/o-0', { 'If-None-Match': value })
    expect([status, text, headers.get('etag')]).toEqual([304, '', '"2"'])
  })

  test('a state is 304 for If-None-Match: *', async () => {
    expect((await get('/order/o-0', { 'If-None-Match': '*' })).status).toBe(304)
    expect((await get('/order/nobody', { 'If-None-Match': '*' })).status).toBe(404)
  })

  test.each(['"2"', 'W/"2"', '"1", "2"', '*'])('a state is 200 when If-Match includes it: %s', async (value) => {
    expect((await get('/order/o-0', { 'If-Match': value })).status).toBe(200)
    expect((await get('/order/o-0', { 'If-Match': value, 'If-None-Match': '"2"' })).status).toBe(304)
  })

  test.each(['"1"', '"3", "1"', '2', 'x'])('a state is 412 when If-Match excludes it: %s', async (value) => {
    const { status, body } = await get('/order/o-0', { 'If-Match': value, 'If-None-Match': '"2"' })
    expect([status, body.status]).toEqual([412, 412])
  })

  test.each([2, 'a "b", ü/', '1'])('the ETag of a state includes its stateVersion %j', async (stateVersion) => {
    const counted = defineAggregate({
      type: 'order',
      events: { Noted: noData },
      commands: { Note: noData },
      initialState: () => 0,
      stateVersion,
    }).implement({ handle: { Note: () => ({ type: 'Noted' }) }, apply: { Noted: (n) => n + 1 } })
    const { get, post } = asking(
      createHandler(createApp({ store: memoryStore(), aggregates: { counted } }), { authorize: 'none' }),
    )
    const stored = (await post('/counted/c/Note')).headers.get('etag') as string
    const { headers } = await get('/counted/c')
    expect(headers.get('etag')).toBe(stored)
    expect(stored === '"1"').toBe(stateVersion === '1')
    expect((await get('/counted/c', { 'If-None-Match': `"0", W/${stored}` })).status).toBe(304)
    if (stateVersion !== '1') expect((await get('/counted/c', { 'If-None-Match': '"1"' })).status).toBe(200)
    expect((await get('/counted/c', { 'If-Match': stored })).status).toBe(200)
    expect((await post('/counted/c/Note', undefined, { 'If-Match': `W/${stored}` })).status).toBe(200)
    expect((await post('/counted/c/Note', undefined, { 'If-Match': '"2"' })).status).toBe(200)
    expect((await post('/counted/c/Note', undefined, { 'If-Match': stored })).status).toBe(412)
  })

  test('a state is 200 when the caller has an older one', async () => {
    expect((await get('/order/o-0', { 'If-None-Match': '"1"' })).status).toBe(200)
  })

  test('a state is 404 for an aggregate without events', async () => {
    const { status, body } = await get('/order/nobody')
    expect([status, body.detail]).toEqual([404, "There is no 'nobody' in order."])
  })
})

describe('the history', () => {
  test('the history is returned in order or after a sequence', async () => {
    const { body } = await get('/order/o-0/events')
    expect(body.items.map(({ sequence, type }: Record<string, unknown>) => [sequence, type])).toEqual([
      [1, 'Placed'],
      [2, 'Noted'],
    ])
    expect((await get('/order/o-0/events?after=1')).body.items).toEqual(body.items.slice(1))
    expect((await get('/order/o-0/events?after=2')).body).toEqual({ items: [] })
    expect((await get('/order/o-0/events?after=7')).body).toEqual({ items: [] })
    for (const query of ['', '?after=1', '?after=7', '?limit=1&after=2'])
      expect([query, (await get(`/order/nobody/events${query}`)).status]).toEqual([query, 404])
  })

  test('the history is returned in pages', async () => {
    const { order } = shop.aggregates
    for (let i = 0; i < 5; i++) await order.execute('o-0', { type: 'Note', data: { text: `${i}` } })
    const seen: number[] = []
    let next: number | undefined = 0
    for (let pages = 0; next !== undefined && pages < 9; pages++) {
      const { body } = await get(`/order/o-0/events?after=${next}&limit=3`)
      seen.push(...body.items.map(({ sequence }: { sequence: number }) => sequence))
      next = body.next
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('a long history is streamed as one JSON document', async () => {
    const { order } = shop.aggregates
    for (let i = 0; i < 300; i++) await order.execute('o-0', { type: 'Note', data: { text: 'x'.repeat(1_000) } })
    const response = await handler(new Request('http://shop.example/order/o-0/events'))
    const chunks: Uint8Array[] = []
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk)
    expect(chunks.length).toBeGreaterThan(10)
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(20_000)
    expect(JSON.parse(Buffer.concat(chunks).toString()).items).toHaveLength(302)
  })

  test('a history that fails midway breaks off, so that no caller takes it for complete', async () => {
    const { order } = shop.aggregates
    async function* events(id: string) {
      yield* order.events(id)
      throw new Error('the disk is gone')
    }
    const broken = { ...shop, aggregates: { order: { ...order, events } } } as unknown as Shop
    const reported: unknown[] = []
    const partly = createHandler(broken, { authorize: 'none', onError: (error) => reported.push(error) })
    const response = await partly(new Request('http://shop.example/order/o-0/events'))
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow('the disk is gone')
    expect(reported).toEqual([new Error('the disk is gone')])
  })
})

test('ids are returned in pages', async () => {
  expect((await get('/order?limit=2')).body).toEqual({ items: ['o-0', 'o-1'], next: 'o-1' })
  expect((await get('/order?limit=2&after=o-1')).body.items).toEqual(['o-2', 'o-3'])
})

describe('a row', () => {
  test('a row is returned by its id', async () => {
    const { status, body } = await get('/views/orders/o-1')
    expect([status, body]).toEqual([
      200,
      { id: 'o-1', version: 1, view: { customer: 'bob', total: 10, isOpen: true, cancelledOn: null } },
    ])
    expect((await get('/views/orders/nobody')).status).toBe(404)
  })

  test('a row is read fresh only from a view that supports it', async () => {
    expect((await get('/views/orders/o-1?fresh=true')).status).toBe(200)
    expect((await get('/views/perCustomer/ann?fresh=true')).status).toBe(400)
    expect((await get('/views/orders/o-1?fresh=yes')).status).toBe(400)
  })
})

describe('find', () => {
  const idsOf = async (query: string) => {
    const { status, body } = await get(`/views/orders?${query}`)
    expect([query, status]).toEqual([query, 200])
    return body.items.map(({ id }: { id: string }) => id)
  }

  test.each([
    ['', ['o-0', 'o-1', 'o-2', 'o-3']],
    ['customer=ann', ['o-0', 'o-2']],
    ['customer=ann&total=20', ['o-2']],
    ['total.gte=10&total.lt=30', ['o-1', 'o-2']],
    ['customer=%EF%BF%BD', []],
    ['customer=a+b%20c', []],
    ['total.gt=10', ['o-2', 'o-3']],
    ['total.lte=1e1', ['o-0', 'o-1']],
    ['isOpen=false', ['o-3']],
    ['cancelledOn=null', ['o-0', 'o-1', 'o-2']],
    [`cancelledOn=${new Date().toISOString().slice(0, 10)}`, ['o-3']],
    ['cancelledOn.gte=2000-01-01', ['o-3']],
    ['cancelledOn="null"', []],
    ['cancelledOn=9007199254740993', []],
    ['customer=nobody', []],
    ['customer=__proto__', []],
    ['orderBy=total&descending=true', ['o-3', 'o-2', 'o-1', 'o-0']],
    ['orderBy=customer', ['o-0', 'o-2', 'o-1', 'o-3']],
  ])('find returns the rows for ?%s', async (query, expected) => {
    expect(await idsOf(query)).toEqual(expected)
  })

  test('find returns pages in any order', async () => {
    for (const order of ['', 'orderBy=customer&']) {
      const first = (await get(`/views/orders?${order}limit=3`)).body
      const second = (await get(`/views/orders?${order}limit=3&after=${encodeURIComponent(first.next)}`)).body
      expect([...first.items, ...second.items].map(({ id }) => id)).toHaveLength(4)
      expect(second).not.toHaveProperty('next')
    }
  })

  test.each([
    ['ownr=ann', "no parameter 'ownr'"],
    ['customer=ann&customer=bob', 'twice'],
    ['total=cheap', "'total' must be a number"],
    ['total.gte=abc', "'total.gte' must be a number"],
    ['customer=%E4', 'percent-encoded'],
    ['customer=100%', 'percent-encoded'],
    ['%zz=1', 'percent-encoded'],
    ['orderBy=total&after=["a","\\u0000"]', 'after'],
    ['orderBy=total&after=["a","%EF%BF%BD",1', 'after'],
    ['orderBy=total&after=%5B"a","\\ud800"%5D', 'after'],
    ['total=', 'must be a number'],
    ['total="1"', 'must be a number'],
    ['total=[1]', 'must be a number'],
    ['total=9007199254740993', 'must be a number'],
    ['total=NaN', 'must be a number'],
    ['isOpen=yes', 'must be a boolean'],
    ['total=1&total.gt=0', 'a value or a range'],
    ['limit=0', 'limit'],
    ['limit=1001', '1000'],
    ['limit=1.5', 'whole number'],
    ['limit=-1', 'whole number'],
    ['after=', 'after'],
    ['orderBy=colour', "no index 'colour'"],
    ['orderBy=', 'no index'],
    ['descending=true', 'orderBy'],
    ['descending=1', 'true or false'],
    ['__proto__=1', "no parameter '__proto__'"],
    [`customer=${'x'.repeat(1_100)}`, 'customer'],
    ['customer=%00', 'customer'],
  ])('find with ?%s is 400', async (query, detail) => {
    const { status, body } = await get(`/views/orders?${query}`)
    expect([status, body.code]).toEqual([400, 'VALIDATION'])
    expect(body.detail).toContain(detail)
  })
})

test('HEAD is answered like GET, without a body', async () => {
  for (const path of [
    '/order/o-0',
    '/order/o-0/events',
    '/order',
    '/views/orders',
    '/views/orders/o-1',
    '/openapi.json',
    '/nothing',
  ]) {
    const [head, whole] = [await ask(handler, 'HEAD', path), await ask(handler, 'GET', path)]
    expect([path, head.status, head.text]).toEqual([path, whole.status, ''])
    expect([...head.headers]).toEqual([...whole.headers])
  }
})
