import { defineView } from 'cqrs-es'
import { order } from './order.ts'

export const orders = defineView({
  name: 'orders',
  aggregates: [order],
  initialView: () => ({ customer: '', status: 'new', total: 0 }),
  update: {
    OrderPlaced: (_, { data }) => ({
      customer: data.customer,
      status: 'placed',
      total: data.total,
    }),
    OrderPaid: (view) => ({ ...view, status: 'paid' }),
    OrderShipped: (view) => ({ ...view, status: 'shipped' }),
    OrderCancelled: (view) => ({ ...view, status: 'cancelled' }),
  },
  indexes: ['customer', 'status'],
})

export const totals = defineView({
  name: 'totals',
  aggregates: [order],
  consistency: 'async',
  id: () => 'all',
  initialView: () => ({ payments: 0, revenue: 0 }),
  update: {
    OrderPaid: ({ payments, revenue }, { data }) => ({
      payments: payments + 1,
      revenue: revenue + data.amount,
    }),
  },
})
