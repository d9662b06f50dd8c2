import { createApp, defineAggregate, defineProcess, noData, reject, type StepOf, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { testClock } from 'cqrs-es/testing'

type Line = { readonly sku: string; readonly quantity: number }

export const order = defineAggregate({
  type: 'order',
  events: {
    OrderPlaced: typed<{ lines: readonly Line[] }>(),
    OrderConfirmed: noData,
    OrderCanceled: typed<{ because: string }>(),
  },
  commands: { PlaceOrder: typed<{ lines: readonly Line[] }>(), ConfirmOrder: noData, CancelOrder: typed<{ because: string }>() },
  initialState: () => ({ status: 'new' }),
}).implement({
  handle: {
    PlaceOrder: ({ status }, data) => (status === 'new' ? { type: 'OrderPlaced', data } : reject('already-placed')),
    ConfirmOrder: ({ status }) => (status === 'placed' ? { type: 'OrderConfirmed' } : undefined),
    CancelOrder: ({ status }, data) => (status === 'placed' ? { type: 'OrderCanceled', data } : undefined),
  },
  apply: {
    OrderPlaced: () => ({ status: 'placed' }),
    OrderConfirmed: () => ({ status: 'confirmed' }),
    OrderCanceled: () => ({ status: 'canceled' }),
  },
})

type Reserved = { readonly order: string; readonly quantity: number }

export const stock = defineAggregate({
  type: 'stock',
  events: { StockReserved: typed<Reserved>(), StockReleased: typed<Reserved>() },
  commands: { ReserveStock: typed<Reserved>(), ReleaseStock: typed<{ order: string }>() },
  initialState: () => ({ left: 10, reserved: {} as Readonly<Record<string, number>> }),
}).implement({
  handle: {
    ReserveStock: ({ left }, data) => (left < data.quantity ? reject('out-of-stock', { left }) : { type: 'StockReserved', data }),
    ReleaseStock: ({ reserved }, { order }) =>
      reserved[order] ? { type: 'StockReleased', data: { order, quantity: reserved[order] ?? 0 } } : undefined,
  },
  apply: {
    StockReserved: (s, { order, quantity }) => ({ left: s.left - quantity, reserved: { ...s.reserved, [order]: quantity } }),
    StockReleased: (s, { order, quantity }) => ({ left: s.left + quantity, reserved: { ...s.reserved, [order]: 0 } }),
  },
})

export const payment = defineAggregate({
  type: 'payment',
  events: { PaymentReceived: typed<{ order: string }>(), PaymentReturned: noData },
  commands: { RecordPayment: typed<{ order: string }>(), ReturnPayment: noData },
  initialState: () => ({ status: 'none' }),
}).implement({
  handle: {
    RecordPayment: ({ status }, data) => (status === 'none' ? { type: 'PaymentReceived', data } : undefined),
    ReturnPayment: ({ status }) => (status === 'received' ? { type: 'PaymentReturned' } : reject('nothing-to-return')),
  },
  apply: { PaymentReceived: () => ({ status: 'received' }), PaymentReturned: () => ({ status: 'returned' }) },
})

export const shipment = defineAggregate({
  type: 'shipment',
  events: { ShipmentBooked: noData },
  commands: { BookShipment: noData },
  initialState: () => ({ isBooked: false }),
}).implement({
  handle: {
    BookShipment: ({ isBooked }, _, { aggregateId }) =>
      isBooked || aggregateId.endsWith('7') ? reject('no-carrier') : { type: 'ShipmentBooked' },
  },
  apply: { ShipmentBooked: () => ({ isBooked: true }) },
})

interface Fulfilment {
  readonly status: 'reserving' | 'awaiting payment' | 'shipping' | 'shipped' | 'canceled'
  readonly lines: readonly Line[]
  readonly reserved: readonly string[]
  readonly paid?: string
}

const declared = defineProcess({
  name: 'fulfilment',
  aggregates: [order, payment],
  sends: [order, stock, payment, shipment],
  timers: ['unpaid', 'closed'],
  initialState: (): Fulfilment => ({ status: 'reserving', lines: [], reserved: [] }),
  from: 'beginning',
})
type Step = StepOf<typeof declared>

const returned = (id: string) => ({ to: 'payment', id, type: 'ReturnPayment' }) as const

function cancel(state: Fulfilment, id: string, because: string, waiting: readonly object[]): Step {
  return {
    state: { ...state, status: 'canceled', reserved: [] },
    instead: [
      // Money on its way back stays on its way.
      ...(waiting as readonly ReturnType<typeof returned>[]).filter(({ type }) => type === 'ReturnPayment'),
      ...state.reserved.map((sku) => ({ to: 'stock', id: sku, type: 'ReleaseStock', data: { order: id } }) as const),
      ...(state.paid === undefined ? [] : [returned(state.paid)]),
      { to: 'order', id, type: 'CancelOrder', data: { because } },
    ],
    timers: { unpaid: null, closed: { in: '30d' } },
  }
}

const ship = (state: Fulfilment, id: string): Step => ({
  state: { ...state, status: 'shipping' },
  send: [{ to: 'shipment', id, type: 'BookShipment' }],
  timers: { unpaid: null },
})

/** Reserves each line, waits 15 minutes for the money, ships, and sends back money that comes late or twice. */
export const fulfilment = declared.implement({
  starts: ['OrderPlaced'],
  correlate: { PaymentReceived: (event) => event.data.order },
  on: {
    OrderPlaced: (state, { data: { lines } }, { id }) => ({
      state: { ...state, lines },
      send: lines.map(({ sku, quantity }) => ({ to: 'stock', id: sku, type: 'ReserveStock', data: { order: id, quantity } })),
      timers: { unpaid: { in: '15m' } },
    }),
    PaymentReceived: (state, { aggregateId }, { id }) => {
      if (state.status === 'canceled' || state.paid !== undefined) return { send: [returned(aggregateId)] }
      const paid = { ...state, paid: aggregateId }
      return state.status === 'reserving' ? { state: paid, timers: { unpaid: null } } : ship(paid, id)
    },
  },
  replies: {
    ReserveStock: (state, reply, { id, waiting }) => {
      if (!reply.ok) return cancel(state, id, `${reply.reason}: ${reply.details.left} of ${reply.sent.id}`, waiting)
      const next = { ...state, reserved: [...state.reserved, reply.sent.id] }
      if (next.reserved.length < next.lines.length) return { state: next }
      return next.paid === undefined ? { state: { ...next, status: 'awaiting payment' } } : ship(next, id)
    },
    BookShipment: (state, reply, { id, waiting }) =>
      reply.ok
        ? {
            state: { ...state, status: 'shipped' },
            send: [{ to: 'order', id, type: 'ConfirmOrder' }],
            timers: { closed: { in: '30d' } },
          }
        : cancel(state, id, reply.reason, waiting),
  },
  timers: {
    unpaid: (state, _, { id, waiting }) => cancel(state, id, 'not paid in time', waiting),
    closed: ({ status }) => ({ done: status }),
  },
})

export const aggregates = { order, stock, payment, shipment }

/** An app with the process, whose clock stands still. */
export function fulfilling(store: Store = memoryStore(), clock = testClock('2030-01-01T00:00:00Z'), options: object = {}) {
  const app = createApp({ store, aggregates, processes: { fulfilment }, runtime: clock, ...options })
  const place = (id: string, ...skus: readonly string[]) =>
    app.aggregates.order.execute(id, { type: 'PlaceOrder', data: { lines: skus.map((sku) => ({ sku, quantity: 1 })) } })
  const pay = (id: string, of: string) => app.aggregates.payment.execute(id, { type: 'RecordPayment', data: { order: of } })
  const statusOf = async (id: string) => (await app.aggregates.order.load(id)).state.status
  return { app, clock, place, pay, statusOf }
}
