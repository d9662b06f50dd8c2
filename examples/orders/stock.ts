import { defineAggregate, reject } from 'cqrs-es'
import * as z from 'zod'

/** Stock of one item. */
interface Stock {
  readonly left: number
  /** Reserved quantity by order. */
  readonly reserved: Readonly<Record<string, number>>
}

const quantity = z.int().positive()
const reservation = z.object({ order: z.string(), quantity })

export const stock = defineAggregate({
  type: 'stock',
  commands: {
    AddStock: z.object({ quantity: quantity.max(1_000_000) }),
    // Sent by the process `fulfilment` only.
    ReserveStock: reservation,
    ReleaseStock: z.object({ order: z.string() }),
  },
  events: { StockAdded: z.object({ quantity }), StockReserved: reservation, StockReleased: reservation },
  initialState: (): Stock => ({ left: 0, reserved: {} }),
}).implement({
  handle: {
    AddStock: (_, data) => ({ type: 'StockAdded', data }),
    ReserveStock: ({ left }, data) => (left < data.quantity ? reject('out-of-stock', { left }) : { type: 'StockReserved', data }),
    ReleaseStock: ({ reserved }, { order }) => {
      const quantity = Object.hasOwn(reserved, order) ? reserved[order] : undefined
      return quantity === undefined ? undefined : { type: 'StockReleased', data: { order, quantity } }
    },
  },
  apply: {
    StockAdded: ({ left, reserved }, { quantity }) => ({ left: left + quantity, reserved }),
    StockReserved: ({ left, reserved }, { order, quantity }) => ({
      left: left - quantity,
      reserved: { ...reserved, [order]: quantity },
    }),
    StockReleased: (stock, { order, quantity }) => {
      const { [order]: _, ...reserved } = stock.reserved
      return { left: stock.left + quantity, reserved }
    },
  },
})
