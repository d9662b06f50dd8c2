import { createApp, defineAggregate, defineView, typed } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { onSqs } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { given } from 'cqrs-es/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { failureOf } from '../support/async.ts'

const open = z.looseObject({ owner: z.string().optional() })
const account = defineAggregate({
  type: 'account',
  events: { Opened: z.object({ owner: z.string() }), Noted: z.looseObject({}) },
  commands: {
    Open: z.object({ owner: z.string() }),
    Note: open,
    Strip: z.object({}),
    Decode: z.object({ owner: z.string().transform(decodeURIComponent) }),
    Wrap: z.object({ owner: z.string().transform((text) => new Map([['text', text]])) }),
    Type: typed<Record<string, unknown>>(),
  },
  initialState: () => ({ owner: '' }),
}).implement({
  handle: {
    Open: (_, data) => ({ type: 'Opened', data }),
    Note: (_, data) => ({ type: 'Noted', data }),
    Strip: () => ({ type: 'Noted', data: {} }),
    Decode: (_, data) => ({ type: 'Opened', data }),
    Wrap: () => undefined,
    Type: (_, data) => ({ type: 'Noted', data }),
  },
  apply: { Opened: (_, { owner }) => ({ owner }), Noted: (state) => state },
})
const owners = defineView({
  name: 'owners',
  aggregates: [account],
  initialView: () => ({ owner: '' }),
  update: { Opened: (_, { data }) => data },
  indexes: ['owner'],
})

const makeApp = () => createApp({ store: memoryStore(), aggregates: { account }, views: { owners } })
let app: ReturnType<typeof makeApp>
beforeEach(() => {
  app = makeApp()
})
const headers = { 'Content-Type': 'application/json' }
const ask = async (path: string, init: RequestInit = {}) => {
  const response = await createHandler(app, { authorize: 'none' })(new Request(`http://localhost${path}`, init))
  return { status: response.status, body: (await response.json()) as { code?: string; detail: string; issues?: unknown } }
}
const post = (path: string, body: string, more: Record<string, string> = {}) =>
  ask(path, { method: 'POST', headers: { ...headers, ...more }, body })
const nothingStored = async () => expect((await app.aggregates.account.ids()).items).toEqual([])

/** JSON texts of data, and the path of what is wrong. */
const unfit: [string, string, (string | number)[]][] = [
  ['a NUL character', '{"owner":"a\\u0000b"}', ['owner']],
  ['a lone high surrogate', '{"owner":"\\ud800"}', ['owner']],
  ['a lone low surrogate', '{"owner":"\\udc00x"}', ['owner']],
  ['a NUL character further in', '{"owner":"a","tags":[{"x":["\\u0000"]}]}', ['tags', 0, 'x', 0]],
  ['a key with a NUL character', '{"owner":"a","\\u0000":1}', ['\0']],
  ['a key with a lone surrogate further in', '{"owner":"a","more":{"\\ud800":1}}', ['more', '\ud800']],
  ['the key __proto__', '{"owner":"a","__proto__":{"isAdmin":true}}', ['__proto__']],
  ['the key __proto__ further in', '{"owner":"a","more":[{"__proto__":1}]}', ['more', 0, '__proto__']],
]

describe.each(unfit)('a command whose data has %s', (_, json, path) => {
  test.each(['Open', 'Note', 'Strip', 'Decode', 'Type'] as const)(
    'execute of %s throws a ValidationError with the path',
    async (type) => {
      const command = { type, data: JSON.parse(json) } as never
      for (const options of [{}, { idempotencyKey: 'k' }]) {
        const error = await failureOf(app.aggregates.account.execute('a', command, options))
        expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path }] })
      }
      await nothingStored()
    },
  )

  test.each(['Open', 'Note', 'Strip', 'Decode', 'Type'])('POST of %s answers 400 with the path', async (type) => {
    for (const more of [{}, { 'Idempotency-Key': 'k' }]) {
      const alone = await post(`/account/a/${type}`, json, more)
      expect(alone).toMatchObject({ status: 400, body: { code: 'VALIDATION', issues: [{ path }] } })
      const inBody = await post('/account/a', `{"type":"${type}","data":${json}}`, more)
      expect(inBody).toMatchObject({ status: 400, body: { code: 'VALIDATION', issues: [{ path }] } })
    }
    await nothingStored()
  })

  test('onSqs reports its message as failed', async () => {
    const reported: unknown[] = []
    const handle = onSqs(app, { onFailure: (error) => reported.push(error) })
    const body = `{"aggregate":"account","id":"a","command":{"type":"Strip","data":${json}}}`
    expect(await handle({ Records: [{ messageId: 'm', body }] })).toEqual({ batchItemFailures: [{ itemIdentifier: 'm' }] })
    expect(reported).toMatchObject([{ code: 'VALIDATION', issues: [{ path: ['command', 'data', ...path] }] }])
    await nothingStored()
  })

  test('the test kit throws a ValidationError with the path', async () => {
    const error = await failureOf(
      given(account)
        .when({ type: 'Strip', data: JSON.parse(json) })
        .thenNothing(),
    )
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path }] })
  })
})

test.each(['Decode', 'Wrap'] as const)(
  'a NUL character that the schema of %s makes is a ValidationError with the path',
  async (type) => {
    const error = await failureOf(app.aggregates.account.execute('a', { type, data: { owner: type === 'Wrap' ? '\0' : '%00' } }))
    expect(error).toMatchObject({ code: 'VALIDATION', issues: [{ path: ['owner'] }] })
  },
)

test.each([
  ['a number beyond what JavaScript has', '{"owner":"a","n":1e999}', ['n']],
  ['a list nested 1,000 deep', `{"owner":"a","n":${'['.repeat(1_000)}${']'.repeat(1_000)}}`, ['n', 0, 0, 0, 0]],
])('POST of %s in data answers 400 with the path', async (_, json, path) => {
  expect(await post('/account/a/Note', json)).toMatchObject({ status: 400, body: { issues: [{ path }] } })
  await nothingStored()
})

test('circular data and shared objects are left to the schema of the command', async () => {
  const circle: Record<string, unknown> = { owner: 'ann' }
  circle.self = [circle]
  let shared: unknown = {}
  for (let depth = 0; depth < 60; depth++) shared = [shared, shared]
  const { events } = (await app.aggregates.account.execute('a', {
    type: 'Strip',
    data: { circle, shared },
  } as never)) as { events: readonly unknown[] }
  expect(events).toHaveLength(1)
})

test('metadata and keys with a NUL character are ValidationErrors with the path', async () => {
  const execute = (options: object) =>
    failureOf(app.aggregates.account.execute('a', { type: 'Open', data: { owner: 'ann' } }, options))
  expect(await execute({ metadata: { user: { name: '\0' } } })).toMatchObject({
    code: 'VALIDATION',
    issues: [{ path: ['user', 'name'] }],
  })
  expect(await execute({ metadata: JSON.parse('{"__proto__":1}') })).toMatchObject({
    code: 'VALIDATION',
    issues: [{ path: ['__proto__'] }],
  })
  expect(await execute({ idempotencyKey: 'k\ud800' })).toMatchObject({ code: 'VALIDATION' })
  await nothingStored()
})

test.each([
  ['an id', 'POST', '/account/%00/Open'],
  ['an id', 'GET', '/account/a%00'],
  ['an id', 'GET', '/account/a%00/events'],
  ['the id of a row', 'GET', '/views/owners/%00'],
  ['a cursor', 'GET', '/account?after=%00'],
  ['a cursor', 'GET', '/views/owners?after=%00'],
  ['a condition', 'GET', '/views/owners?owner=%00'],
  ['a bound', 'GET', '/views/owners?owner.gte=%00'],
  ['an order', 'GET', '/views/owners?orderBy=%00'],
  ['a number', 'GET', '/account/a?asOf=%00'],
  ['the name of a parameter', 'GET', '/account?%00=1'],
])('%s with a NUL character is 400: %s %s', async (_, method, path) => {
  const init = method === 'GET' ? {} : { method, headers, body: '{"owner":"a"}' }
  expect(await ask(path, init)).toMatchObject({ status: 400, body: { code: 'VALIDATION' } })
})

test('the type of a command with a NUL character is 400', async () => {
  expect(await post('/account/a', '{"type":"Open\\u0000","data":{"owner":"a"}}')).toMatchObject({ status: 400 })
})

test('an SQS message with the metadata key __proto__ fails', async () => {
  const reported: unknown[] = []
  const body = '{"aggregate":"account","id":"a","command":{"type":"Strip","data":{}},"metadata":{"__proto__":{"x":1}}}'
  await onSqs(app, { onFailure: (error) => reported.push(error), metadata: () => ({}) })({ Records: [{ messageId: 'm', body }] })
  expect(reported).toMatchObject([{ code: 'VALIDATION', issues: [{ path: ['metadata', '__proto__'] }] }])
})

test('circular data is passed to the schema of its command', async () => {
  const data: Record<string, unknown> = { owner: 'ann' }
  data.self = [data, data]
  expect(await app.aggregates.account.execute('a', { type: 'Open', data: data as never })).toMatchObject({ ok: true })
})
