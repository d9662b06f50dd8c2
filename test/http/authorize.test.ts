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

test('createHandler throws without a valid authorize', () => {
  for (const options of [{}, { authorize: undefined }, { authorize: 'all' }, { authorize: true }])
    expect(() => createHandler(shop, options as never)).toThrow(/authorize.*'none'/)
})

test('every route calls authorize with its action', async () => {
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
    { kind: 'state', aggregate: 'order', id: 'o-1' },
    { kind: 'events', aggregate: 'order', id: 'o-1' },
    { kind: 'command', aggregate: 'order', id: 'o/1', command: 'Place' },
    { kind: 'state', aggregate: 'order', id: 'o/1' },
    { kind: 'events', aggregate: 'order', id: 'o/1' },
    { kind: 'state', aggregate: 'order', id: 'o-1' },
    { kind: 'events', aggregate: 'order', id: 'o-1' },
    { kind: 'ids', aggregate: 'order' },
    { kind: 'row', view: 'orders', id: 'o-1' },
    { kind: 'find', view: 'orders', where: { customer: 'ann' } },
    { kind: 'openapi' },
  ])
})

test("authorize and metadata receive the platform's second argument unchanged", async () => {
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

describe('an unauthorized caller', () => {
  const everything = async ({ get, post }: ReturnType<typeof asked>) => [
    await post('/order/o-1/Place', place),
    await post('/order/o-1/Place', '{"customer":'),
    await post('/order/o-1', { type: 'Place', data: place }),
    await post('/order/o-1', { type: 'zz' }),
    await post('/order/o-1', '{"type":'),
    await post('/order/o-1', { type: 'Note', data: { text: 'x'.repeat(70_000) } }),
    await post('/order/o-1', '', { 'Content-Type': 'text/plain' }),
    await post('/order/o-1/Place?zz=1', place),
    ...(await Promise.all(
      [
        '/order/o-1',
        '/order/o-1/events',
        '/order',
        '/views/orders/o-1',
        '/views/orders',
        '/views/orders?zz=1',
        '/views/orders?total=abc',
        '/views/orders?total=%E4',
        '/openapi.json',
      ].map((path) => get(path)),
    )),
  ]

  test.each([401, 403] as const)('an unauthorized caller gets %i and nothing of the app', async (status) => {
    await shop.aggregates.order.execute('o-1', { type: 'Place', data: place })
    for (const { status: answered, body, text } of await everything(asked(() => ({ ok: false, status })))) {
      // Who is known, and may not read what there is, learns that a command is none, and no more.
      expect(answered === status || (status === 403 && [400, 413, 415].includes(answered))).toBe(true)
      if (answered === status) expect(Object.keys(body)).toEqual(['title', 'status', 'detail'])
      expect(text).not.toMatch(/Tag|Rate|isOpen|cancelledOn/)
    }
    expect((await shop.aggregates.order.load('o-1')).sequence).toBe(1)
  })

  test('a caller that may read the document gets full details of its mistakes', async () => {
    const { post, get } = asking(
      createHandler(shop, {
        authorize: (_, { kind }) => (kind === 'openapi' ? { ok: false, status: 403 } : { ok: true, caller: 1 }),
      }),
    )
    const unknown = await post('/order/o-1', { type: 'zz' })
    expect([unknown.status, unknown.body.detail]).toEqual([400, "A command for order is { type, data }, not 'zz'."])
    expect((await get('/views/orders?zz=1')).body.detail).toContain('isOpen')
  })

  test('authorize receives the valid conditions of a find whose other parameters are wrong', async () => {
    const { get, actions } = asked(() => ({ ok: true, caller: undefined }))
    for (const query of ['customer=ann&zz=1', 'customer=ann&total=x', 'customer=ann&customer=bob', 'customer=%E4&total=1'])
      expect((await get(`/views/orders?${query}`)).status).toBe(400)
    const where = { customer: 'ann' }
    expect(actions.map((action) => 'where' in action && action.where)).toEqual([where, where, where, {}])
  })

  test('a 401 carries the challenge of authorize', async () => {
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
  ])('every route answers 500 and reports it when authorize %s', async (_, authorize) => {
    const asking = asked(authorize)
    const answers = await everything(asking)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 500))
    expect(answers.map(({ text }) => text).join()).not.toContain('key server')
    expect(asking.reported).toHaveLength(answers.length)
    expect((await shop.aggregates.order.load('o-1')).sequence).toBe(0)
  })
})

describe('an answer to a command', () => {
  const answering = (refused: readonly string[], key?: string) =>
    asking(
      createHandler(shop, {
        authorize: (_, { kind }) => (refused.includes(kind) ? { ok: false, status: 403 } : { ok: true, caller: undefined }),
        metadata: () => ({ secret: key ?? 'none' }),
        waitFor: ['perCustomer'],
      }),
    )

  test.each([
    [[], ['events', 'replayed', 'sequence', 'state']],
    [['state'], ['events', 'replayed', 'sequence']],
    [['events'], ['replayed', 'sequence', 'state']],
    [
      ['state', 'events'],
      ['replayed', 'sequence'],
    ],
  ])('the answer to a command omits %j when its caller may not read it', async (refused, members) => {
    const { post } = answering(refused)
    const answer = await post('/order/o-1/Place', place)
    expect([answer.status, Object.keys(answer.body).sort()]).toEqual([200, members])
    const waiting = await post('/order/o-1/Note', { text: 'x' }, { Prefer: 'wait=0' })
    expect([[200, 202].includes(waiting.status), Object.keys(waiting.body).sort()]).toEqual([true, members])
  })

  test('a replayed answer omits the events that its caller may not read', async () => {
    await answering([], 'swordfish').post('/order/o-1/Place', place, { 'Idempotency-Key': 'k' })
    const { body, text } = await answering(['events']).post('/order/o-1/Place', place, { 'Idempotency-Key': 'k' })
    expect(body).toMatchObject({ sequence: 1, replayed: true })
    expect(text).not.toContain('swordfish')
  })

  test('a command is not executed when authorize fails for its events', async () => {
    const handler = createHandler(shop, {
      authorize: (_, { kind }) => {
        if (kind === 'events') throw new Error('the key server is away')
        return { ok: true, caller: undefined }
      },
      onError: () => {},
    })
    expect((await ask(handler, 'POST', '/order/o-1/Place', place)).status).toBe(500)
    expect((await shop.aggregates.order.load('o-1')).sequence).toBe(0)
  })

  test('authorize is not called for parts that expose excludes', async () => {
    const kinds: string[] = []
    const handler = createHandler(shop, {
      authorize: (_, { kind }) => {
        kinds.push(kind)
        return { ok: true, caller: undefined }
      },
      expose: { aggregates: { order: { state: false, events: false } } },
    })
    await ask(handler, 'POST', '/order/o-1/Place', place)
    expect(kinds).toEqual(['command'])
  })
})
