import { createApp, defineSqlView, defineView } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { beforeEach, describe, expect, test } from 'vitest'
import { asking, openShop, order, orders, type Shop } from './shop.ts'

let shop: Shop
let get: ReturnType<typeof asking>['get']
let post: ReturnType<typeof asking>['post']
beforeEach(() => {
  shop = openShop()
  ;({ get, post } = asking(createHandler(shop, { authorize: 'none' })))
})

const place = { customer: 'ann', total: 1 }

describe('an id', () => {
  test.each([
    'a b',
    'a/b',
    '../order',
    'a%2Fb',
    '%41',
    '100%',
    'a?b#c&d=e',
    'ünïcödé',
    '🏦',
    "o'; DROP TABLE events; --",
    '__proto__',
    'constructor',
    'events',
    'a\\b',
    'a\nb',
    'order:1',
    ' ',
    'x'.repeat(255),
  ])('the id %j works on every path', async (id) => {
    const path = encodeURIComponent(id)
    expect((await post(`/order/${path}/Place`, place)).body.events[0].aggregateId).toBe(id)
    expect((await get(`/order/${path}`)).body.id).toBe(id)
    expect((await get(`/order/${path}/events`)).body.items[0].aggregateId).toBe(id)
    expect((await get(`/views/orders/${path}`)).body.id).toBe(id)
    expect((await get('/order')).body.items).toEqual([id])
  })

  test.each([
    ['too long', 'x'.repeat(256)],
    ['NUL', '%00'],
    ['NUL inside', 'a%00b'],
    ['not UTF-8', '%E4'],
    ['a half of a surrogate pair', '%ED%A0%80'],
    ['a lone percent sign', '%'],
    ['not hexadecimal', '%zz'],
  ])('an id that is %s is 400 on every path', async (_, path) => {
    for (const { status, body } of [
      await post(`/order/${path}/Place`, place),
      await post(`/order/${path}`, { type: 'Place', data: place }),
      await get(`/order/${path}`),
      await get(`/order/${path}/events`),
      await get(`/views/orders/${path}`),
      await get(`/views/perCustomer/${path}`),
    ])
      expect([status, body.code]).toEqual([400, 'VALIDATION'])
  })
})

describe('a path', () => {
  test.each([
    '/',
    '/nothing',
    '/order/',
    '//',
    '/order//Place',
    '/order/o-1/',
    '/views',
    '/views/',
    '/views/nothing',
    '/views/orders/o-1/x',
    '/order/o-1/events/1',
    '/openapi.json/x',
    '/order/o-1/Steal',
    '/order/o-1/place',
    '/Order/o-1',
    '/__proto__',
    '/__proto__/o-1',
    '/constructor/o-1',
    '/views/__proto__',
    '/views/constructor/x',
    '/order/../nothing',
    '/order/%2e%2e/nothing',
    '/views%2Forders',
    '/order%00/o-1',
    '/order;x=1/o-1',
  ])('the path %s is 404', async (path) => {
    for (const { status, headers, body } of [await get(path), await post(path, place)]) {
      expect([path, status]).toEqual([path, 404])
      expect([headers.get('content-type'), body.status]).toEqual(['application/problem+json', 404])
    }
  })

  test.each([
    ['DELETE', '/order/o-1', 'GET, HEAD, POST'],
    ['PUT', '/order/o-1/Place', 'POST'],
    ['GET', '/order/o-1/Place', 'POST'],
    ['OPTIONS', '/order', 'GET, HEAD'],
    ['POST', '/views/orders', 'GET, HEAD'],
    ['POST', '/views/orders/o-1', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['PATCH', '/order/o-1/events', 'GET, HEAD, POST'],
  ])('%s %s is 405 with the allowed methods', async (method, path, allowed) => {
    const response = await createHandler(shop, { authorize: 'none' })(new Request(`http://shop.example${path}`, { method }))
    expect([response.status, response.headers.get('allow')]).toEqual([405, allowed])
  })

  test('a path with dot segments is normalized', async () => {
    await post('/order/o-1/Place', place)
    for (const path of ['/views/../order/o-1', '/views/%2e%2e/order/o-1', '/./order/./o-1'])
      expect((await get(path)).body.id).toBe('o-1')
  })
})

describe('basePath', () => {
  test('basePath precedes all paths', async () => {
    const under = asking(createHandler(shop, { authorize: 'none', basePath: '/api/v1' }))
    expect((await under.post('/api/v1/order/o-1/Place', place)).status).toBe(200)
    for (const path of ['/order/o-1', '/api/v1', '/api/v12/order/o-1', '/api/v1order/o-1', '/api/v1//order/o-1'])
      expect([path, (await under.get(path)).status]).toEqual([path, 404])
    for (const path of ['/order/o-1', '/api/v1/nothing/o-1', '/api/v1//order'])
      expect((await under.get(path)).body.detail).toBe(`Nothing exists at ${path}.`)
    expect((await under.post('/api/v1/openapi.json')).body.detail).toBe('Only GET, HEAD can be used at /api/v1/openapi.json.')
    expect((await under.get('/api/v1/openapi.json')).body.servers).toEqual([{ url: '/api/v1' }])
  })
})

describe('expose', () => {
  const expose = {
    aggregates: { order: { commands: ['Place'], state: false, events: false, ids: false } },
    views: ['orders'],
  } as const

  test('expose makes everything else unreachable', async () => {
    const some = asking(createHandler(shop, { authorize: 'none', expose }))
    const { status, body } = await some.post('/order/o-1/Place', place)
    expect([status, body]).toEqual([200, { sequence: 1, replayed: false }])
    expect((await some.post('/order/o-1', { type: 'Cancel' })).body.detail).toContain('its types here are Place, not')
    expect((await some.post('/order/o-1/Cancel')).status).toBe(404)
    expect((await some.get('/order/o-1')).status).toBe(405)
    for (const path of ['/order', '/order/o-1/events', '/views/perCustomer'])
      expect([path, (await some.get(path)).status]).toEqual([path, 404])
    expect((await some.get('/views/orders/o-1')).status).toBe(200)
    expect(Object.keys((await some.get('/openapi.json')).body.paths)).toEqual([
      '/order/{id}',
      '/order/{id}/Place',
      '/views/orders',
      '/views/orders/{id}',
      '/openapi.json',
    ])
  })

  test('expose for aggregates does not affect views', async () => {
    const some = asking(createHandler(shop, { authorize: 'none', expose: { aggregates: {} } }))
    expect((await some.get('/order')).status).toBe(404)
    expect((await some.get('/views/perCustomer')).status).toBe(200)
  })

  test.each<[object, RegExp]>([
    [{ authorize: 'none', expose: { aggregate: {} } }, /expose has no option 'aggregate'/],
    [{ authorize: 'none', expose: { aggregates: { ordr: {} } } }, /expose.aggregates has no option 'ordr'.*order/],
    [{ authorize: 'none', expose: { aggregates: { order: { commands: ['place'] } } } }, /no command 'place'.*Place/],
    [{ authorize: 'none', expose: { aggregates: { order: { commands: 'Place' } } } }, /must be a list/],
    [{ authorize: 'none', expose: { aggregates: { order: { state: 1 } } } }, /order.state must be true or false/],
    [{ authorize: 'none', expose: { views: ['order'] } }, /no view 'order'.*orders, perCustomer/],
    [{ authorize: 'none', waitFor: ['x'] }, /no view 'x'/],
    [{ authorize: 'none', waitFor: 'perCustomer' }, /must be a list/],
    [{ authorize: 'none', basePath: '/api/' }, /basePath/],
    [{ authorize: 'none', basePath: 'api' }, /basePath/],
    [{ authorize: 'none', maxBodyBytes: 0 }, /maxBodyBytes/],
    [{ authorize: 'none', metadata: {} }, /metadata must be a function/],
    [{ authorize: 'none', onError: 1 }, /onError must be a function/],
    [{ authorize: 'none', openApi: { name: 'x' } }, /openApi has no option 'name'/],
    [{ authorize: 'none', cors: true }, /no option 'cors'/],
  ])('createHandler refuses wrong options: %j', (options, message) => {
    expect(() => createHandler(shop, options as never)).toThrow(message)
  })
})

test('createHandler refuses an app that is not of createApp', () => {
  for (const nothing of [undefined, {}, { aggregates: {}, views: {} }])
    expect(() => createHandler(nothing as never, { authorize: 'none' })).toThrow(/made by createApp/)
})

test('createHandler refuses an exposed aggregate whose name is another path', () => {
  for (const name of ['views', 'openapi.json']) {
    const app = createApp({ store: memoryStore(), aggregates: { [name]: order } })
    expect(() => createHandler(app, { authorize: 'none' })).toThrow(`cannot be called '${name}'`)
    createHandler(app, { authorize: 'none', expose: { aggregates: {} } })
  }
})

test('createHandler refuses an exposed view with an index named like another parameter', () => {
  for (const index of ['limit', 'customer.gt']) {
    const initialView = () => ({ customer: '', [index]: 0 })
    const view = defineView({ name: 'v', aggregates: [order], initialView, update: {}, indexes: ['customer', index] })
    const app = createApp({ store: memoryStore(), aggregates: { order }, views: { view } })
    expect(() => createHandler(app, { authorize: 'none' })).toThrow(`'${index}' would mean two things`)
    createHandler(app, { authorize: 'none', expose: { views: [] } })
  }
})

test('a sqlView is not exposed', async () => {
  const tables = defineSqlView({
    name: 'tables',
    aggregates: [order],
    update: (_client: object) => {},
    reset: (_client: object) => {},
  })
  const store = sqliteStore(new Database(':memory:'))
  const app = createApp({ store, aggregates: { order }, views: { orders, tables } })
  expect((await asking(createHandler(app, { authorize: 'none' })).get('/views/tables')).status).toBe(404)
  expect(() => createHandler(app, { authorize: 'none', expose: { views: ['tables'] } })).toThrow(
    /no view 'tables' with rows.*orders/,
  )
})
