import { defineSubscription } from 'cqrs-es'
import { invoice } from './invoice.ts'
import type { Mailer } from './mailer.ts'
import { order } from './order.ts'

export const createMails = (mailer: Mailer) =>
  defineSubscription({
    name: 'mails',
    aggregates: [order],
    eventTypes: ['OrderPlaced'],
    from: 'now',
    onFailure: 'park',
    handle: async ({ id, aggregateId, data }) => {
      await mailer.send({ id, to: data.customer, text: `Thank you for ${aggregateId}.` })
    },
  })

// #region invoices
export const invoices = defineSubscription({
  name: 'invoices',
  aggregates: [order],
  eventTypes: ['PaymentReceived'],
  handle: async ({ aggregateId, data }, { app, reaction }) => {
    await app
      .aggregate(invoice)
      .execute(
        `invoice-${aggregateId}`,
        { type: 'OpenInvoice', data: { order: aggregateId, amount: data.cents / 100 } },
        reaction(),
      )
  },
})
// #endregion invoices
