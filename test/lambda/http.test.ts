import type { APIGatewayProxyEventV2WithJWTAuthorizer } from 'aws-lambda'
import { createApp } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { onHttp } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { failureOf, thrownBy } from '../support/async.ts'
import { balances, bankAccount } from '../support/bank-account.ts'
import { counter } from '../support/counter.ts'
import { functionUrl, httpApi, loadBalancer, remaining, restApi, scheduled, sqs } from './events.ts'

/** What a handler was asked, by a function that answers with nothing. */
async function requested(event: Parameters<ReturnType<typeof onHttp>>[0]): Promise<Request> {
  const requests: Request[] = []
  const result = await onHttp((request) => {
    requests.push(request)
    return new Response(null, { status: 204 })
  })(event)
  if (requests[0] === undefined) throw new Error(`It was refused: ${JSON.stringify(result)}`)
  return requests[0]
}
const refused = (event: Parameters<ReturnType<typeof onHttp>>[0]) => onHttp(() => new Response('reached'))(event)
const answered = (response: Response, method = 'GET') => onHttp(() => response)(functionUrl({}, method))

describe('the bank account behind a Function URL', () => {
  const services = { account: { validateCheck: async () => true } }
  const app = createApp({
    store: memoryStore(),
    aggregates: { account: bankAccount },
    views: { balances },
    services,
  })
  const server = new Hono()
    .post('/accounts/:id', async (c) => {
      const result = await app.aggregates.account.execute(c.req.param('id'), (await c.req.json()) as never, {
        metadata: { agent: c.req.header('user-agent') ?? '' },
        signal: c.req.raw.signal,
      })
      return result.ok ? c.body(null, 204) : c.json({ reason: result.reason }, 422)
    })
    .get('/accounts/:id', async (c) => {
      const row = await app.views.balances.load(c.req.param('id'))
      return row === undefined ? c.notFound() : c.json(row.view)
    })
  const handler = onHttp(server.fetch)
  const post = (body: string) => handler(functionUrl({ rawPath: '/accounts/a-1', body }, 'POST'), remaining(60_000))

  test('a command comes in by POST and a view goes out by GET', async () => {
    expect(await post('{"type":"OpenAccount","data":{"owner":"ann"}}')).toMatchObject({ statusCode: 204, body: '' })
    expect(await post('{"type":"OpenAccount","data":{"owner":"ann"}}')).toMatchObject({
      statusCode: 422,
      body: '{"reason":"already-open"}',
    })
    await post('{"type":"DepositMoney","data":{"amount":200}}')
    expect(await handler(functionUrl({ rawPath: '/accounts/a-1' }), remaining(60_000))).toEqual({
      statusCode: 200,
      headers: { 'content-type': 'application/json' },
      body: '{"owner":"ann","balance":200}',
      isBase64Encoded: false,
    })
    for await (const { metadata } of app.aggregates.account.events('a-1')) expect(metadata).toEqual({ agent: 'agent' })
  })
})

describe('a request', () => {
  test('a request has its method, address, query, headers, cookies and body', async () => {
    const request = await requested(httpApi())
    expect(request.method).toBe('POST')
    expect(request.url).toBe(
      'https://id.execute-api.us-east-1.amazonaws.com/my/path?parameter1=value1&parameter1=value2&parameter2=value',
    )
    expect(new URL(request.url).searchParams.getAll('parameter1')).toEqual(['value1', 'value2'])
    expect(Object.fromEntries(request.headers)).toEqual({
      'content-type': 'text/plain',
      cookie: 'cookie1=a; cookie2=b',
      header1: 'value1',
      header2: 'value1,value2',
    })
    expect(await request.text()).toBe('Hello from Lambda')
  })

  test('a request of a Function URL has each cookie once', async () => {
    const headers = { cookie: 'a=1; b=2' }
    expect((await requested(functionUrl({ headers, cookies: ['a=1', 'b=2'] }))).headers.get('cookie')).toBe('a=1; b=2')
    expect((await requested(functionUrl({ headers }))).headers.get('cookie')).toBe('a=1; b=2')
    expect((await requested(functionUrl())).headers.get('cookie')).toBeNull()
  })

  test('a request without a body has none, and gets no content type that was not sent', async () => {
    for (const method of ['GET', 'HEAD']) expect((await requested(httpApi({ body: 'text' }, { method }))).body).toBeNull()
    expect((await requested(functionUrl({}, 'POST'))).body).toBeNull()
    expect((await requested(functionUrl({ body: '' }, 'DELETE'))).body).toBeNull()
    expect((await requested(functionUrl({ body: 'text' }, 'POST'))).headers.get('content-type')).toBeNull()
  })

  test.each([
    ['/prod', '/'],
    ['/prod/', '/'],
    ['/prod/accounts/a-1', '/accounts/a-1'],
    ['/prod/prod', '/prod'],
    ['/production/a-1', '/production/a-1'],
    ['/accounts/prod', '/accounts/prod'],
  ])('a request to a named stage loses the stage from its path: %s', async (rawPath, path) => {
    expect(new URL((await requested(httpApi({ rawPath }, { stage: 'prod' }))).url).pathname).toBe(path)
    expect(new URL((await requested(httpApi({ rawPath }))).url).pathname).toBe(rawPath)
  })

  test.each([
    ['/a b', '/a%20b'],
    ['/a?b=c#d', '/a%3Fb=c%23d'],
    ['/100%', '/100%25'],
    ['/a%41', '/a%2541'],
    ['/a%2Fb', '/a%252Fb'],
    ['/%2e%2e/b', '/%252e%252e/b'],
    ['/ä/日本/😀', '/%C3%A4/%E6%97%A5%E6%9C%AC/%F0%9F%98%80'],
    ['/a\\..\\b', '/a%5C..%5Cb'],
    ['/.\t./b', '/.%09./b'],
    ['/\0', '/%00'],
    ['//other.example/a', '//other.example/a'],
    ['/@other.example', '/@other.example'],
    ['/a..b/...', '/a..b/...'],
    ['', '/'],
  ])('a request to an HTTP API keeps its decoded path: %j', async (rawPath, pathname) => {
    const { pathname: got, hash } = new URL((await requested(httpApi({ rawPath }))).url)
    expect({ pathname: got, hash }).toEqual({ pathname, hash: '' })
  })

  test.each([
    ['/a b', '/a%20b'],
    ['/100%', '/100%25'],
    ['/a%41', '/a%41'],
    ['/ä/😀', '/%C3%A4/%F0%9F%98%80'],
    ['/a%2Fb%3F%20', '/a%2Fb%3F%20'],
    ['//other.example/a', '//other.example/a'],
    ['', '/'],
  ])('a request to a Function URL keeps its path as it was sent: %j', async (rawPath, pathname) => {
    const { origin, pathname: got, search, hash } = new URL((await requested(functionUrl({ rawPath }))).url)
    expect({ origin, pathname: got, search, hash }).toEqual({
      origin: 'https://abc123.lambda-url.us-east-1.on.aws',
      pathname,
      search: '',
      hash: '',
    })
  })

  test('a request keeps its query unchanged', async () => {
    const { url } = await requested(functionUrl({ rawQueryString: 'a=%23&b=?#&c=a%2Bb+c' }))
    expect([...new URL(url).searchParams]).toEqual([
      ['a', '#'],
      ['b', '?#'],
      ['c', 'a+b c'],
    ])
  })

  test('a request keeps headers in any script as their bytes', async () => {
    const { headers } = await requested(
      functionUrl({ headers: { 'user-agent': '日本/1.0', 'x-name': 'José', 'x-none': undefined } }),
    )
    expect(new TextDecoder().decode(Uint8Array.from(headers.get('user-agent') ?? '', (c) => c.charCodeAt(0)))).toBe('日本/1.0')
    expect(headers.get('x-name')).toBe('José')
    expect(headers.has('x-none')).toBe(false)
  })

  test.each([
    ['a path that would be resolved', functionUrl({ rawPath: '/public/../admin' }), 'The path has dot segments.'],
    ['an encoded one', functionUrl({ rawPath: '/public/%2E%2e/admin' }), 'The path has dot segments.'],
    ['one that stays where it is', functionUrl({ rawPath: '/public/.' }), 'The path has dot segments.'],
    ['a path that is no text', functionUrl({ rawPath: '/\ud800' }), 'The URL is malformed.'],
    [
      'a header of several lines',
      functionUrl({ headers: { 'x-user': 'ann\r\nx-admin: yes' } }),
      "The header 'x-user' is malformed.",
    ],
    ['a cookie of several lines', functionUrl({ cookies: ['a=1\r\nx-admin: yes'] }), "The header 'cookie' is malformed."],
    ['a header without a name', functionUrl({ headers: { 'x user': 'ann' } }), "The header 'x user' is malformed."],
    ['a body that is not base64', functionUrl({ body: 'ab$=', isBase64Encoded: true }, 'PUT'), 'The body is not base64.'],
    ['a body that is cut off', functionUrl({ body: 'YWJ', isBase64Encoded: true }, 'PUT'), 'The body is not base64.'],
    ['a method that is none', functionUrl({}, 'GE T'), 'The method is malformed.'],
    ['a method that fetch refuses', functionUrl({}, 'TRACE'), 'The method is malformed.'],
  ])('a request with %s is 400', async (_, event, detail) => {
    const { body, ...result } = await refused(event)
    expect(result).toEqual({ statusCode: 400, headers: { 'content-type': 'application/problem+json' }, isBase64Encoded: false })
    expect(JSON.parse(body)).toEqual({ type: 'about:blank', title: 'Bad Request', status: 400, detail })
  })
})

describe('a response', () => {
  test('a response keeps its status, headers and cookies', async () => {
    const headers = new Headers({ 'content-type': 'text/plain', 'x-one': '1' })
    for (const value of ['a', 'b']) headers.append('vary', value)
    for (const value of ['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'b=2; Path=/']) headers.append('set-cookie', value)
    expect(await answered(new Response('hello', { status: 201, headers }))).toEqual({
      statusCode: 201,
      headers: { 'content-type': 'text/plain', 'x-one': '1', vary: 'a, b' },
      cookies: ['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'b=2; Path=/'],
      body: 'hello',
      isBase64Encoded: false,
    })
  })

  test.each([
    'text/html',
    'text/plain; charset=UTF-8',
    'TEXT/CSV',
    'application/json',
    'application/problem+json',
    'application/json; charset="utf-8"',
    'application/xml',
    'image/svg+xml',
    'text/javascript',
    'application/javascript',
    'application/x-www-form-urlencoded',
    'application/x-ndjson',
  ])('a response of %s is returned as text', async (type) => {
    const response = () => new Response('\ufeffgrün 😀', { headers: { 'content-type': type } })
    expect(await answered(response())).toMatchObject({ body: '\ufeffgrün 😀', isBase64Encoded: false })
  })

  const bytes = new TextEncoder().encode('grün')
  test.each([
    ['of bytes', { 'content-type': 'application/octet-stream' }],
    ['of an image', { 'content-type': 'image/png' }],
    ['without a type', {}],
    ['in another encoding', { 'content-type': 'text/plain; charset=iso-8859-1' }],
    ['that is compressed', { 'content-type': 'text/plain', 'content-encoding': 'gzip' }],
    ['of a type that only looks like text', { 'content-type': 'application/jsonish' }],
  ])('a response %s is returned as base64', async (_, headers) => {
    const result = await answered(new Response(bytes, { headers: headers as Record<string, string> }))
    expect(result).toMatchObject({ body: 'Z3LDvG4=', isBase64Encoded: true })
  })

  test('a response that claims to be UTF-8 and is not is returned as base64', async () => {
    const response = new Response(new Uint8Array([0x67, 0xfc]), { headers: { 'content-type': 'text/plain' } })
    expect(await answered(response)).toMatchObject({ body: 'Z/w=', isBase64Encoded: true })
  })

  test('a response is returned once its stream has ended, and without a body for HEAD', async () => {
    const parts = new ReadableStream({
      start: (controller) => {
        for (const part of ['[1,', '2]']) controller.enqueue(new TextEncoder().encode(part))
        controller.close()
      },
    })
    const headers = { 'content-type': 'application/json' }
    expect(await answered(new Response(parts, { headers }))).toMatchObject({ body: '[1,2]' })
    expect(await answered(new Response('[1,2]', { headers }), 'HEAD')).toMatchObject({ body: '', isBase64Encoded: false })
  })

  test('an exception of the handler passes through to Lambda', async () => {
    const broken = onHttp(() => {
      throw new Error('broken')
    })
    expect((await failureOf(broken(functionUrl()))).message).toBe('broken')
  })
})

describe('the time limit of the function', () => {
  test('the signal of a request aborts shortly before the time is up', async () => {
    const handler = onHttp(
      ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(new Response(signal.reason.name)))),
    )
    expect(await handler(functionUrl(), remaining(510))).toMatchObject({ statusCode: 200, body: 'TimeoutError' })
    expect(await handler(functionUrl(), remaining(1))).toMatchObject({ body: 'TimeoutError' })
  })

  test('onHttp does not wait for a handler that ignores the abort', async () => {
    const handler = onHttp(() => new Promise<never>(() => {}))
    expect(await failureOf(handler(functionUrl(), remaining(510)))).toMatchObject({
      name: 'TimeoutError',
      message: 'The time of the Lambda function is up.',
    })
  })

  test.each([undefined, remaining(Number.NaN), remaining(Number.POSITIVE_INFINITY), remaining(1e12)])(
    'a request without a known time limit does not abort',
    async (context) => {
      const handler = onHttp(async ({ signal }) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return new Response(String(signal.aborted))
      })
      expect(await handler(functionUrl(), context)).toMatchObject({ body: 'false' })
    },
  )
})

test('the handler receives the event, so that the claims of an authorizer can decide', async () => {
  const app = createApp({ store: memoryStore(), aggregates: { counter } })
  const handler = onHttp(
    createHandler(app, {
      authorize: (_request, _action, event: APIGatewayProxyEventV2WithJWTAuthorizer | undefined) => {
        const sub = event?.requestContext.authorizer.jwt.claims.sub
        return sub === 'ann' ? { ok: true, caller: sub } : { ok: false, status: 401 }
      },
      metadata: (_request, userId, event) => ({ userId, from: event?.requestContext.http.sourceIp }),
    }),
  )
  const asked = (sub: string) => {
    const { requestContext, ...event } = httpApi({
      rawPath: '/counter/a/Count',
      rawQueryString: '',
      body: '{"by":2}',
      headers: { 'content-type': 'application/json' },
    })
    const { jwt, ...more } = requestContext.authorizer
    const authorizer = { ...more, jwt: { ...jwt, claims: { sub } } }
    return { ...event, requestContext: { ...requestContext, authorizer } }
  }
  expect((await handler(asked('eve'))).statusCode).toBe(401)
  const { statusCode, body } = await handler(asked('ann'))
  expect([statusCode, JSON.parse(body).events[0].metadata]).toEqual([
    200,
    { userId: 'ann', from: expect.stringMatching(/^[\d.]+$/) },
  ])
})

describe('an incomplete event', () => {
  const http = { method: 'GET' }
  const least = { version: '2.0', rawPath: '/my/path', requestContext: { http } }

  test('onHttp asks localhost when an event has nothing but its path and method', async () => {
    const { url, method, headers, body } = await requested(least)
    expect([url, method, [...headers], body]).toEqual(['https://localhost/my/path', 'GET', [], null])
    const posted = await requested({ ...least, body: 'text', requestContext: { http: { method: 'POST' } } })
    expect(await posted.text()).toBe('text')
  })

  const whole = httpApi({ headers: { host: 'api.example', 'content-type': 'text/plain' } })
  const { domainName: _, ...unnamed } = whole.requestContext

  test('onHttp takes the host header when an event has no domain name', async () => {
    const { url } = await requested({ ...whole, requestContext: unnamed })
    expect(url).toBe('https://api.example/my/path?parameter1=value1&parameter1=value2&parameter2=value')
    for (const host of ['localhost:3000', '127.0.0.1', '[::1]:8080'])
      expect((await requested({ ...least, headers: { host } })).url).toBe(`https://${host}/my/path`)
    for (const host of ['a/b', 'a b', 'user@a', 'a:x', 'a?b', ''])
      expect(await refused({ ...whole, headers: { Host: host }, requestContext: unnamed })).toMatchObject({ statusCode: 400 })
  })

  test('onHttp keeps the path of a Function URL as it was sent when only the host header names it', async () => {
    const headers = { host: 'x.lambda-url.eu-central-1.on.aws' }
    expect((await requested({ ...least, rawPath: '/a%20b', headers })).url).toBe(`https://${headers.host}/a%20b`)
  })

  test('onHttp takes http.path and the parameters when rawPath and the query are missing', async () => {
    const event = {
      version: '2.0',
      queryStringParameters: { a: '1 2', b: '%&=', c: undefined },
      requestContext: { http: { ...http, path: '/from/http' } },
    }
    const { pathname, searchParams } = new URL((await requested(event)).url)
    expect([pathname, [...searchParams]]).toEqual([
      '/from/http',
      [
        ['a', '1 2'],
        ['b', '%&='],
      ],
    ])
  })

  test.each(['headers', 'cookies', 'rawQueryString', 'queryStringParameters', 'body', 'isBase64Encoded', 'routeKey'])(
    'onHttp works without %s',
    async (name) => {
      for (const value of [undefined, null]) {
        const request = await requested({ ...whole, [name]: value } as typeof whole)
        expect([request.method, new URL(request.url).pathname]).toEqual(['POST', '/my/path'])
      }
    },
  )

  test.each(['accountId', 'apiId', 'domainName', 'domainPrefix', 'requestId', 'stage', 'time', 'timeEpoch'])(
    'onHttp works without requestContext.%s',
    async (name) => {
      const requestContext = { ...whole.requestContext, [name]: undefined } as typeof whole.requestContext
      expect(new URL((await requested({ ...whole, requestContext })).url).pathname).toBe('/my/path')
    },
  )

  test.each([
    [{ version: '2.0', requestContext: { http } }, 'rawPath'],
    [{ version: '2.0', rawPath: '/', requestContext: { http: {} } }, 'requestContext.http.method'],
    [{ version: '2.0', requestContext: { http: {} } }, 'requestContext.http.method and rawPath'],
    [{ version: '2.0', rawPath: 7, requestContext: { http } }, 'rawPath'],
  ])('onHttp names what is missing: %#', async (event, missing) => {
    const { code, message } = await failureOf(onHttp(() => new Response())(event as never))
    expect([code, message]).toEqual([
      'DEFINITION',
      `onHttp received a request of an HTTP API or a Function URL without the text ${missing}.`,
    ])
  })
})

describe('an event of something else than an HTTP API or a Function URL', () => {
  test.each([
    [restApi, 'a request of a REST API. Put an HTTP API or a Function URL in front of the function.'],
    [
      { ...restApi, version: '1.0' },
      'a request of an HTTP API in the payload format 1.0. Set the payload format of its integration to 2.0.',
    ],
    [loadBalancer, 'a request of an Application Load Balancer. Put'],
    [{ requestContext: { connectionId: 'L0SM9cOFvHcCIhw=', routeKey: '$connect' } }, 'a message of a WebSocket API. Put'],
    [sqs(), 'records that do not say where they are from. Put'],
    [scheduled, "an event of EventBridge ('Scheduled Event'). Put"],
    [{ key1: 'value1', key2: 'value2' }, 'an object with key1, key2. Put'],
    [{}, 'an object with nothing in it'],
    [undefined, 'undefined'],
    ['text', 'string'],
  ])('onHttp refuses an event of another source and names it: %#', async (event, told) => {
    const { code, message } = await failureOf(onHttp(() => new Response())(event as never))
    expect(code).toBe('DEFINITION')
    expect(message).toContain(
      `onHttp takes requests of an HTTP API in the payload format 2.0 and of a Function URL, but got ${told}`,
    )
  })

  test('onHttp refuses something that is not a handler when it is called', () => {
    expect(thrownBy(() => onHttp({} as never)).message).toBe('onHttp: the handler must be a function, not object.')
  })
})
