import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

const db = new Database('orders.db')
const store = sqliteStore(db)
await store.createSchema()
const shop = createShop(store, consoleMailer)

await shop.drain()
for await (const event of shop.aggregates.invoice.events('invoice-order-1'))
  console.log(event.type, event.data, event.metadata.causationId)

const place = {
  type: 'PlaceOrder',
  data: { customer: 'bob@example.com', lines: [{ sku: 'tea', quantity: 1, price: 4.5 }] },
} as const
await shop.aggregates.order.execute('order-3', place)
console.log(await shop.drain())

await shop.close()
db.close()
