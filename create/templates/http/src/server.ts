import { serve } from '@hono/node-server'
import { createApi, createShop } from './app.ts'
import { openStore } from './store.ts'

const { store, close } = openStore()
await store.createSchema() // changes nothing if the tables exist
const shop = createShop(store)
await shop.start() // runs async views and subscriptions, once you add some

const shutdown = new AbortController()
const fetch = createApi(shop, { shutdown: shutdown.signal })
const server = serve({ fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`The shop is open at http://localhost:${port}`)
})

const stop = () => {
  shutdown.abort() // ends streams of events, which would keep the server open
  server.close(async () => {
    await shop.close()
    await close()
  })
}
process.once('SIGINT', stop).once('SIGTERM', stop)
