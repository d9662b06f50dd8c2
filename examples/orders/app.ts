import { createApp, type Runtime, type Store } from 'cqrs-es'
import type { Target } from 'cqrs-es/messaging'
import { catalog } from './catalog.ts'
import { customer } from './customer.ts'
import { fulfilment } from './fulfilment.ts'
import { orderMessages, paymentMessages, printed } from './messages.ts'
import { order } from './order.ts'
import { payment } from './payment.ts'
import { flakyPayments, type Payments } from './payments.ts'
import { shipment } from './shipment.ts'
import { stock } from './stock.ts'
import { items, orders } from './views.ts'

export type Shop = ReturnType<typeof shopApp>

export interface ShopOptions {
  readonly payments?: Payments
  /** Receives the messages about orders. */
  readonly partner?: Target
  /** Tests pass a clock of their own. */
  readonly runtime?: Runtime
  readonly following?: { readonly leaseMs?: number; readonly pollMs?: number }
}

export const shopApp = (store: Store, { payments = flakyPayments(), partner = printed, ...options }: ShopOptions = {}) =>
  createApp({
    store,
    aggregates: { customer, order, stock, payment, shipment },
    views: { orders, items },
    publications: { orders: orderMessages.to(partner) },
    inboxes: { payments: paymentMessages },
    processes: { fulfilment: fulfilment.with(callsOf(payments)) },
    ...options,
  })

/** The functions of the process's calls. `key` is the same each time a call is repeated. */
const callsOf = (payments: Payments): Parameters<typeof fulfilment.with>[0] => ({
  charge: async (request, { key }) => ({ reference: await payments.charge(request, key) }),
  refund: async ({ reference }, { key }) => ({ refund: await payments.refund(reference, key) }),
})

/** Fills the shelves of a new shop. The key makes a repeat harmless, also from another process. */
export async function openShelves({ aggregates }: Shop): Promise<void> {
  for (const [sku, { stock }] of Object.entries(catalog))
    await aggregates.stock.execute(sku, { type: 'AddStock', data: { quantity: stock } }, { idempotencyKey: 'first day' })
}
