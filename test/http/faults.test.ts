import {
  ConflictError,
  createApp,
  defineAggregate,
  defineView,
  IdempotencyError,
  NotYetError,
  noData,
  type Store,
  StoreError,
  typed,
  ValidationError,
} from 'cqrs-es'
import { type Authorization, createHandler, type HttpOptions } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { asking, openShop, type Shop } from './shop.ts'

const place = { customer: 'ann', total: 1 }
const ourFault = 'The server failed. The error was reported.'

/** What the framework throws itself, thrown by somebody else; and what looks like it. */
const disguises: readonly [string, Error][] = [
  ['a NotYetError', new NotYetError('internal: the users are behind')],
  ['a NotYetError with a result', new NotYetError('internal', { ok: true, sequence: 7, events: [], state: 'secret' })],
  ['a ValidationError', new ValidationError('SELECT secret internal')],
  ['a ConflictError', new ConflictError('internal', { aggregateType: 'order', aggregateId: 'o-1', attempts: 1 })],
  ['an error with the code CONFLICT', Object.assign(new Error('internal'), { code: 'CONFLICT' })],
  [
    'a ConflictError with an expected sequence',
    new ConflictError('internal', { aggregateType: 'x', aggregateId: 'y', expectedSequence: 7, attempts: 1 }),
  ],
  ['an IdempotencyError', new IdempotencyError('internal')],
  ['a StoreError of a limit', new StoreError('STORE_LIMIT', 'internal')],
  ['an error with the code VALIDATION', Object.assign(new Error('internal'), { code: 'VALIDATION' })],
]

const handling = (shop: Shop, options: Partial<HttpOptions<Shop, undefined>>) => {
  const reported: Error[] = []
  const onError = (error: unknown) => reported.push(error as Error)
  return { ...asking(createHandler(shop, { authorize: 'none', onError, ...options })), reported }
}

const stored = async (shop: Shop) => (await shop.aggregates.order.load('o-1')).sequence

describe.each(disguises)('%s', (_, error) => {
  const fails = () => {
    throw error
  }

  test('an error like those of the framework is a 500 when authorize throws it', async () => {
    const shop = openShop()
    for (const authorize of [fails, () => Promise.reject(error)]) {
      const { get, post, reported } = handling(shop, { authorize })
      for (const { status, body } of [await post('/order/o-1/Place', place), await get('/order/o-1')])
        expect([status, body]).toEqual([500, { title: 'Internal Server Error', status: 500, detail: ourFault }])
      expect(reported.map(({ cause }) => cause)).toEqual([error, error])
    }
    expect(await stored(shop)).toBe(0)
  })

  test('an error like those of the framework is a 500 when metadata throws it', async () => {
    const shop = openShop()
    const { post, reported } = handling(shop, { metadata: fails })
    expect((await post('/order/o-1/Place', place)).status).toBe(500)
    expect([reported[0]?.cause, await stored(shop)]).toEqual([error, 0])
  })

  test.each<[string, () => unknown]>([
    ['throws', fails],
    ['rejects', () => Promise.reject(error)],
  ])('an error like those of the framework is a 500 when a handler %s with it', async (_, handle) => {
    const pay = defineAggregate({ type: 'order', events: {}, commands: { Pay: noData }, initialState: () => ({}) }).implement({
      handle: { Pay: handle as () => undefined },
      apply: {},
    })
    const app = createApp({ store: memoryStore(), aggregates: { pay } })
    const reported: unknown[] = []
    const { post } = asking(createHandler(app, { authorize: 'none', onError: (cause) => reported.push(cause) }))
    const { status, body, text } = await post('/pay/o-1/Pay', undefined, { 'If-Match': '"0"', 'Idempotency-Key': 'k' })
    expect([status, body.detail, reported]).toEqual([500, ourFault, [error]])
    expect(text).not.toContain('internal')
  })

  test('an error like those of the framework is a 500 when a schema throws it', async () => {
    const schema = { '~standard': { version: 1, vendor: 'x', validate: fails } } as const
    const pay = defineAggregate({ type: 'order', events: {}, commands: { Pay: schema }, initialState: () => ({}) }).implement({
      handle: { Pay: () => undefined },
      apply: {},
    })
    const app = createApp({ store: memoryStore(), aggregates: { pay } })
    const { post } = asking(createHandler(app, { authorize: 'none', onError: () => {} }))
    expect((await post('/pay/o-1/Pay', {})).status).toBe(500)
  })
})

describe('a handler that sends another command', () => {
  /** A payment that writes an audit, whatever comes of it. */
  function paying(send: (audit: ReturnType<typeof open>['aggregates']['audit']) => Promise<unknown>) {
    const app = open(() => send(app.aggregates.audit))
    const reported: unknown[] = []
    const options = { authorize: 'none', expose: { aggregates: { pay: {} } }, waitFor: ['notes'] } as const
    return { ...asking(createHandler(app, { ...options, onError: (error) => reported.push(error) })), app, reported }
  }
  const audit = defineAggregate({
    type: 'audit',
    events: { Noted: typed<{ secret: string }>() },
    commands: { Note: noData },
    initialState: () => ({ secret: '' }),
  }).implement({
    handle: { Note: () => ({ type: 'Noted', data: { secret: 'swordfish' } }) },
    apply: { Noted: (_, { secret }) => ({ secret }) },
  })
  const pay = defineAggregate({
    type: 'pay',
    events: { Paid: noData },
    commands: { Pay: noData },
    services: typed<{ note: () => Promise<unknown> }>(),
    initialState: () => ({}),
  }).implement({
    handle: {
      Pay: async (_, __, { services }) => {
        await services.note()
        return { type: 'Paid' }
      },
    },
    apply: { Paid: (state) => state },
  })
  const notes = defineView({
    name: 'notes',
    aggregates: [pay],
    consistency: 'async',
    initialView: () => ({}),
    update: { Paid: (view) => view },
  })
  const open = (note: () => Promise<unknown>) =>
    createApp({ store: memoryStore(), aggregates: { pay, audit }, views: { notes }, services: { pay: { note } } })

  test.each<[string, Parameters<typeof paying>[0]]>([
    ['after a conflict', (audit) => audit.execute('a', { type: 'Note' }, { expectedSequence: 77 })],
    ['with an invalid id', (audit) => audit.execute('\0', { type: 'Note' })],
    ['with a used key', (audit) => audit.execute('a', { type: 'Note', data: 1 } as never, { idempotencyKey: 'k' })],
  ])('an inner command %s is a 500 that reveals nothing', async (_, send) => {
    const { post, app, reported } = paying(send)
    await app.aggregates.audit.execute('a', { type: 'Note' }, { idempotencyKey: 'k' })
    const { status, body, text } = await post('/pay/p-1/Pay')
    expect([status, body.detail, reported.length]).toEqual([500, ourFault, 1])
    expect(text).not.toMatch(/audit|swordfish/)
    expect((await app.aggregates.pay.load('p-1')).sequence).toBe(0)
  })

  test('a handler that throws the result of its inner command does not reveal it', async () => {
    const { post, reported } = paying(async (audit) => {
      throw new NotYetError('behind', await audit.execute('a', { type: 'Note' }))
    })
    const { status, text } = await post('/pay/p-1/Pay')
    expect([status, reported.length]).toEqual([500, 1])
    expect(text).not.toContain('swordfish')
  })

  test('an inner command on a busy store is 503 with Retry-After', async () => {
    const { post } = paying(() => Promise.reject(new StoreError('STORE_BUSY', 'internal')))
    const { status, headers } = await post('/pay/p-1/Pay')
    expect([status, headers.get('retry-after')]).toEqual([503, '1'])
  })
})

describe('every request gets an answer', () => {
  test.each<[string, object]>([
    ['a challenge that does not fit into a header', { ok: false, status: 401, challenge: 'Bearer realm="Bür—o"' }],
    ['a challenge of two lines', { ok: false, status: 401, challenge: 'Bearer\r\nSet-Cookie: a=b' }],
    ['a status of its own', { ok: false, status: 418 }],
    ['no status', { ok: false }],
    ['a detail that is no text', { ok: false, status: 403, detail: { n: 1n } }],
  ])('a verdict of authorize with %s is a 500 that is reported', async (_, verdict) => {
    const { get, reported } = handling(openShop(), { authorize: () => verdict as Authorization<undefined> })
    const { status, body } = await get('/order/o-1')
    expect([status, body.detail, reported.length]).toEqual([500, ourFault, 1])
  })

  test('an error that throws when it is inspected is a 500 that is reported', async () => {
    const error = new Proxy(new Error('x'), {
      has: () => {
        throw new Error('no')
      },
    })
    const inner = memoryStore()
    const store = new Proxy(inner, {
      get: (target, key) =>
        key === 'readAggregate'
          ? () => Promise.reject(error)
          : (Reflect.get(target, key)?.bind?.(target) ?? Reflect.get(target, key)),
    }) as Store
    const { get, reported } = handling(openShop(store), {})
    const { status, headers, body } = await get('/order/o-1')
    expect([status, headers.get('content-type'), body.detail]).toEqual([500, 'application/problem+json', ourFault])
    expect(reported[0]).toBe(error)
  })
})

describe('metadata that does not fit into JSON', () => {
  test.each<[string, unknown]>([
    ['a Date', { at: new Date() }],
    ['a text', 'x'],
    ['a list', ['x']],
    ['null', null],
    ['a prototype', JSON.parse('{"__proto__":{"isAdmin":true}}')],
    ['NUL', { agent: '\0' }],
    ['a function', { now: () => {} }],
  ])('metadata that is or holds %s is a 500, and nothing is stored', async (_, made) => {
    const shop = openShop()
    const { post, reported } = handling(shop, { metadata: () => made as Record<string, never> })
    const { status, body } = await post('/order/o-1/Place', place)
    expect([status, body.detail, reported.length, await stored(shop)]).toEqual([500, ourFault, 1, 0])
    expect(String(reported[0])).toContain('metadata')
  })
})
