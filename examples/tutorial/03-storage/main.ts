import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { createShop } from './shop.ts'

const db = new Database('orders.db')
const store = sqliteStore(db)
await store.createSchema()
const shop = createShop(store)
const orders = shop.aggregates.order

const { state, sequence } = await orders.load('order-1')
console.log('found:', sequence, state)

const place = {
  type: 'PlaceOrder',
  data: { customer: 'ann@example.com', lines: [{ sku: 'tea', quantity: 2, price: 4.5 }] },
} as const
const result = await orders.execute('order-1', place)
console.log(result.ok ? 'placed' : `rejected: ${result.reason}`)

await shop.close()
db.close()
