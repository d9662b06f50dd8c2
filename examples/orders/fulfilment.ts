import { defineProcess, type StepContext, type StepOf, type Waiting } from 'cqrs-es'
import * as z from 'zod'
import { type Line, order } from './order.ts'
import { payment } from './payment.ts'
import { shipment } from './shipment.ts'
import { stock } from './stock.ts'

/** An order on its way to the customer. */
interface Fulfilment {
  /** `new`: money is here, and its order is not. */
  readonly status: 'new' | 'reserving' | 'paying' | 'shipping' | 'shipped' | 'canceled'
  readonly lines: readonly Line[]
  readonly total: number
  /** Items that are reserved. */
  readonly reserved: readonly string[]
  /** The money that pays for the order. All other money is sent back. */
  readonly paid: { readonly reference: string; readonly amount: number } | null
}

const declared = defineProcess({
  name: 'fulfilment',
  aggregates: [order, payment],
  sends: [order, stock, payment, shipment],
  calls: {
    // `null`: declined. An exception is retried under the same key.
    charge: {
      input: z.object({ order: z.string(), amount: z.int() }),
      output: z.object({ reference: z.string().nullable() }),
    },
    refund: { input: z.object({ reference: z.string() }), output: z.object({ refund: z.string() }) },
  },
  timers: ['unpaid', 'closed'],
  initialState: (): Fulfilment => ({ status: 'new', lines: [], total: 0, reserved: [], paid: null }),
  from: 'beginning',
})
type Step = StepOf<typeof declared>
type Send = NonNullable<Step['send']>[number]

/** Reserves each line, takes the money within 15 minutes, ships, and undoes all of it if it cannot. */
export const fulfilment = declared.implement({
  // Trap: money may come before its order. An event that may be the first belongs to `starts`.
  starts: ['OrderPlaced', 'PaymentReceived'],
  correlate: { PaymentReceived: (event) => event.data.order },
  on: {
    OrderPlaced: (state, { data: { lines, total } }, { id }) => {
      const wrong = state.paid !== null && state.paid.amount !== total ? [refund(state.paid.reference)] : []
      const paid = wrong.length > 0 ? null : state.paid
      return {
        state: { ...state, status: 'reserving', lines, total, paid },
        send: [...wrong, ...lines.map(({ sku, quantity }) => reserve(sku, id, quantity))],
        timers: { unpaid: paid === null ? { in: '15m' } : null, closed: null },
      }
    },
    // Trap: money may come late, twice, or while a charge is in flight. `paid` is never overwritten.
    PaymentReceived: (state, { aggregateId: reference, data: { amount } }, context) => {
      const { status, total } = state
      const isWanted = state.paid === null && (status === 'new' || (status !== 'canceled' && amount === total))
      if (!isWanted) return { send: [refund(reference)] }
      const paid = { ...state, paid: { reference, amount } }
      if (status === 'paying') return ship(paid, context)
      return { state: paid, timers: status === 'new' ? { closed: { in: '30d' } } : { unpaid: null } }
    },
  },
  replies: {
    ReserveStock: (state, reply, context) => {
      if (!reply.ok) return cancel(state, context, `${reply.reason}: ${reply.details.left} of ${reply.sent.id}`)
      const next = { ...state, reserved: [...state.reserved, reply.sent.id] }
      if (next.reserved.length < next.lines.length) return { state: next }
      if (next.paid !== null) return ship(next, context)
      return { state: { ...next, status: 'paying' }, send: [{ call: 'charge', data: { order: context.id, amount: next.total } }] }
    },
    // A declined charge leaves the rest of the 15 minutes for a transfer.
    charge: (_, { sent, result: { reference } }) =>
      reference === null ? undefined : { send: [{ to: 'payment', id: reference, type: 'RecordPayment', data: sent.data }] },
    refund: (_, { sent, result }) => ({
      send: [{ to: 'payment', id: sent.data.reference, type: 'RecordRefund', data: result }],
    }),
    BookShipment: (state, reply, context) => {
      if (!reply.ok) return cancel(state, context, reply.reason)
      const confirm = { to: 'order', id: context.id, type: 'ConfirmOrder' } as const
      return { state: { ...state, status: 'shipped' }, send: [confirm], timers: { closed: { in: '30d' } } }
    },
  },
  timers: {
    unpaid: (state, _, context) => cancel(state, context, 'not paid within 15 minutes'),
    closed: (state, _, { waiting }) => {
      if (state.status === 'new' && state.paid !== null)
        return {
          state: { ...state, status: 'canceled' },
          send: [refund(state.paid.reference)],
          timers: { closed: { in: '30d' } },
        }
      // Trap: `done` is final. A refund in flight would have no handler for its reply.
      return waiting.length > 0 ? { timers: { closed: { in: '1d' } } } : { done: state.status }
    },
  },
})

const refund = (reference: string) => ({ call: 'refund', data: { reference } }) as const
const reserve = (sku: string, order: string, quantity: number) =>
  ({ to: 'stock', id: sku, type: 'ReserveStock', data: { order, quantity } }) as const
const release = (sku: string, order: string) => ({ to: 'stock', id: sku, type: 'ReleaseStock', data: { order } }) as const

/**
 * Trap: `instead` drops all that waits, so pass on what may have moved money. A charge in flight
 * stays by itself; one that failed for good would be dropped, though it may have taken the money.
 */
const money = (waiting: readonly Waiting<Send>[]): readonly Send[] =>
  waiting.filter((one) => ('call' in one ? one.call === 'refund' || one.begun : one.to === 'payment'))

/** Books the shipment. A charge that has not begun is dropped: the order is paid. */
function ship(state: Fulfilment, { id, waiting }: StepContext<Send>): Step {
  const items = state.lines.reduce((sum, { quantity }) => sum + quantity, 0)
  return {
    state: { ...state, status: 'shipping' },
    instead: [{ to: 'shipment', id, type: 'BookShipment', data: { order: id, items } }, ...money(waiting)],
    timers: { unpaid: null },
  }
}

/**
 * Undoes what was done. The instance stays open for 30 days, and sends late money back: after
 * `done` that money would be lost.
 */
function cancel(state: Fulfilment, { id, waiting }: StepContext<Send>, because: string): Step {
  return {
    state: { ...state, status: 'canceled', reserved: [] },
    instead: [
      ...state.reserved.map((sku) => release(sku, id)),
      { to: 'order', id, type: 'CancelOrder', data: { because } },
      ...(state.paid === null ? [] : [refund(state.paid.reference)]),
      ...money(waiting),
    ],
    timers: { unpaid: null, closed: { in: '30d' } },
  }
}
