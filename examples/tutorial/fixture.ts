import { copyFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { createShop } from './06-http/shop.ts'

/**
 * Stores what a reader has stored at the end of chapter 6. The file is checked in as an old one, which later chapters
 * must be able to read: `npx tsx examples/tutorial/fixture.ts` makes it again after a change of the tables.
 */
const [file, copy] = ['07-change', '08-deployment'].map((chapter) =>
  fileURLToPath(new URL(`${chapter}/old.sqlite`, import.meta.url)),
) as [string, string]
rmSync(file, { force: true })
const db = new Database(file)
const store = sqliteStore(db)
await store.createSchema()
const shop = createShop(store, { send: async () => {} })
await shop.drain()

const place = (id: string, customer: string, sku: string, quantity: number, price: number) =>
  shop.aggregates.order.execute(id, {
    type: 'PlaceOrder',
    data: { customer, lines: [{ sku, quantity, price }] },
  })
await place('order-1', 'ann@example.com', 'tea', 2, 4.5)
await place('order-2', 'ann@example.com', 'cup', 1, 12)
await shop.aggregates.order.execute('order-1', { type: 'PayOrder', data: { amount: 9 } })
await place('order-3', 'bob@example.com', 'tea', 1, 4.5)
await place('order-4', 'ann@example.com', 'matches', 3, 0.1)
const ship = { type: 'ShipOrder', data: { trackingCode: 'T-1' } } as const
await shop.aggregates.order.execute('order-1', ship)
await shop.drain()

await shop.close()
db.exec('PRAGMA journal_mode = DELETE')
db.exec('VACUUM')
db.close()
copyFileSync(file, copy)
