import { defineView } from 'cqrs-es'
import { order } from './order.ts'

export const orders = defineView({
  name: 'orders',
  aggregates: [order],
  viewVersion: 2,
  initialView: () => ({ customer: '', status: 'new', totalCents: 0 }),
  update: {
    OrderPlaced: (_, { data }) => ({
      customer: data.customer,
      status: 'placed',
      totalCents: data.totalCents,
    }),
    PaymentReceived: (view) => ({ ...view, status: 'paid' }),
    OrderShipped: (view) => ({ ...view, status: 'shipped' }),
    OrderCancelled: (view) => ({ ...view, status: 'cancelled' }),
  },
  indexes: ['customer', 'status'],
})

export const totals = defineView({
  name: 'totals',
  aggregates: [order],
  viewVersion: 2,
  consistency: 'async',
  id: () => 'all',
  initialView: () => ({ payments: 0, revenueCents: 0 }),
  update: {
    PaymentReceived: ({ payments, revenueCents }, { data }) => ({
      payments: payments + 1,
      revenueCents: revenueCents + data.cents,
    }),
  },
})
