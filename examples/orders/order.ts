import { defineAggregate, noData, reject } from 'cqrs-es'
import * as z from 'zod'
import { catalog } from './catalog.ts'

const line = z.object({ sku: z.string().min(1).max(50), quantity: z.int().positive().max(1_000) })
export type Line = z.output<typeof line>

/** Stock is reserved per item, so each item has one line. */
const lines = z
  .array(line)
  .min(1)
  .max(20)
  .refine((all) => new Set(all.map(({ sku }) => sku)).size === all.length, 'each item has one line')

export const order = defineAggregate({
  type: 'order',
  commands: {
    PlaceOrder: z.object({ customer: z.string().min(1).max(100), lines }),
    // Sent by the process `fulfilment` only.
    ConfirmOrder: noData,
    CancelOrder: z.object({ because: z.string() }),
  },
  events: {
    OrderPlaced: z.object({ customer: z.string(), lines: z.array(line), total: z.int() }),
    OrderConfirmed: noData,
    OrderCanceled: z.object({ because: z.string() }),
  },
  initialState: (): { readonly status: 'new' | 'placed' | 'confirmed' | 'canceled' } => ({ status: 'new' }),
}).implement({
  handle: {
    PlaceOrder: ({ status }, { customer, lines }) => {
      if (status !== 'new') return reject('already-placed')
      const unknown = lines.find(({ sku }) => !Object.hasOwn(catalog, sku))
      if (unknown !== undefined) return reject('unknown-item', { sku: unknown.sku })
      const total = lines.reduce((sum, { sku, quantity }) => sum + quantity * (catalog[sku]?.price ?? 0), 0)
      return { type: 'OrderPlaced', data: { customer, lines, total } }
    },
    ConfirmOrder: ({ status }) => (status === 'placed' ? { type: 'OrderConfirmed' } : undefined),
    CancelOrder: ({ status }, data) => (status === 'placed' ? { type: 'OrderCanceled', data } : undefined),
  },
  apply: {
    OrderPlaced: () => ({ status: 'placed' }),
    OrderConfirmed: () => ({ status: 'confirmed' }),
    OrderCanceled: () => ({ status: 'canceled' }),
  },
})
