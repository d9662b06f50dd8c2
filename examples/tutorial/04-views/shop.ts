import { createApp, type Store } from 'cqrs-es'
import { order } from './order.ts'
import { orders, totals } from './views.ts'

export const createShop = (store: Store) =>
  createApp({ store, aggregates: { order }, views: { orders, totals } })
