import { given } from 'cqrs-es/testing'
import { test } from 'vitest'
import { orders } from './app.ts'
import { order } from './order.ts'

const customer = 'ann@example.com'
const lines = [{ sku: 'tea', quantity: 2, cents: 450 }]
const placed = { type: 'OrderPlaced', data: { customer, lines, totalCents: 900 } } as const
const paid = { type: 'OrderPaid', data: { cents: 900 } } as const

test('PlaceOrder stores the lines and their total', async () => {
  await given(order).when({ type: 'PlaceOrder', data: { customer, lines } }).thenEvents([placed])
})

test('PayOrder is rejected when the amount is not the total', async () => {
  await given(order, [placed])
    .when({ type: 'PayOrder', data: { cents: 500 } })
    .thenRejected('wrong-amount', { totalCents: 900 })
})

test('ShipOrder is accepted only after the payment', async () => {
  const ship = { type: 'ShipOrder', data: { trackingCode: 'T-1' } } as const
  await given(order, [placed]).when(ship).thenRejected('not-paid')
  await given(order, [placed, paid]).when(ship).thenState({ status: 'shipped' })
})

test('CancelOrder is rejected after the payment', async () => {
  await given(order, [placed, paid])
    .when({ type: 'CancelOrder', data: { reason: 'too late' } })
    .thenRejected('not-placed')
})

test('the row of an order follows its events', async () => {
  await given(order, [placed, paid]).thenView(orders, { customer, status: 'paid', totalCents: 900 })
})
