import { createApp, type Store } from 'cqrs-es'
import { invoice } from './invoice.ts'
import type { Mailer } from './mailer.ts'
import { order } from './order.ts'
import { createMails, invoices } from './reactions.ts'
import { orders, totals } from './views.ts'

export const createShop = (store: Store, mailer: Mailer) =>
  createApp({
    store,
    aggregates: { order, invoice },
    views: { orders, totals },
    subscriptions: { mails: createMails(mailer), invoices },
  })
