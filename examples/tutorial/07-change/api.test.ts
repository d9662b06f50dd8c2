import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { createApi } from './api.ts'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

const api = createApi(createShop(memoryStore(), consoleMailer))

const post = (path: string, token: string, data: object) =>
  api(
    new Request(`http://localhost${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify(data),
    }),
  )

test('a customer places an order, and only a clerk ships it', async () => {
  const lines = [{ sku: 'tea', quantity: 2, cents: 450 }]
  const placed = await post('/order/o-1/PlaceOrder', 'ann', { customer: 'ann@example.com', lines })
  expect(placed.status).toBe(200)
  await post('/order/o-1/PayOrder', 'ann', { cents: 900 })
  const ship = { trackingCode: 'T-1' }
  expect((await post('/order/o-1/ShipOrder', 'ann', ship)).status).toBe(403)
  expect((await post('/order/o-1/ShipOrder', 'carol', ship)).status).toBe(200)
})

test('a request without a known token is refused', async () => {
  const response = await post('/order/o-2/CancelOrder', 'mallory', { reason: 'fun' })
  expect(response.status).toBe(401)
})
