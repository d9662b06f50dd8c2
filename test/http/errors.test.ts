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

describe('what only we can mend', () => {
  test('is 500, reported, and says nothing of itself', async () => {
    const { post, reported, paths } = reporting(openShop())
    const { status, headers, body } = await post('/order/o-1/Break')
    expect([status, headers.get('retry-after')]).toEqual([500, null])
    expect(body).toEqual({
      title: 'Internal Server Error',
      status: 500,
      detail: 'Something is wrong on our side. It has been reported.',
    })
    expect([String(reported), paths]).toEqual(['Error: the secret password is swordfish', ['/order/o-1/Break']])
  })

  test.each(['STORE_UNAVAILABLE', 'STORE_BUSY', 'STORE_FULL', 'STORE_READ_ONLY', 'STORE_CORRUPT', 'SCHEMA_MISSING'] as const)(
    'in the store for a while is 503, to be tried again, and reported: %s',
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

  test('about which nobody knows whether it was stored is 503, and says to repeat it with its key', async () => {
    const { get } = failing(new OutcomeUnknownError('no answer from db.internal'))
    const { status, body, text } = await get('/order/o-1')
    expect([status, body.code, body.detail]).toEqual([503, 'OUTCOME_UNKNOWN', expect.stringContaining('same Idempotency-Key')])
    expect(text).not.toContain('db.internal')
  })

  test('in a limit of the store is 413, and says the limit', async () => {
    const { get, reported } = failing(new StoreError('STORE_LIMIT', 'an item may have 400 KB'))
    const { status, body } = await get('/order/o-1')
    expect([status, body.detail, reported]).toEqual([413, 'an item may have 400 KB', []])
  })

  test('in an answer that is no JSON is 500', async () => {
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
  ])('stays as it is when the one who is told %s', async (_, onError) => {
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

test('a race that was lost again and again is 409, to be tried again, and nobody is told', async () => {
  const { get, reported } = failing(new ConflictError('moved', { aggregateType: 'order', aggregateId: 'o-1', attempts: 4 }))
  const { status, headers, body } = await get('/order/o-1')
  expect([status, headers.get('retry-after'), body.code, reported]).toEqual([409, '1', 'CONFLICT', []])
})

test('a race that a command has lost again and again is 409 without If-Match, and 412 with it', async () => {
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

test('a crowd is turned away with 503 and Retry-After, and the others are served', async () => {
  const shop = createApp({ store: memoryStore(), aggregates: { order }, batching: { maxQueued: 1 } })
  const { post } = asking(createHandler(shop, { authorize: 'none', onError: () => {} }))
  const answers = await Promise.all(Array.from({ length: 5 }, (_, i) => post(`/order/o-${i}/Place`, place)))
  const turnedAway = answers.filter(({ status }) => status === 503)
  expect(turnedAway.length).toBeGreaterThan(0)
  for (const { headers, body } of turnedAway) expect([headers.get('retry-after'), body.code]).toEqual(['1', 'OVERLOADED'])
  expect(answers.filter(({ status }) => status === 200).length).toBe(answers.length - turnedAway.length)
})

test('a closed app answers 503', async () => {
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

test('an error of another copy of the package counts as the same', async () => {
  const foreign = Object.assign(new Error('closed'), { code: new ClosedError('').code })
  expect((await failing(foreign).get('/order/o-1')).body.code).toBe('CLOSED')
  expect((await failing(Object.assign(new Error('x'), { code: 'ENOENT' })).get('/order/o-1')).body).not.toHaveProperty('code')
})

test('what is not there yet is no answer to a read: 503, to be tried again', async () => {
  const { get } = failing(new NotYetError('internal'))
  const { status, headers, body, text } = await get('/order/o-1')
  expect([status, headers.get('retry-after'), body.code]).toEqual([503, '1', 'NOT_YET'])
  expect(text).not.toContain('internal')
})

test('each code has the status that the page of errors says', () => {
  const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \|.*\|\s*(\d{3})?\s*\|$/gm)]
  expect(Object.fromEntries(rows.map(([, code, status = '500']) => [code, Number(status)]))).toEqual(statuses)
})
