import { serve } from '@hono/node-server'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { createApi } from './api.ts'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

const db = new Database('orders.db')
const store = sqliteStore(db)
await store.createSchema()
const shop = createShop(store, consoleMailer)
await shop.start()

const port = Number(process.env.PORT ?? 3000)
const server = serve({ fetch: createApi(shop), port }, (address) => {
  console.log(`The shop is open at http://localhost:${address.port}`)
})

const stop = () =>
  server.close(async () => {
    await shop.close()
    db.close()
  })
process.once('SIGINT', stop).once('SIGTERM', stop)
