import { defineView, type EnvelopeOf } from 'cqrs-es'
import { type Line, order } from './order.ts'
import { payment } from './payment.ts'
import { shipment } from './shipment.ts'
import { stock } from './stock.ts'

/**
 * An order as the page shows it. Async, because it has events of four aggregates. Without a global
 * order they come in any order, so none undoes a later status.
 */
export interface OrderView {
  /** `expected`: money is here, and its order is not. */
  readonly status: 'expected' | 'placed' | 'shipped' | 'confirmed' | 'canceled'
  readonly customer: string
  readonly lines: readonly Line[]
  /** Cents. */
  readonly total: number
  /** ISO time. */
  readonly placedAt: string
  /** Items that are reserved. */
  readonly reserved: readonly string[]
  readonly money: readonly { readonly reference: string; readonly amount: number; readonly isRefunded: boolean }[]
  /** Why it was canceled. */
  readonly because: string
}

type Event = EnvelopeOf<typeof order | typeof stock | typeof payment | typeof shipment>

/** The data of most events names the order. */
const orderOf = ({ aggregateId, data }: Event): string => (typeof data === 'object' && 'order' in data ? data.order : aggregateId)

export const orders = defineView({
  name: 'orders',
  aggregates: [order, stock, payment, shipment],
  consistency: 'async',
  initialView: (): OrderView => ({
    status: 'expected',
    customer: '',
    lines: [],
    total: 0,
    placedAt: '',
    reserved: [],
    money: [],
    because: '',
  }),
  id: orderOf,
  update: {
    OrderPlaced: (view, { data, recordedAt }) => ({
      ...view,
      ...data,
      status: view.status === 'expected' ? ('placed' as const) : view.status,
      placedAt: recordedAt,
    }),
    OrderConfirmed: (view) => ({ ...view, status: 'confirmed' as const }),
    OrderCanceled: (view, { data }) => ({ ...view, status: 'canceled' as const, because: data.because }),
    StockReserved: (view, { aggregateId }) => ({ ...view, reserved: [...view.reserved, aggregateId] }),
    StockReleased: (view, { aggregateId }) => ({ ...view, reserved: view.reserved.filter((sku) => sku !== aggregateId) }),
    PaymentReceived: (view, { aggregateId, data }) => ({
      ...view,
      money: [...view.money, { reference: aggregateId, amount: data.amount, isRefunded: false }],
    }),
    PaymentRefunded: (view, { aggregateId }) => ({
      ...view,
      money: view.money.map((one) => (one.reference === aggregateId ? { ...one, isRefunded: true } : one)),
    }),
    ShipmentBooked: (view) => (view.status === 'confirmed' ? view : { ...view, status: 'shipped' as const }),
  },
  indexes: ['placedAt', 'status'],
})

/** What is left of each item. Inline: a customer who reads it sees the latest commit. */
export const items = defineView({
  name: 'items',
  aggregates: [stock],
  initialView: () => ({ left: 0 }),
  update: {
    StockAdded: ({ left }, { data }) => ({ left: left + data.quantity }),
    StockReserved: ({ left }, { data }) => ({ left: left - data.quantity }),
    StockReleased: ({ left }, { data }) => ({ left: left + data.quantity }),
  },
})
