import { type Authorization, createHandler, type HttpAction } from 'cqrs-es/http'
import { beforeEach, describe, expect, test } from 'vitest'
import { ask, asking, openShop, type Shop } from './shop.ts'

let shop: Shop
beforeEach(() => {
  shop = openShop()
})

const place = { customer: 'ann', total: 1 }

/** A handler that asks `authorize`, and what it asked. */
function asked(authorize: () => unknown) {
  const actions: HttpAction<Shop>[] = []
  const reported: unknown[] = []
  const handler = createHandler(shop, {
    authorize: (_, action) => {
      actions.push(action)
      return authorize() as Authorization<undefined>
    },
    onError: (error) => reported.push(error),
  })
  return { ...asking(handler), actions, reported }
}

test('a handler that nobody has thought about who may use it is not made', () => {
  for (const options of [{}, { authorize: undefined }, { authorize: 'all' }, { authorize: true }])
    expect(() => createHandler(shop, options as never)).toThrow(/authorize.*'none'/)
})

test('every place asks, and says what is about to be done', async () => {
  const { get, post, actions } = asked(() => ({ ok: true, caller: undefined }))
  await post('/order/o-1/Place', place)
  await post('/order/o%2F1', { type: 'Place', data: place })
  for (const path of [
    '/order/o-1',
    '/order/o-1/events',
    '/order',
    '/views/orders/o-1',
    '/views/orders?customer=ann',
    '/openapi.json',
  ])
    expect([path, (await get(path)).status]).toEqual([path, 200])
  expect(actions).toEqual([
    { kind: 'command', aggregate: 'order', id: 'o-1', command: 'Place' },
    { kind: 'command', aggregate: 'order', id: 'o/1', command: 'Place' },
    { kind: 'state', aggregate: 'order', id: 'o-1' },
    { kind: 'events', aggregate: 'order', id: 'o-1' },
    { kind: 'ids', aggregate: 'order' },
    { kind: 'row', view: 'orders', id: 'o-1' },
    { kind: 'find', view: 'orders', where: { customer: 'ann' } },
    { kind: 'openapi' },
  ])
})

test('what the platform knows besides the request comes along, as it is', async () => {
  const handler = createHandler(shop, {
    authorize: (_request, _action, event: { readonly claims: { readonly sub: string } } | undefined) =>
      event === undefined ? { ok: false, status: 401 } : { ok: true, caller: event.claims.sub },
    metadata: (_request, userId, event) => ({ userId, claims: event?.claims }),
  })
  const request = () =>
    new Request('http://shop.example/order/o-1/Place', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(place),
    })
  expect((await handler(request())).status).toBe(401)
  const { events } = await (await handler(request(), { claims: { sub: 'ann' } })).json()
  expect(events[0].metadata).toEqual({ userId: 'ann', claims: { sub: 'ann' } })
})

describe('who may not', () => {
  const everything = async ({ get, post }: ReturnType<typeof asked>) => [
    await post('/order/o-1/Place', place),
    await post('/order/o-1/Place', '{"customer":'),
    await post('/order/o-1', { type: 'Place', data: place }),
    ...(await Promise.all(
      ['/order/o-1', '/order/o-1/events', '/order', '/views/orders/o-1', '/views/orders', '/openapi.json'].map((path) =>
        get(path),
      ),
    )),
  ]

  test.each([401, 403] as const)('gets %i, and nothing else of it', async (status) => {
    await shop.aggregates.order.execute('o-1', { type: 'Place', data: place })
    for (const answer of await everything(asked(() => ({ ok: false, status }))))
      expect([answer.status, Object.keys(answer.body)]).toEqual([status, ['title', 'status', 'detail']])
    expect((await shop.aggregates.order.load('o-1')).sequence).toBe(1)
  })

  test('since his token has expired is told so in the challenge', async () => {
    const handler = createHandler(shop, {
      authorize: async (request): Promise<Authorization<{ readonly userId: string }>> => {
        const [, userId, until] = /^Bearer (\w+)@(\d+)$/.exec(request.headers.get('Authorization') ?? '') ?? []
        if (userId === undefined) return { ok: false, status: 401 }
        const detail = 'The token has expired.'
        if (Number(until) < 100) return { ok: false, status: 401, detail, challenge: 'Bearer error="invalid_token"' }
        return { ok: true, caller: { userId } }
      },
      metadata: (_, { userId }) => ({ userId }),
    })
    const as = (token: string) => ask(handler, 'POST', '/order/o-1/Place', place, token === '' ? {} : { Authorization: token })
    const expired = await as('Bearer ann@99')
    expect([expired.status, expired.body.detail]).toEqual([401, 'The token has expired.'])
    expect(expired.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    const unknown = await as('')
    expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    expect((await as('Bearer ann@100')).body.events[0].metadata).toEqual({ userId: 'ann' })
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('the key server is away')
      },
    ],
    ['rejects', () => Promise.reject(new Error('the key server is away'))],
    ['answers nothing', () => undefined],
    ['answers null', () => null],
    ['answers true', () => true],
    ['answers something like a yes', () => ({ ok: 'true', caller: 1 })],
  ])('is also everybody while authorize %s: 500, reported', async (_, authorize) => {
    const asking = asked(authorize)
    const answers = await everything(asking)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 500))
    expect(answers.map(({ text }) => text).join()).not.toContain('key server')
    expect(asking.reported).toHaveLength(answers.length)
    expect((await shop.aggregates.order.load('o-1')).sequence).toBe(0)
  })
})
