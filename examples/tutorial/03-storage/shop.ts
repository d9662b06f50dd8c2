import { createApp, type Store } from 'cqrs-es'
import { order } from './order.ts'

export const createShop = (store: Store) => createApp({ store, aggregates: { order } })
