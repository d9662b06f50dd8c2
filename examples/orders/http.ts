import { isCqrsError } from 'cqrs-es'
import { createHandler } from 'cqrs-es/http'
import { cloudEventFrom } from 'cqrs-es/messaging'
import type { Shop } from './app.ts'

/** What callers may send. Only the process sends the other commands. */
export const exposed = {
  aggregates: {
    customer: { commands: ['RegisterCustomer', 'ChangeEmail'] },
    order: { commands: ['PlaceOrder'] },
    stock: { commands: ['AddStock'] },
    payment: { commands: [] },
    shipment: { commands: [] },
  },
} as const

/** The API of the shop. It authenticates no caller: `listen.ts` serves this machine only. */
export const shopHandler = (app: Shop, shutdown: AbortSignal) =>
  createHandler(app, { authorize: 'none', expose: exposed, shutdown, openApi: { title: 'Orders' } })

/**
 * `POST /inbox/payments`: a report of the payment service, as a CloudEvent. In production verify
 * its signature first.
 */
export async function receivePayment(app: Shop, request: Request): Promise<Response> {
  try {
    return Response.json(await app.inboxes.payments.receive(await cloudEventFrom.request(request)))
  } catch (error) {
    // No redelivery can succeed. After any other error the service delivers it again.
    if (isCqrsError(error, 'VALIDATION')) return new Response(error.message, { status: 400 })
    throw error
  }
}
