import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import type { OpenStore } from '../bank-account/stores.ts'
import { openShelves, type Shop, type ShopOptions, shopApp } from './app.ts'
import { receivePayment, shopHandler } from './http.ts'
import { page } from './page.ts'

export interface ListenOptions extends ShopOptions {
  readonly openStore: OpenStore
  /** 0: any free port. */
  readonly port: number
}

export interface OpenShop {
  readonly app: Shop
  readonly url: string
  close(): Promise<void>
}

/**
 * Opens the shop and serves it on this machine: the live page at `/`, the API below it. `close()`
 * lets requests in progress finish.
 */
export async function listen({ openStore, port, ...options }: ListenOptions): Promise<OpenShop> {
  const { store, close } = await openStore()
  const app = shopApp(store, options)
  const shutdown = new AbortController()
  const handler = shopHandler(app, shutdown.signal)
  const site = new Hono()
    .route('/', page())
    .post('/inbox/payments', (c) => receivePayment(app, c.req.raw))
    .all('*', (c) => handler(c.req.raw))
  const server = createAdaptorServer({ fetch: site.fetch }) as Server
  const end = async () => {
    await app.close()
    await close()
  }
  try {
    await openShelves(app)
    await app.start()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  } catch (error) {
    await end()
    throw error
  }
  return {
    app,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      shutdown.abort()
      await new Promise((resolve) => {
        server.close(resolve)
        server.closeIdleConnections()
      })
      await end()
    },
  }
}
