import { memoryStore } from 'cqrs-es/memory'
import { expect, test } from 'vitest'
import { consoleMailer } from './mailer.ts'
import { createShop } from './shop.ts'

const lines = [{ sku: 'tea', quantity: 2, cents: 450 }]

test('one of two concurrent payments is stored', async () => {
  const { order: orders } = createShop(memoryStore(), consoleMailer).aggregates
  await orders.execute('o-1', {
    type: 'PlaceOrder',
    data: { customer: 'ann@example.com', lines },
  })
  const pay = { type: 'PayOrder', data: { cents: 900 } } as const
  const results = await Promise.all([orders.execute('o-1', pay), orders.execute('o-1', pay)])
  expect(results.map(({ ok }) => ok)).toEqual([true, false])
})
