import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { afterAll, expect, test } from 'vitest'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

const folder = mkdtempSync(join(tmpdir(), 'shop-'))
const file = join(folder, 'orders.db')
copyFileSync(new URL('old.sqlite', import.meta.url), file)
const db = new Database(file)
const shop = createShop(sqliteStore(db), consoleMailer)
const orders = shop.aggregates.order

afterAll(async () => {
  await shop.close()
  db.close()
  rmSync(folder, { recursive: true })
})

test('old events are read in their new form', async () => {
  const events = []
  for await (const { type, data } of orders.events('order-1')) events.push({ type, data })
  expect(events).toEqual([
    {
      type: 'OrderPlaced',
      data: {
        customer: 'ann@example.com',
        lines: [{ sku: 'tea', quantity: 2, cents: 450 }],
        totalCents: 900,
      },
    },
    { type: 'PaymentReceived', data: { cents: 900 } },
    { type: 'OrderShipped', data: { trackingCode: 'T-1', carrier: 'post' } },
  ])
})

test('the order of 3 matches can be paid', async () => {
  const paid = await orders.execute('order-4', { type: 'PayOrder', data: { cents: 30 } })
  expect(paid.ok).toBe(true)
})

test('views are rebuilt from all events', async () => {
  await shop.drain()
  const { items } = await shop.views.orders.find({ customer: 'ann@example.com' })
  expect(items.map(({ id, view }) => [id, view.status, view.totalCents])).toEqual([
    ['order-1', 'shipped', 900],
    ['order-2', 'placed', 1200],
    ['order-4', 'paid', 30],
  ])
  expect((await shop.views.totals.load('all'))?.view).toEqual({ payments: 2, revenueCents: 930 })
})
