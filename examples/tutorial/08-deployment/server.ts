// #region open
import { serve } from '@hono/node-server'
import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'
import { createApi } from './api.ts'
import { health } from './health.ts'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
pool.on('error', (error) => console.error('A connection to Postgres broke:', error.message))
const store = postgresStore(pool)
await store.createSchema()
const shop = createShop(store, consoleMailer)
await shop.start()
// #endregion open

// #region serve
const shutdown = new AbortController()
const api = createApi(shop, shutdown.signal)
const fetch = (request: Request) =>
  new URL(request.url).pathname === '/health' ? health(shop) : api(request)

const port = Number(process.env.PORT ?? 3000)
const server = serve({ fetch, port }, (address) => {
  console.log(`The shop is open at http://localhost:${address.port}`)
})
// #endregion serve

// #region stop
const stop = () => {
  shutdown.abort()
  server.close(async () => {
    await shop.close()
    await pool.end()
    console.log('The shop is closed.')
  })
}
process.once('SIGINT', stop).once('SIGTERM', stop)
// #endregion stop
