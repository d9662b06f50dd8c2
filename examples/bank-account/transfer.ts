import { defineAggregate, noData, reject } from 'cqrs-es'
import * as z from 'zod'

const order = z.object({ from: z.string(), to: z.string(), amount: z.int() })
const because = z.object({ because: z.string() })

/** A transfer from one account to another, and its outcome. */
interface Transfer {
  readonly status: 'new' | 'requested' | 'completed' | 'refused' | 'refunded'
  readonly from: string
  readonly to: string
  readonly amount: number
  readonly because?: string
}

export const transfer = defineAggregate({
  type: 'transfer',
  commands: {
    RequestTransfer: order.extend({
      from: z.string().min(1).max(200),
      to: z.string().min(1).max(200),
      amount: z.int().positive().max(1_000_000_000),
    }),
    CompleteTransfer: noData,
    RefuseTransfer: because,
    RefundTransfer: because,
  },
  events: { TransferRequested: order, TransferCompleted: noData, TransferRefused: because, TransferRefunded: because },
  initialState: (): Transfer => ({ status: 'new', from: '', to: '', amount: 0 }),
}).implement({
  handle: {
    RequestTransfer: ({ status }, order) => {
      if (status !== 'new') return reject('already-requested')
      return order.from === order.to ? reject('same-account') : { type: 'TransferRequested', data: order }
    },
    CompleteTransfer: () => ({ type: 'TransferCompleted' }),
    RefuseTransfer: (_, data) => ({ type: 'TransferRefused', data }),
    RefundTransfer: (_, data) => ({ type: 'TransferRefunded', data }),
  },
  apply: {
    TransferRequested: (_, order) => ({ status: 'requested', ...order }),
    TransferCompleted: (transfer) => ({ ...transfer, status: 'completed' }),
    TransferRefused: (transfer, { because }) => ({ ...transfer, status: 'refused', because }),
    TransferRefunded: (transfer, { because }) => ({ ...transfer, status: 'refunded', because }),
  },
})
