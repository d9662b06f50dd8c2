import { given } from 'cqrs-es/testing'
import { test } from 'vitest'
import { order } from './order.ts'

const lines = [{ sku: 'tea', quantity: 2, price: 4.5 }]
const placed = {
  type: 'OrderPlaced',
  data: { customer: 'ann@example.com', lines, total: 9 },
} as const

test('PlaceOrder stores the lines and their total', async () => {
  await given(order)
    .when({ type: 'PlaceOrder', data: { customer: 'ann@example.com', lines } })
    .thenEvents([placed])
})

test('PlaceOrder is rejected when the order exists', async () => {
  await given(order, [placed])
    .when({ type: 'PlaceOrder', data: { customer: 'bob@example.com', lines } })
    .thenRejected('already-placed')
})

test('PayOrder is rejected when the amount is not the total', async () => {
  await given(order, [placed])
    .when({ type: 'PayOrder', data: { amount: 5 } })
    .thenRejected('wrong-amount', { total: 9 })
})

test('ShipOrder is accepted only after the payment', async () => {
  const ship = { type: 'ShipOrder', data: { trackingCode: 'T-1' } } as const
  await given(order, [placed]).when(ship).thenRejected('not-paid')
  await given(order, [placed, { type: 'OrderPaid', data: { amount: 9 } }])
    .when(ship)
    .thenState({ status: 'shipped' })
})

test('CancelOrder is rejected after the payment', async () => {
  await given(order, [placed, { type: 'OrderPaid', data: { amount: 9 } }])
    .when({ type: 'CancelOrder', data: { reason: 'too late' } })
    .thenRejected('not-placed')
})
