// #region callers
import { createHandler } from 'cqrs-es/http'
import type { Shop } from './shop.ts'

interface Caller {
  readonly email: string
  readonly isClerk: boolean
}

/** Stands in for the tokens of your identity provider. */
const callers = new Map<string | null, Caller>([
  ['Bearer ann', { email: 'ann@example.com', isClerk: false }],
  ['Bearer carol', { email: 'carol@example.com', isClerk: true }],
])
const customerCommands = ['PlaceOrder', 'PayOrder', 'CancelOrder']
// #endregion callers

// #region api
export const createApi = (shop: Shop) =>
  createHandler(shop, {
    authorize: (request, action) => {
      const caller = callers.get(request.headers.get('Authorization'))
      if (caller === undefined) return { ok: false, status: 401 }
      const isAllowed =
        caller.isClerk ||
        (action.kind === 'command' && customerCommands.includes(action.command)) ||
        (action.kind === 'find' && action.where.customer === caller.email)
      return isAllowed ? { ok: true, caller } : { ok: false, status: 403 }
    },
    metadata: (_, { email }) => ({ userId: email }),
    expose: {
      aggregates: { order: { commands: ['PlaceOrder', 'PayOrder', 'ShipOrder', 'CancelOrder'] } },
      views: ['orders', 'totals'],
    },
    waitFor: ['totals'],
    openApi: {
      title: 'Shop',
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  })
// #endregion api
