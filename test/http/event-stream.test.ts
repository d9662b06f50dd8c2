import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { createApp, platformRuntime } from 'cqrs-es'
import { createHandler, openApiDocument } from 'cqrs-es/http'
import { onHttp } from 'cqrs-es/lambda'
import { memoryStore } from 'cqrs-es/memory'
import { StoreError } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'
import { functionUrl } from '../lambda/events.ts'
import { failureOf } from '../support/async.ts'
import { keeping } from '../support/keeping.ts'
import { changed, counting } from '../support/stores.ts'
import { drop, give, ticket, ticketApp, ticketViews } from '../support/tickets.ts'

const kept = keeping()

/** What comes, message by message. */
function messagesOf(response: Response) {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const decoder = new TextDecoder()
  let text = ''
  return {
    /** The next message, a comment among them; `undefined` at the end. */
    next: async (): Promise<string | undefined> => {
      while (!text.includes('\n\n')) {
        const { done, value } = await reader.read()
        if (done) return undefined
        text += decoder.decode(value)
      }
      const end = text.indexOf('\n\n')
      const message = text.slice(0, end)
      text = text.slice(end + 2)
      return message
    },
    cancel: () => reader.cancel(),
  }
}
const stream = (path: string, headers = {}, signal: AbortSignal = new AbortController().signal) =>
  new Request(`http://desk.example${path}`, { headers: { Accept: 'text/event-stream', ...headers }, signal })
const dataOf = (message: string | undefined) => JSON.parse(/^data: (.*)$/m.exec(message ?? '')?.[1] ?? 'null')

describe('GET /views/x with Accept: text/event-stream', () => {
  test('an event stream sends each change as an event with its cursor as id', async () => {
    const app = kept(ticketApp(memoryStore()))
    const response = await createHandler(app, { authorize: 'none' })(stream('/views/tickets'))
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    expect(response.headers.get('cache-control')).toContain('no-cache')
    const messages = messagesOf(response)
    expect(await messages.next()).toBe(':\nid: 1.0')
    await app.aggregates.ticket.execute('a', give('ann', 1))
    expect(await messages.next()).toBe('event: changed\nid: 1.1\ndata: {"id":"a","view":{"owner":"ann","points":1},"version":1}')
    await app.aggregates.ticket.execute('a', drop)
    expect(await messages.next()).toBe('event: gone\nid: 1.2\ndata: {"id":"a"}')
    await app.views.tickets.rebuild()
    expect(await messages.next()).toMatch(/^event: reload\nid: 2\.2\ndata: {"because":"rebuilt"}$/)
    await messages.cancel()
  })

  test('an event stream takes the conditions of find and refuses paging parameters', async () => {
    const app = kept(ticketApp(memoryStore()))
    const handler = createHandler(app, { authorize: 'none' })
    const messages = messagesOf(await handler(stream('/views/tickets?owner=ann&points.gte=2')))
    await messages.next()
    for (const [id, command] of [
      ['a', give('bob', 5)],
      ['b', give('ann', 1)],
      ['c', give('ann', 2)],
    ] as const)
      await app.aggregates.ticket.execute(id, command)
    const kinds = [await messages.next(), await messages.next(), await messages.next()].map((message) => dataOf(message))
    expect(kinds).toEqual([{ id: 'a' }, { id: 'b' }, { id: 'c', view: { owner: 'ann', points: 2 }, version: 1 }])
    await messages.cancel()
    for (const path of ['?limit=5', '?orderBy=owner', '?after=a', '?colour=red', '?points=many'])
      expect((await handler(stream(`/views/tickets${path}`))).status).toBe(400)
  })

  test('an event stream continues after its Last-Event-ID and refuses an invalid one', async () => {
    const app = kept(ticketApp(memoryStore()))
    const handler = createHandler(app, { authorize: 'none' })
    for (const id of ['a', 'b']) await app.aggregates.ticket.execute(id, give('ann', 1))
    const messages = messagesOf(await handler(stream('/views/tickets', { 'Last-Event-ID': '1.1' })))
    expect(await messages.next()).toBe(':\nid: 1.1')
    expect(dataOf(await messages.next())).toMatchObject({ id: 'b' })
    await messages.cancel()
    const old = messagesOf(await handler(stream('/views/tickets', { 'Last-Event-ID': '1.77' })))
    expect(await old.next()).toBe(':')
    expect(await old.next()).toBe('event: reload\nid: 1.2\ndata: {"because":"too-old"}')
    await old.cancel()
    for (const id of ['', '1', 'x.y', '1.two'])
      expect((await handler(stream('/views/tickets', { 'Last-Event-ID': id }))).status).toBe(400)
  })

  test('an event stream calls authorize as find does', async () => {
    const app = kept(ticketApp(memoryStore()))
    const asked: unknown[] = []
    const handler = createHandler(app, {
      authorize: (_, action) => {
        asked.push(action)
        return { ok: false, status: 403 }
      },
    })
    expect((await handler(stream('/views/tickets?owner=ann'))).status).toBe(403)
    // What could be asked is not told to a caller that may not ask.
    expect((await handler(stream('/views/tickets?colour=red', { 'Last-Event-ID': 'x' }))).status).toBe(403)
    expect(asked).toEqual([
      { kind: 'find', view: 'tickets', where: { owner: 'ann' } },
      { kind: 'find', view: 'tickets', where: {} },
    ])
  })

  test.each([
    ['application/json, text/event-stream', 'application/json'],
    ['*/*', 'application/json'],
    ['text/event-stream;q=1, */*', 'text/event-stream'],
  ])('Accept: %s gets %s', async (Accept, type) => {
    const app = kept(ticketApp(memoryStore()))
    const response = await createHandler(app, { authorize: 'none' })(stream('/views/tickets', { Accept }))
    expect(response.headers.get('content-type')).toBe(type)
    await response.body?.cancel()
  })

  test('an event stream sends a comment with the cursor every 15 s of silence', async () => {
    const waits: number[] = []
    let pass = () => {}
    const sleep = (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason))
        if (ms !== 15_000) return void setTimeout(resolve, ms)
        waits.push(ms)
        pass = resolve
      })
    const app = kept(
      createApp({
        store: memoryStore(),
        aggregates: { ticket },
        views: ticketViews('inline'),
        following: { pollMs: 5 },
        runtime: { ...platformRuntime, sleep },
      }),
    )
    const messages = messagesOf(await createHandler(app, { authorize: 'none' })(stream('/views/tickets?owner=ann')))
    await messages.next()
    const next = messages.next()
    await expect.poll(() => waits.length).toBe(1)
    pass()
    expect(await next).toBe(':\nid: 1.0')
    await messages.cancel()
  })

  test('an event stream ends with the request and with the app', async () => {
    const app = ticketApp(memoryStore())
    const reported: unknown[] = []
    const handler = createHandler(app, { authorize: 'none', onError: (error) => reported.push(error) })
    const request = new AbortController()
    const one = messagesOf(await handler(stream('/views/tickets', {}, request.signal)))
    const other = messagesOf(await handler(stream('/views/tickets')))
    await Promise.all([one.next(), other.next()])
    const ends = [one.next(), other.next()]
    request.abort()
    expect(await ends[0]).toBeUndefined()
    await app.close()
    expect(await ends[1]).toBeUndefined()
    expect(reported).toEqual([])
    expect((await handler(stream('/views/tickets'))).status).toBe(503)
  })

  test('an event stream ends when shutdown aborts, and a later one ends at once', async () => {
    const app = kept(ticketApp(memoryStore()))
    const shutdown = new AbortController()
    const handler = createHandler(app, { authorize: 'none', shutdown: shutdown.signal })
    const messages = messagesOf(await handler(stream('/views/tickets')))
    await messages.next()
    const next = messages.next()
    shutdown.abort()
    expect(await next).toBeUndefined()
    const late = messagesOf(await handler(stream('/views/tickets')))
    expect([await late.next(), await late.next()]).toEqual([':\nid: 1.0', undefined])
    expect((await handler(new Request('http://desk.example/views/tickets'))).status).toBe(200)
    expect(() => createHandler(app, { authorize: 'none', shutdown: true as never })).toThrow('shutdown must be an AbortSignal')
  })

  test('an event stream is no longer read after its client has gone', async () => {
    const calls: string[] = []
    const app = kept(ticketApp(counting(memoryStore(), calls), { pollMs: 1 }))
    const reported: unknown[] = []
    const handler = createHandler(app, { authorize: 'none', onError: (error) => reported.push(error) })
    const server = createAdaptorServer({ fetch: (request: Request) => handler(request) }) as Server
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const leaving = new AbortController()
    const { port } = server.address() as AddressInfo
    const headers = { Accept: 'text/event-stream' }
    await fetch(`http://127.0.0.1:${port}/views/tickets`, { headers, signal: leaving.signal })
    await expect.poll(() => calls.filter((name) => name === 'readFeed').length).toBeGreaterThan(3)
    leaving.abort()
    await expect
      .poll(async () => {
        calls.length = 0
        await new Promise((resolve) => setTimeout(resolve, 50))
        return calls
      })
      .toEqual([])
    expect(reported).toEqual([])
    await new Promise((resolve) => server.close(resolve))
  })

  test('an event stream breaks off with a reported error', async () => {
    const store = changed(memoryStore(), { readFeed: async () => Promise.reject(new StoreError('STORE_CORRUPT', 'broken')) })
    const reported: unknown[] = []
    const handler = createHandler(kept(ticketApp(store)), { authorize: 'none', onError: (error) => reported.push(error) })
    const messages = messagesOf(await handler(stream('/views/tickets')))
    await messages.next()
    expect((await failureOf(messages.next())).message).toBe('broken')
    expect(reported).toMatchObject([{ code: 'STORE_CORRUPT' }])
  })

  test('HEAD for an event stream has no body', async () => {
    const app = kept(ticketApp(memoryStore()))
    const request = new Request('http://desk.example/views/tickets', { method: 'HEAD', headers: { Accept: 'text/event-stream' } })
    const response = await createHandler(app, { authorize: 'none' })(request)
    expect([response.status, response.body]).toEqual([200, null])
  })

  test('an event stream is 406 in a Lambda function, which cannot stream', async () => {
    const app = kept(ticketApp(memoryStore()))
    const handler = onHttp(createHandler(app, { authorize: 'none' }))
    const { statusCode, body } = await handler(
      functionUrl({ rawPath: '/views/tickets', rawQueryString: '', headers: { accept: 'text/event-stream' } }, 'GET'),
    )
    expect([statusCode, JSON.parse(body).detail]).toEqual([406, expect.stringContaining('cannot stream')])
  })

  test('the OpenAPI document describes the event stream', () => {
    const { paths } = openApiDocument(ticketApp(memoryStore()), { authorize: 'none' })
    const { get } = paths['/views/tickets'] as Record<
      string,
      { parameters: { name: string }[]; responses: Record<string, object> }
    >
    expect(get?.parameters.map(({ name }) => name)).toContain('Last-Event-ID')
    expect(get?.responses[200]).toMatchObject({ content: { 'text/event-stream': { schema: { type: 'string' } } } })
  })
})
