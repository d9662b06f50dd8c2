import { memoryStore } from 'cqrs-es/memory'
import { givenLog } from 'cqrs-es/testing'
import { expect, test } from 'vitest'
import { invoice } from './invoice.ts'
import { order } from './order.ts'
import { invoices } from './reactions.ts'
import { createShop } from './shop.ts'

const lines = [{ sku: 'tea', quantity: 2, cents: 450 }]

test('a payment opens an invoice', async () => {
  await givenLog()
    .of(order, 'o-1', [{ type: 'PaymentReceived', data: { cents: 900 } }])
    .deliveredTo(invoices)
    .thenCommands([
      {
        aggregate: invoice,
        id: 'invoice-o-1',
        command: { type: 'OpenInvoice', data: { order: 'o-1', amount: 9 } },
      },
    ])
})

test('a mail that fails is parked, and sent after resume()', async () => {
  const sent: string[] = []
  let isDown = true
  const send = async ({ to }: { to: string }) => {
    if (isDown && to === 'ann@example.com') throw new Error('mailbox is full')
    sent.push(to)
  }
  const shop = createShop(memoryStore(), { send })
  await shop.drain() // the first run: mails begin here

  for (const name of ['ann', 'bob'])
    await shop.aggregates.order.execute(`order-of-${name}`, {
      type: 'PlaceOrder',
      data: { customer: `${name}@example.com`, lines },
    })
  await shop.drain()
  expect(sent).toEqual(['bob@example.com'])
  const { items } = await shop.subscriptions.mails.parked()
  expect(items).toMatchObject([
    { eventId: 'order/order-of-ann/1', message: 'mailbox is full', attempts: 1 },
  ])

  isDown = false
  await shop.subscriptions.mails.resume()
  await shop.drain()
  expect(sent).toEqual(['bob@example.com', 'ann@example.com'])
})

test('a mail that can never be sent is skipped, with a reason', async () => {
  const send = () => Promise.reject(new Error('no such address'))
  const shop = createShop(memoryStore(), { send })
  await shop.drain()
  await shop.aggregates.order.execute('order-1', {
    type: 'PlaceOrder',
    data: { customer: 'ann@example.com', lines },
  })
  await shop.drain()

  const reason = 'the customer wrote that the address is wrong'
  await shop.subscriptions.mails.skip('order/order-1/1', { reason, by: 'bob' })
  await shop.drain()
  expect((await shop.subscriptions.mails.parked()).items).toEqual([])
  expect((await shop.subscriptions.mails.skipped()).items).toMatchObject([{ reason, by: 'bob' }])
})
