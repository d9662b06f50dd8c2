import { createApp, defineAggregate, defineProcess, noData, reject, type StepOf, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { givenProcess, testClock } from 'cqrs-es/testing'
import { z } from 'zod'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Equal<A, B>) => {}

const line = z.object({ sku: z.string(), quantity: z.int().positive() })
const order = defineAggregate({
  type: 'order',
  events: { OrderPlaced: z.object({ lines: z.array(line), total: z.number() }), OrderConfirmed: noData },
  commands: {
    PlaceOrder: z.object({ lines: z.array(line), total: z.number() }),
    ConfirmOrder: noData,
    CancelOrder: typed<{ because: string }>(),
  },
  initialState: () => ({ status: 'new' }),
}).implement({
  handle: {
    PlaceOrder: (_, data) => ({ type: 'OrderPlaced', data }),
    ConfirmOrder: () => ({ type: 'OrderConfirmed' }),
    CancelOrder: () => {},
  },
  apply: { OrderPlaced: () => ({ status: 'placed' }), OrderConfirmed: () => ({ status: 'confirmed' }) },
})
const stock = defineAggregate({
  type: 'stock',
  events: { StockReserved: typed<{ order: string; quantity: number }>() },
  commands: { ReserveStock: typed<{ order: string; quantity: number }>() },
  initialState: () => ({ left: 100 }),
}).implement({
  handle: {
    ReserveStock: ({ left }, data) => (left < data.quantity ? reject('out-of-stock', { left }) : { type: 'StockReserved', data }),
  },
  apply: { StockReserved: ({ left }, { quantity }) => ({ left: left - quantity }) },
})
const payment = defineAggregate({
  type: 'payment',
  events: { PaymentReceived: typed<{ order: string; reference: string }>() },
  commands: { RecordPayment: typed<{ order: string; reference: string }>() },
  initialState: () => ({}),
}).implement({
  handle: { RecordPayment: (_, data) => ({ type: 'PaymentReceived', data }) },
  apply: { PaymentReceived: (state) => state },
})

interface Fulfilment {
  readonly total: number
  readonly reserved: readonly string[]
  readonly paid?: string
}

const declared = defineProcess({
  name: 'fulfilment',
  aggregates: [order, payment],
  sends: [order, stock],
  calls: { refund: { input: typed<{ reference: string }>(), output: typed<{ refunded: boolean }>() } },
  timers: ['unpaid', 'closed'],
  initialState: (): Fulfilment => ({ total: 0, reserved: [] }),
  from: 'beginning',
})

const cancel = (state: Fulfilment, id: string, because: string): StepOf<typeof declared> => ({
  state: { ...state, reserved: [] },
  instead: [
    ...(state.paid === undefined ? [] : [{ call: 'refund', data: { reference: state.paid } } as const]),
    { to: 'order', id, type: 'CancelOrder', data: { because } },
  ],
  timers: { unpaid: null, closed: { in: '1.5h' } },
})

export const fulfilment = declared.implement({
  starts: ['OrderPlaced'],
  correlate: { PaymentReceived: (event) => event.data.order },
  on: {
    OrderPlaced: (state, { data: { lines, total }, recordedAt }, { id, at }) => {
      same<typeof at, Date>(true)
      same<typeof recordedAt, string>(true)
      return {
        state: { ...state, total },
        send: lines.map(({ sku, quantity }) => ({ to: 'stock', id: sku, type: 'ReserveStock', data: { order: id, quantity } })),
        timers: { unpaid: { in: '15m' } },
      }
    },
    PaymentReceived: (state, { data: { reference } }, { waiting }) => ({
      state: { ...state, paid: reference },
      instead: waiting.filter((one) => 'call' in one && !one.begun),
    }),
  },
  replies: {
    ReserveStock: (state, reply, { id }) => {
      if (!reply.ok) {
        same<typeof reply.reason, 'out-of-stock'>(true)
        same<typeof reply.details.left, number>(true)
        return cancel(state, id, `${reply.reason} ${reply.sent.id}`)
      }
      same<typeof reply.state, { left: number }>(true)
      return { state: { ...state, reserved: [...state.reserved, reply.sent.id] } }
    },
    ConfirmOrder: (_, reply) => (reply.ok ? { done: 'confirmed' } : undefined),
    refund: (_, reply) => {
      same<typeof reply.result, { refunded: boolean }>(true)
      return reply.result.refunded ? undefined : { send: [reply.sent] }
    },
  },
  timers: { unpaid: (state, { name }, { id }) => cancel(state, id, name), closed: () => ({ done: 'canceled' }) },
  failed: (state, { sent, message }, { id }) => ('call' in sent ? undefined : cancel(state, id, message)),
})

// Steps, commands and timers that do not exist.
const timers = { unpaid: () => ({}), closed: () => ({}) }
declared.implement({
  starts: ['OrderPlaced'],
  // @ts-expect-error there is no such event
  on: { OrderPlaced: () => ({}), OrderPlacedd: () => ({}) },
  timers,
})
declared.implement({
  starts: ['OrderPlaced'],
  // @ts-expect-error a step has no field "sends"
  on: { OrderPlaced: (state) => ({ state, sends: [] }) },
  timers,
})
declared.implement({
  starts: ['OrderPlaced'],
  on: {
    // @ts-expect-error the data of the command is wrong
    OrderPlaced: () => ({ send: [{ to: 'stock', id: 'tea', type: 'ReserveStock', data: { order: 1 } }] }),
  },
  timers,
})
declared.implement({
  starts: ['OrderPlaced'],
  on: {
    // @ts-expect-error it sends nothing to this aggregate
    OrderPlaced: () => ({ send: [{ to: 'payment', id: 'p', type: 'RecordPayment', data: { order: 'o', reference: 'r' } }] }),
  },
  timers,
})
declared.implement({
  starts: ['OrderPlaced'],
  on: { OrderPlaced: () => ({}) },
  // @ts-expect-error the timer 'closed' has no function
  timers: { unpaid: () => ({}) },
})
declared.implement({
  starts: ['OrderPlaced'],
  on: {
    // @ts-expect-error there is no such timer
    OrderPlaced: () => ({ timers: { unpaidd: { in: '15m' } } }),
  },
  timers,
})
declared.implement({
  starts: ['OrderPlaced'],
  on: {
    // @ts-expect-error this is no duration
    OrderPlaced: () => ({ timers: { unpaid: { in: '15 minutes' } } }),
  },
  timers,
})
// @ts-expect-error `from` has no default
defineProcess({ name: 'x', aggregates: [order], initialState: () => ({}) })
createApp({
  store: memoryStore(),
  aggregates: { order, stock, payment },
  // @ts-expect-error the call 'refund' has no function
  processes: { fulfilment },
})
// @ts-expect-error the result of the call is wrong
fulfilment.with({ refund: () => ({ refunded: 'yes' }) })

const app = createApp({
  store: memoryStore(),
  aggregates: { order, stock, payment },
  processes: { fulfilment: fulfilment.with({ refund: async ({ reference }, { key }) => ({ refunded: reference !== key }) }) },
  runtime: testClock('2030-01-01T00:00:00Z'),
})
const instance = await app.processes.fulfilment.load('o-1')
same<typeof instance, import('cqrs-es').Instance<Fulfilment> | undefined>(true)
const { nextDue } = await app.drain()
same<typeof nextDue, Date | undefined>(true)

const placed = givenProcess(fulfilment, 'o-1').on(order, 'o-1', [{ type: 'OrderPlaced', data: { lines: [], total: 1 } }])
await placed.accepted('ReserveStock').answered('refund', {}).thenTimers({ unpaid: '15m' })
// @ts-expect-error it sends no such command
placed.accepted('ReserveStok')
