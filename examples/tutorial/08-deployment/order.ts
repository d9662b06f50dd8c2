import { defineAggregate, reject, type Upcaster, versions } from 'cqrs-es'
import { z } from 'zod'

type Order =
  | { status: 'new' }
  | { status: 'placed'; totalCents: number }
  | { status: 'paid' | 'shipped' | 'cancelled' }

const toCents = (euros: number) => Math.round(euros * 100)

interface OrderPlaced1 {
  customer: string
  lines: { sku: string; quantity: number; price: number }[]
  total: number
}

const inCents = ({ customer, lines, total }: OrderPlaced1) => ({
  customer,
  lines: lines.map(({ price, ...line }) => ({ ...line, cents: toCents(price) })),
  totalCents: toCents(total),
})

const paymentReceived: Upcaster = {
  canUpcast: (type) => type === 'OrderPaid',
  upcast: (event) => {
    const { amount } = event.data as { amount: number }
    return { ...event, type: 'PaymentReceived', data: { cents: toCents(amount) } }
  },
}

const line = z.object({
  sku: z.string().min(1),
  quantity: z.int().positive(),
  cents: z.int().positive(),
})
const placed = z.object({ customer: z.string(), lines: z.array(line), totalCents: z.int() })

const definition = defineAggregate({
  type: 'order',
  events: {
    OrderPlaced: versions('2.0', placed, { '1.0': inCents }),
    PaymentReceived: z.object({ cents: z.int() }),
    OrderShipped: z.object({ trackingCode: z.string(), carrier: z.string().default('post') }),
    OrderCancelled: z.object({ reason: z.string() }),
  },
  commands: {
    PlaceOrder: z.object({ customer: z.email(), lines: z.array(line).min(1) }),
    PayOrder: z.object({ cents: z.int().positive() }),
    ShipOrder: z.object({
      trackingCode: z.string().trim().min(1),
      carrier: z.string().default('post'),
    }),
    CancelOrder: z.object({ reason: z.string() }),
  },
  initialState: (): Order => ({ status: 'new' }),
  stateVersion: 2,
  upcasters: [paymentReceived],
})

export const order = definition.implement({
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
      return { type: 'PaymentReceived', data: { cents } }
    },
    ShipOrder: (state, data) => {
      return state.status === 'paid' ? { type: 'OrderShipped', data } : reject('not-paid')
    },
    CancelOrder: (state, data) => {
      return state.status === 'placed' ? { type: 'OrderCancelled', data } : reject('not-placed')
    },
  },
  apply: {
    OrderPlaced: (_, { totalCents }) => ({ status: 'placed', totalCents }),
    PaymentReceived: () => ({ status: 'paid' }),
    OrderShipped: () => ({ status: 'shipped' }),
    OrderCancelled: () => ({ status: 'cancelled' }),
  },
})
