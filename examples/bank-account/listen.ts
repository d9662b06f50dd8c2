import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { apiPage } from './api-page.ts'
import { openBank } from './app.ts'
import { bankHandler } from './http.ts'
import type { OpenStore } from './stores.ts'

export interface ListenOptions {
  readonly openStore: OpenStore
  /** 0: any free port. */
  readonly port: number
}

/**
 * Opens the bank and serves it on this machine, with a page about its API. `close()` lets requests
 * in progress finish.
 */
export async function listen({ openStore, port }: ListenOptions): Promise<{ readonly url: string; close(): Promise<void> }> {
  const bank = await openBank(openStore)
  const shutdown = new AbortController()
  const handler = bankHandler(bank.app, shutdown.signal)
  const site = new Hono().route('/', apiPage()).all('*', (c) => handler(c.req.raw))
  let closing = false
  const server = createAdaptorServer({
    async fetch(request) {
      const response = await site.fetch(request)
      if (closing) response.headers.set('Connection', 'close')
      return response
    },
  }) as Server
  try {
    await bank.start()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  } catch (error) {
    await bank.close()
    throw error
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      closing = true
      shutdown.abort()
      await new Promise((resolve) => server.close(resolve))
      await bank.close()
    },
  }
}
