import { given } from 'cqrs-es/testing'
import { test } from 'vitest'
import { order } from './order.ts'

const lines = [{ sku: 'tea', quantity: 2, cents: 450 }]
const placed = {
  type: 'OrderPlaced',
  data: { customer: 'ann@example.com', lines, totalCents: 900 },
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
    .when({ type: 'PayOrder', data: { cents: 500 } })
    .thenRejected('wrong-amount', { totalCents: 900 })
})

test('ShipOrder is accepted only after the payment', async () => {
  const ship = { type: 'ShipOrder', data: { trackingCode: 'T-1' } } as const
  await given(order, [placed]).when(ship).thenRejected('not-paid')
  await given(order, [placed, { type: 'PaymentReceived', data: { cents: 900 } }])
    .when(ship)
    .thenState({ status: 'shipped' })
})

test('CancelOrder is rejected after the payment', async () => {
  await given(order, [placed, { type: 'PaymentReceived', data: { cents: 900 } }])
    .when({ type: 'CancelOrder', data: { reason: 'too late' } })
    .thenRejected('not-placed')
})
