import { defineAggregate, reject } from 'cqrs-es'
import { z } from 'zod'

type Order =
  | { status: 'new' }
  | { status: 'placed'; totalCents: number }
  | { status: 'paid' | 'shipped' | 'cancelled' }

const line = z.object({
  sku: z.string().min(1),
  quantity: z.int().positive(),
  cents: z.int().positive(),
})

const definition = defineAggregate({
  type: 'order',
  events: {
    OrderPlaced: z.object({ customer: z.string(), lines: z.array(line), totalCents: z.int() }),
    OrderPaid: z.object({ cents: z.int() }),
    OrderShipped: z.object({ trackingCode: z.string() }),
    OrderCancelled: z.object({ reason: z.string() }),
  },
  commands: {
    PlaceOrder: z.object({ customer: z.email(), lines: z.array(line).min(1) }),
    PayOrder: z.object({ cents: z.int().positive() }),
    ShipOrder: z.object({ trackingCode: z.string().trim().min(1) }),
    CancelOrder: z.object({ reason: z.string() }),
  },
  initialState: (): Order => ({ status: 'new' }),
})

export const order = definition.implement({
  // Decides: returns events, or rejects the command.
  handle: {
    PlaceOrder: (state, { customer, lines }) => {
      if (state.status !== 'new') return reject('already-placed')
      const totalCents = lines.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0)
      return { type: 'OrderPlaced', data: { customer, lines, totalCents } }
    },
    PayOrder: (state, { cents }) => {
      if (state.status !== 'placed') return reject('not-placed')
      const { totalCents } = state
      if (cents !== totalCents) return reject('wrong-amount', { totalCents })
      return { type: 'OrderPaid', data: { cents } }
    },
    ShipOrder: (state, data) => {
      return state.status === 'paid' ? { type: 'OrderShipped', data } : reject('not-paid')
    },
    CancelOrder: (state, data) => {
      return state.status === 'placed' ? { type: 'OrderCancelled', data } : reject('not-placed')
    },
  },
  // Evolves: returns the next state.
  apply: {
    OrderPlaced: (_, { totalCents }) => ({ status: 'placed', totalCents }),
    OrderPaid: () => ({ status: 'paid' }),
    OrderShipped: () => ({ status: 'shipped' }),
    OrderCancelled: () => ({ status: 'cancelled' }),
  },
})
