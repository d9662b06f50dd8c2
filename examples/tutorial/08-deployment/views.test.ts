import { given, givenLog } from 'cqrs-es/testing'
import { test } from 'vitest'
import { order } from './order.ts'
import { orders, totals } from './views.ts'

const lines = [{ sku: 'tea', quantity: 2, cents: 450 }]
const placed = {
  type: 'OrderPlaced',
  data: { customer: 'ann@example.com', lines, totalCents: 900 },
} as const
const paid = { type: 'PaymentReceived', data: { cents: 900 } } as const

test('the row of an order follows its events', async () => {
  await given(order, [placed, paid]).thenView(orders, {
    customer: 'ann@example.com',
    status: 'paid',
    totalCents: 900,
  })
})

test('totals add up the payments of all orders', async () => {
  await givenLog()
    .of(order, 'o-1', [placed, paid])
    .of(order, 'o-2', [placed, paid])
    .of(order, 'o-3', [placed])
    .thenView(totals, 'all', { payments: 2, revenueCents: 1800 })
})
