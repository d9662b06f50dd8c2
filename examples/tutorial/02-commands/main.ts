// #region open
import { isCqrsError } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { createShop } from './shop.ts'

const shop = createShop(memoryStore())
const orders = shop.aggregates.order
// #endregion open

// #region execute
const place = {
  type: 'PlaceOrder',
  data: { customer: 'ann@example.com', lines: [{ sku: 'tea', quantity: 2, price: 4.5 }] },
} as const
const placed = await orders.execute('order-1', place)
if (placed.ok) console.log('placed:', placed.sequence, placed.state)
// #endregion execute

// #region reject
const paid = await orders.execute('order-1', { type: 'PayOrder', data: { amount: 5 } })
if (!paid.ok) console.log('rejected:', paid.reason)
if (!paid.ok && paid.reason === 'wrong-amount') console.log('to pay:', paid.details.total)
// #endregion reject

// #region fail
try {
  await orders.execute('order-1', { type: 'PayOrder', data: { amount: -9 } })
} catch (error) {
  if (!isCqrsError(error, 'VALIDATION')) throw error
  console.log('refused:', error.issues[0]?.message)
}
// #endregion fail

// #region retry
const pay = { type: 'PayOrder', data: { amount: 9 } } as const
const first = await orders.execute('order-1', pay, { idempotencyKey: 'payment-1' })
const again = await orders.execute('order-1', pay, { idempotencyKey: 'payment-1' })
if (first.ok && again.ok) console.log('replayed:', first.replayed, again.replayed, again.sequence)
// #endregion retry

// #region read
console.log('now:', await orders.load('order-1'))
console.log('then:', await orders.load('order-1', { asOf: 1 }))
for await (const event of orders.events('order-1')) console.log(event.sequence, event.type)
await shop.close()
// #endregion read
