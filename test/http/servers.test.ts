import type { Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { createAdaptorServer, getRequestListener } from '@hono/node-server'
import { createHandler } from 'cqrs-es/http'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { describe, expect, test } from 'vitest'
import { openShop } from './shop.ts'

type Handler = (request: Request) => Promise<Response>

const listening = async (server: Server) => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => new Promise((resolve) => server.close(resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

/** How each server is given a handler; the path that it is under is said in the page about HTTP too. */
const servers: Readonly<
  Record<string, (handlerUnder: (basePath: string) => Handler) => Promise<{ url: string; close(): Promise<unknown> }>>
> = {
  'the adapter for Node': (handlerUnder) => listening(createAdaptorServer({ fetch: handlerUnder('/api') }) as Server),

  Hono: (handlerUnder) => {
    const handler = handlerUnder('/api')
    const app = new Hono().all('/api/*', (c) => handler(c.req.raw))
    return listening(createAdaptorServer({ fetch: app.fetch }) as Server)
  },

  // What Express has under a path it shows without the path.
  Express: async (handlerUnder) => {
    const app = express().use('/api', getRequestListener(handlerUnder('')))
    const server = app.listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: () => new Promise((resolve) => server.close(resolve)),
    }
  },

  // Fastify must leave the body alone.
  Fastify: async (handlerUnder) => {
    const listener = getRequestListener(handlerUnder('/api'))
    const app = fastify()
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _body, done) => done(null))
    app.all('/api/*', async ({ raw: incoming }, reply) => {
      reply.hijack()
      await listener(incoming, reply.raw)
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { url, close: () => app.close() }
  },
}

describe.each(Object.keys(servers))('behind %s', (name) => {
  test('a server returns commands, errors and long histories unchanged', async () => {
    const shop = openShop()
    const { url, close } = await (servers[name] as (typeof servers)[string])((basePath) =>
      createHandler(shop, { authorize: 'none', basePath, maxBodyBytes: 10_000 }),
    )
    const ask = async (path: string, init?: RequestInit) => {
      const response = await fetch(`${url}/api${path}`, init)
      return { status: response.status, headers: response.headers, text: await response.text() }
    }
    const post = (path: string, data: unknown, headers = {}) =>
      ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(data) })
    try {
      const placed = await post('/order/a%2Fb%20%C3%A9/Place', { customer: 'ann', total: 1 }, { 'Idempotency-Key': 'k' })
      expect([placed.status, placed.headers.get('etag')]).toEqual([200, '"1"'])
      expect(JSON.parse((await ask('/order')).text)).toEqual({ items: ['a/b é'] })
      expect((await post('/order/a%2Fb%20%C3%A9/Place', { customer: 'ann', total: 1 })).status).toBe(422)
      expect((await post('/order/x/Place', { customer: 'ann', total: -1 })).status).toBe(400)
      expect(
        (await ask('/order/x/Place', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{' })).status,
      ).toBe(400)
      expect((await ask('/order/x/Place', { method: 'POST', body: 'x' })).status).toBe(415)
      expect((await post('/order/x/Note', { text: 'x'.repeat(10_000) })).status).toBe(413)
      expect((await ask('/order/%zz')).status).toBe(400)
      expect((await ask('/nothing')).status).toBe(404)
      const { order } = shop.aggregates
      for (let i = 0; i < 200; i++) await order.execute('a/b é', { type: 'Note', data: { text: 'x'.repeat(1_000) } })
      expect(JSON.parse((await ask('/order/a%2Fb%20%C3%A9/events')).text).items).toHaveLength(201)
      const head = await ask('/order/a%2Fb%20%C3%A9', { method: 'HEAD' })
      expect([head.status, head.text, head.headers.get('etag')]).toEqual([200, '', '"201"'])
    } finally {
      await close()
      await shop.close()
    }
  })
})

test('a caller that goes away during its upload is not reported', async () => {
  const reported: unknown[] = []
  const answered: number[] = []
  const handler = createHandler(openShop(), { authorize: 'none', onError: (error) => reported.push(error) })
  const { url, close } = await listening(
    createAdaptorServer({
      fetch: async (request: Request) => {
        const response = await handler(request)
        answered.push(response.status)
        return response
      },
    }) as Server,
  )
  const head = 'POST /order/o-1/Place HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
  for (const part of ['Content-Length: 500\r\n\r\n{"te', 'Transfer-Encoding: chunked\r\n\r\n4\r\n{"te\r\n']) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(head + part)
    await setTimeout(50)
    socket.destroy()
    await setTimeout(50)
  }
  await close()
  expect([answered, reported]).toEqual([[499, 499], []])
})

test('a body that other code has consumed is a 500 that is reported', async () => {
  const reported: unknown[] = []
  const handler = createHandler(openShop(), { authorize: 'none', onError: (error) => reported.push(error) })
  const app = express().use(express.json()).use('/api', getRequestListener(handler))
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/order/o-1/Place`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"customer":"ann","total":1}',
  })
  await new Promise((resolve) => server.close(resolve))
  expect([response.status, reported.length]).toEqual([500, 1])
})
