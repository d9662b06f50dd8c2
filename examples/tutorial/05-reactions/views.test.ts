import { memoryStore } from 'cqrs-es/memory'
import { given, givenLog } from 'cqrs-es/testing'
import { expect, test } from 'vitest'
import { consoleMailer } from './mailer.ts'
import { order } from './order.ts'
import { createShop } from './shop.ts'
import { orders, totals } from './views.ts'

const lines = [{ sku: 'tea', quantity: 2, price: 4.5 }]
const placed = {
  type: 'OrderPlaced',
  data: { customer: 'ann@example.com', lines, total: 9 },
} as const
const paid = { type: 'OrderPaid', data: { amount: 9 } } as const

// #region test
test('the row of an order follows its events', async () => {
  await given(order, [placed, paid]).thenView(orders, {
    customer: 'ann@example.com',
    status: 'paid',
    total: 9,
  })
})

test('totals add up the payments of all orders', async () => {
  await givenLog()
    .of(order, 'o-1', [placed, paid])
    .of(order, 'o-2', [placed, paid])
    .of(order, 'o-3', [placed])
    .thenView(totals, 'all', { payments: 2, revenue: 18 })
})
// #endregion test

test('orders are found by customer and status', async () => {
  const shop = createShop(memoryStore(), consoleMailer)
  for (const id of ['o-1', 'o-2'])
    await shop.aggregates.order.execute(id, {
      type: 'PlaceOrder',
      data: { customer: 'ann@example.com', lines },
    })
  await shop.aggregates.order.execute('o-2', { type: 'PayOrder', data: { amount: 9 } })
  const { items } = await shop.views.orders.find({
    customer: 'ann@example.com',
    status: 'placed',
  })
  expect(items.map(({ id }) => id)).toEqual(['o-1'])
})
