import { defineInbox, definePublication, type Target } from 'cqrs-es/messaging'
import * as z from 'zod'
import { order } from './order.ts'
import { payment } from './payment.ts'

/** The public contract: what partners receive about orders. All other events stay private. */
export const orderMessages = definePublication({
  name: 'orders',
  aggregates: [order],
  source: '/shop/orders',
  from: 'beginning',
  events: {
    OrderPlaced: {
      type: 'com.example.order.placed.v1',
      data: z.object({ order: z.string(), total: z.int() }),
      map: ({ aggregateId, data }) => ({ order: aggregateId, total: data.total }),
    },
    OrderConfirmed: {
      type: 'com.example.order.confirmed.v1',
      data: z.object({ order: z.string() }),
      map: ({ aggregateId }) => ({ order: aggregateId }),
    },
    OrderCanceled: {
      type: 'com.example.order.canceled.v1',
      data: z.object({ order: z.string(), because: z.string() }),
      map: ({ aggregateId, data }) => ({ order: aggregateId, because: data.because }),
    },
  },
})

/** Transfers that the payment service reports. A report that is delivered again changes nothing. */
export const paymentMessages = defineInbox({
  name: 'payments',
  messages: {
    'com.psp.transfer.received.v1': z.object({ reference: z.string(), order: z.string(), amount: z.int() }),
  },
  sends: [payment],
}).implement({
  'com.psp.transfer.received.v1': ({ data: { reference, ...data } }) => ({
    to: 'payment',
    id: reference,
    type: 'RecordPayment',
    data,
  }),
})

/** Prints each message. In production: `webhook(url, { secret })`, `kafka(producer, { topic })`, … */
export const printed: Target = {
  name: 'console',
  keeps: 'order',
  most: { messages: 100, bytes: 1_000_000 },
  send: async (messages) => {
    for (const { type, data } of messages) console.log(`Published: ${type} ${JSON.stringify(data)}`)
  },
}
