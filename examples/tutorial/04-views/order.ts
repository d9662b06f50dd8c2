import { defineAggregate, reject } from 'cqrs-es'
import { z } from 'zod'

type Order =
  | { status: 'new' }
  | { status: 'placed'; total: number }
  | { status: 'paid' | 'shipped' | 'cancelled' }

const line = z.object({
  sku: z.string().min(1),
  quantity: z.int().positive(),
  price: z.number().positive(),
})

const definition = defineAggregate({
  type: 'order',
  events: {
    OrderPlaced: z.object({ customer: z.string(), lines: z.array(line), total: z.number() }),
    OrderPaid: z.object({ amount: z.number() }),
    OrderShipped: z.object({ trackingCode: z.string() }),
    OrderCancelled: z.object({ reason: z.string() }),
  },
  commands: {
    PlaceOrder: z.object({ customer: z.email(), lines: z.array(line).min(1) }),
    PayOrder: z.object({ amount: z.number().positive() }),
    ShipOrder: z.object({ trackingCode: z.string().trim().min(1) }),
    CancelOrder: z.object({ reason: z.string() }),
  },
  initialState: (): Order => ({ status: 'new' }),
})

export const order = definition.implement({
  handle: {
    PlaceOrder: (state, { customer, lines }) => {
      if (state.status !== 'new') return reject('already-placed')
      const total = lines.reduce((sum, { quantity, price }) => sum + quantity * price, 0)
      return { type: 'OrderPlaced', data: { customer, lines, total } }
    },
    PayOrder: (state, { amount }) => {
      if (state.status !== 'placed') return reject('not-placed')
      if (amount !== state.total) return reject('wrong-amount', { total: state.total })
      return { type: 'OrderPaid', data: { amount } }
    },
    ShipOrder: (state, data) => {
      return state.status === 'paid' ? { type: 'OrderShipped', data } : reject('not-paid')
    },
    CancelOrder: (state, data) => {
      return state.status === 'placed' ? { type: 'OrderCancelled', data } : reject('not-placed')
    },
  },
  apply: {
    OrderPlaced: (_, { total }) => ({ status: 'placed', total }),
    OrderPaid: () => ({ status: 'paid' }),
    OrderShipped: () => ({ status: 'shipped' }),
    OrderCancelled: () => ({ status: 'cancelled' }),
  },
})
