import { createHandler } from 'cqrs-es/http'
import type { Shop } from './app.ts'

/**
 * The API of the shop. It authenticates no caller: `listen.ts` serves this machine only. A transfer
 * is reported by `POST /payment/{reference}/RecordPayment`.
 */
export const shopHandler = (app: Shop, shutdown?: AbortSignal) =>
  createHandler(app, {
    authorize: 'none',
    ...(shutdown && { shutdown }),
    // Only the process sends the other commands.
    expose: {
      aggregates: {
        customer: { commands: ['RegisterCustomer', 'ChangeEmail'] },
        order: { commands: ['PlaceOrder'] },
        stock: { commands: ['AddStock'] },
        payment: { commands: ['RecordPayment'] },
        shipment: { commands: [] },
      },
    },
    openApi: { title: 'Orders' },
  })
