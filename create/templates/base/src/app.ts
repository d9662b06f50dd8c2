import { createApp, defineView, type Store } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { order } from './order.ts'

/** One row per order, stored together with its events. */
export const orders = defineView({
  name: 'orders',
  aggregates: [order],
  initialView: () => ({ customer: '', status: 'new', totalCents: 0 }),
  update: {
    OrderPlaced: (_, { data }) => ({
      customer: data.customer,
      status: 'placed',
      totalCents: data.totalCents,
    }),
    OrderPaid: (row) => ({ ...row, status: 'paid' }),
    OrderShipped: (row) => ({ ...row, status: 'shipped' }),
    OrderCancelled: (row) => ({ ...row, status: 'cancelled' }),
  },
  indexes: ['customer', 'status'],
})

export const createShop = (store: Store) =>
  createApp({ store, aggregates: { order }, views: { orders } })

export type Shop = ReturnType<typeof createShop>

/** The HTTP API. Replace the single token by those of your identity provider. */
export function createApi(shop: Shop, options: { shutdown?: AbortSignal } = {}) {
  const token = process.env.API_TOKEN
  if (!token) throw new Error('API_TOKEN is not set. Set it as .env.example shows.')
  return createHandler(shop, {
    authorize: (request) => {
      const isKnown = request.headers.get('Authorization') === `Bearer ${token}`
      return isKnown ? { ok: true, caller: 'owner' } : { ok: false, status: 401 }
    },
    metadata: (_, caller) => ({ userId: caller }),
    openApi: { title: 'Shop', securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    ...options,
  })
}
