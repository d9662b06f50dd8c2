import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { createShop } from './shop.ts'

const db = new Database('orders.db')
const store = sqliteStore(db)
await store.createSchema()
const shop = createShop(store)
const orders = shop.aggregates.order

const place = {
  type: 'PlaceOrder',
  data: { customer: 'ann@example.com', lines: [{ sku: 'cup', quantity: 1, price: 12 }] },
} as const
await orders.execute('order-2', place)
const found = await shop.views.orders.find({ customer: 'ann@example.com' })
for (const { id, view } of found.items) console.log(id, view.status, view.total)

await shop.views.orders.rebuild()
const all = await shop.views.orders.find({ customer: 'ann@example.com' })
for (const { id, view } of all.items) console.log(id, view.status, view.total)

await orders.execute('order-1', { type: 'PayOrder', data: { amount: 9 } }, { waitFor: ['totals'] })
console.log((await shop.views.totals.load('all'))?.view)

await shop.close()
db.close()
