import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { createHandler } from 'cqrs-es/http'
import { memoryStore } from 'cqrs-es/memory'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startChromium } from '../servers/chromium.ts'
import { patienceMs } from '../strength.ts'
import { drop, give, type TicketApp, ticketApp } from '../support/tickets.ts'

let browser: Browser
let page: Page
let app: TicketApp
let server: Server
let shutdown: AbortController
/** The `Last-Event-ID` of each request for changes. */
let asked: (string | null)[]
let reported: unknown[]

beforeAll(async () => {
  browser = await startChromium()
})
afterAll(() => browser?.close())

beforeEach(async () => {
  asked = []
  reported = []
  app = ticketApp(memoryStore())
  shutdown = new AbortController()
  const handler = createHandler(app, {
    authorize: (request) =>
      request.headers.get('Cookie')?.includes('user=ann') ? { ok: true, caller: 'ann' } : { ok: false, status: 403 },
    shutdown: shutdown.signal,
    onError: (error) => reported.push(error),
  })
  server = createAdaptorServer({
    fetch: async (request: Request) => {
      if (new URL(request.url).pathname === '/')
        return new Response('<title>Desk</title>', { headers: { 'Content-Type': 'text/html' } })
      if (request.headers.get('Accept') === 'text/event-stream') asked.push(request.headers.get('Last-Event-ID'))
      return handler(request)
    },
  }) as Server
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  page = await browser.newPage()
  page.setDefaultTimeout(patienceMs)
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
afterEach(async () => {
  await page.close()
  await app.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

/** Listens in the page, as a user of the API would. */
const listen = (path: string) =>
  page.evaluate((url) => {
    const seen: string[] = []
    const source = new EventSource(url)
    Object.assign(window, { seen, source })
    for (const kind of ['changed', 'gone', 'reload'])
      source.addEventListener(kind, ({ data, lastEventId }) => seen.push(`${kind} ${lastEventId} ${data}`))
    return new Promise<string>((resolve) => {
      source.onopen = () => resolve('open')
      source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? 'closed' : 'broken')
    })
  }, path)
const seen = () => page.evaluate(() => (window as unknown as { seen: string[] }).seen)
const logIn = () => page.evaluate(() => void Object.assign(document, { cookie: 'user=ann' }))

describe('EventSource in Chromium', () => {
  test('EventSource receives changes, and after a broken connection those in between', async () => {
    await logIn()
    expect(await listen('/views/tickets?owner=ann')).toBe('open')
    await app.aggregates.ticket.execute('a', give('ann', 1))
    await expect.poll(seen, { timeout: patienceMs }).toHaveLength(1)
    server.closeAllConnections()
    await app.aggregates.ticket.execute('b', give('ann', 2))
    await app.aggregates.ticket.execute('a', drop)
    await expect.poll(seen, { timeout: patienceMs }).toHaveLength(3)
    expect(await seen()).toEqual([
      'changed 1.1 {"id":"a","view":{"owner":"ann","points":1},"version":1}',
      'changed 1.1 {"id":"b","view":{"owner":"ann","points":2},"version":1}',
      'gone 1.3 {"id":"a"}',
    ])
    expect([asked, reported]).toEqual([[null, '1.1'], []])
  })

  test('EventSource continues where it began when the connection breaks before the first change', async () => {
    await logIn()
    await app.aggregates.ticket.execute('a', give('ann', 1))
    await listen('/views/tickets')
    server.closeAllConnections()
    await app.aggregates.ticket.execute('b', give('ann', 2))
    await expect.poll(seen, { timeout: patienceMs }).toHaveLength(1)
    expect([asked, (await seen())[0]]).toEqual([[null, '1.1'], expect.stringContaining('"id":"b"')])
  })

  test('EventSource is closed for good when authorize refuses it', async () => {
    expect(await listen('/views/tickets')).toBe('closed')
  })

  test('EventSource does not keep a server from closing once shutdown aborts', async () => {
    await logIn()
    await listen('/views/tickets')
    shutdown.abort()
    const closed = new Promise((resolve) => server.close(resolve))
    // The browser asks again on the connection that it has, until that is closed while it is idle.
    const closing = setInterval(() => server.closeIdleConnections(), 100)
    await closed
    clearInterval(closing)
    expect(reported).toEqual([])
  })
})
