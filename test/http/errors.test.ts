import { readFileSync } from 'node:fs'
import {
  ClosedError,
  ConflictError,
  createApp,
  defineAggregate,
  NotYetError,
  noData,
  OutcomeUnknownError,
  reject,
  type Store,
  StoreError,
} from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import { describe, expect, test } from 'vitest'
import { statuses } from '../../src/http/responses.ts'
import { isResend, leaping } from '../support/runtime.ts'
import { asking, openShop, order } from './shop.ts'

const place = { customer: 'ann', total: 1 }

/** A shop whose store fails so when it shall append or read. */
function failing(error: unknown) {
  const inner = memoryStore()
  const fail = () => Promise.reject(error)
  const store = new Proxy(inner, {
    get: (target, key) =>
      key === 'append' || key === 'readAggregate' || key === 'readViews'
        ? fail
        : (Reflect.get(target, key)?.bind?.(target) ?? Reflect.get(target, key)),
  }) as Store
  return reporting(openShop(store, leaping(isResend)))
}

function reporting(shop: ReturnType<typeof openShop>) {
  const reported: unknown[] = []
  const paths: string[] = []
  const onError = (error: unknown, request: Request) => {
    reported.push(error)
    paths.push(new URL(request.url).pathname)
  }
  return { ...asking(createHandler(shop, { authorize: 'none', onError })), reported, paths }
}

describe('an internal error', () => {
  test('an error of a handler is a 500 that is reported and reveals nothing', async () => {
    const { post, reported, paths } = reporting(openShop())
    const { status, headers, body } = await post('/order/o-1/Break')
    expect([status, headers.get('retry-after')]).toEqual([500, null])
    expect(body).toEqual({
      title: 'Internal Server Error',
      status: 500,
      detail: 'The server failed. The error was reported.',
    })
    expect([String(reported), paths]).toEqual(['Error: the secret password is swordfish', ['/order/o-1/Break']])
  })

  test.each(['STORE_UNAVAILABLE', 'STORE_BUSY', 'STORE_FULL', 'STORE_READ_ONLY', 'STORE_CORRUPT', 'SCHEMA_MISSING'] as const)(
    'a temporary error of the store is 503 with Retry-After and reported: %s',
    async (code) => {
      const { get, reported } = failing(new StoreError(code, 'connect ECONNREFUSED db.internal:5432'))
      for (const path of ['/order/o-1', '/order/o-1/events', '/views/orders/o-1']) {
        const { status, headers, body, text } = await get(path)
        expect([path, status, headers.get('retry-after'), body.code]).toEqual([path, 503, '1', code])
        expect(text).not.toContain('db.internal')
      }
      expect(reported).toHaveLength(3)
    },
  )

  test('an unknown outcome is 503 with the advice to repeat with the same Idempotency-Key', async () => {
    const { get } = failing(new OutcomeUnknownError('no answer from db.internal'))
    const { status, body, text } = await get('/order/o-1')
    expect([status, body.code, body.detail]).toEqual([503, 'OUTCOME_UNKNOWN', expect.stringContaining('same Idempotency-Key')])
    expect(text).not.toContain('db.internal')
  })

  test('STORE_LIMIT is 413 and names the limit', async () => {
    const { get, reported } = failing(new StoreError('STORE_LIMIT', 'an item may have 400 KB'))
    const { status, body } = await get('/order/o-1')
    expect([status, body.detail, reported]).toEqual([413, 'an item may have 400 KB', []])
  })

  test('an answer that is not JSON is 500', async () => {
    const teapot = defineAggregate({
      type: 'teapot',
      events: {},
      commands: { Pour: noData },
      initialState: () => ({}),
    }).implement({
      handle: { Pour: () => reject('empty', { litres: 1n }) },
      apply: {},
    })
    const app = createApp({ store: memoryStore(), aggregates: { teapot } })
    expect((await asking(createHandler(app, { authorize: 'none', onError: () => {} })).post('/teapot/t/Pour')).status).toBe(500)
  })

  test.each<[string, () => void]>([
    [
      'throws',
      () => {
        throw new Error('the log is full')
      },
    ],
    ['rejects', () => Promise.reject(new Error('the log is full'))],
  ])('an error response stays the same when onError %s', async (_, onError) => {
    const handler = createHandler(openShop(), { authorize: 'none', onError })
    const said: unknown[] = []
    const { error } = console
    console.error = (...all) => said.push(...all)
    try {
      expect((await asking(handler).post('/order/o-1/Break')).status).toBe(500)
    } finally {
      console.error = error
    }
    expect(said.map(String).join(' ')).toMatch(/log is full.*swordfish/)
  })
})

test('a ConflictError is 409 with Retry-After and not reported', async () => {
  const { get, reported } = failing(new ConflictError('moved', { aggregateType: 'order', aggregateId: 'o-1', attempts: 4 }))
  const { status, headers, body } = await get('/order/o-1')
  expect([status, headers.get('retry-after'), body.code, reported]).toEqual([409, '1', 'CONFLICT', []])
})

test('a lost race is 409 without a condition and 412 with one', async () => {
  const inner = memoryStore()
  const lost = (commits: readonly unknown[]) => Promise.resolve(commits.map(() => ({ kind: 'conflict', on: 'sequence' })))
  const store = new Proxy(inner, {
    get: (target, key) => (key === 'append' ? lost : (Reflect.get(target, key)?.bind?.(target) ?? Reflect.get(target, key))),
  }) as Store
  const app = createApp({ store, aggregates: { order }, maxAttempts: 1 })
  const { post } = asking(createHandler(app, { authorize: 'none' }))
  const { status, headers } = await post('/order/o-1/Place', place)
  expect([status, headers.get('retry-after')]).toEqual([409, '1'])
  expect((await post('/order/o-1/Place', place, { 'If-None-Match': '*' })).status).toBe(412)
})

test('an overloaded app returns 503 with Retry-After and serves the other commands', async () => {
  const shop = createApp({ store: memoryStore(), aggregates: { order }, batching: { maxQueued: 1 } })
  const { post } = asking(createHandler(shop, { authorize: 'none', onError: () => {} }))
  const answers = await Promise.all(Array.from({ length: 5 }, (_, i) => post(`/order/o-${i}/Place`, place)))
  const turnedAway = answers.filter(({ status }) => status === 503)
  expect(turnedAway.length).toBeGreaterThan(0)
  for (const { headers, body } of turnedAway) expect([headers.get('retry-after'), body.code]).toEqual(['1', 'OVERLOADED'])
  expect(answers.filter(({ status }) => status === 200).length).toBe(answers.length - turnedAway.length)
})

test('a closed app returns 503', async () => {
  const shop = openShop()
  const { get, post } = asking(createHandler(shop, { authorize: 'none', onError: () => {} }))
  await shop.close()
  for (const { status, body } of [
    await post('/order/o-1/Place', place),
    await get('/order/o-1'),
    await get('/order/o-1/events'),
    await get('/views/orders'),
  ])
    expect([status, body.code]).toEqual([503, 'CLOSED'])
})

test('an error of another copy of the package is recognised by its code', async () => {
  const foreign = Object.assign(new Error('closed'), { code: new ClosedError('').code })
  expect((await failing(foreign).get('/order/o-1')).body.code).toBe('CLOSED')
  expect((await failing(Object.assign(new Error('x'), { code: 'ENOENT' })).get('/order/o-1')).body).not.toHaveProperty('code')
})

test('a NotYetError of a read is 503 with Retry-After', async () => {
  const { get } = failing(new NotYetError('internal'))
  const { status, headers, body, text } = await get('/order/o-1')
  expect([status, headers.get('retry-after'), body.code]).toEqual([503, '1', 'NOT_YET'])
  expect(text).not.toContain('internal')
})

test('each error code has the status of the page of errors', () => {
  const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \|.*\|\s*(\d{3})?\s*\|$/gm)]
  expect(Object.fromEntries(rows.map(([, code, status = '500']) => [code, Number(status)]))).toEqual(statuses)
})
