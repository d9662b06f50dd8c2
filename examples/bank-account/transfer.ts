import { defineAggregate, noData, reject } from 'cqrs-es'
import * as z from 'zod'

const order = z.object({ from: z.string(), to: z.string(), amount: z.int() })
const because = z.object({ because: z.string() })

/** A transfer from one account to another: its progress and both accounts. */
interface Transfer {
  readonly status: 'new' | 'requested' | 'under way' | 'coming back' | 'completed' | 'refused' | 'refunded'
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
    RecordWithdrawal: noData,
    RecordRefusal: because,
    RecordDeposit: noData,
    RecordReturn: because,
    RecordRefund: noData,
  },
  events: {
    TransferRequested: order,
    MoneyWithdrawn: noData,
    TransferRefused: because,
    TransferCompleted: noData,
    DepositDeclined: because,
    TransferRefunded: noData,
  },
  initialState: (): Transfer => ({ status: 'new', from: '', to: '', amount: 0 }),
}).implement({
  handle: {
    RequestTransfer: ({ status }, order) => {
      if (status !== 'new') return reject('already-requested')
      return order.from === order.to ? reject('same-account') : { type: 'TransferRequested', data: order }
    },
    RecordWithdrawal: ({ status }) => (status === 'requested' ? { type: 'MoneyWithdrawn' } : undefined),
    RecordRefusal: ({ status }, data) => (status === 'requested' ? { type: 'TransferRefused', data } : undefined),
    RecordDeposit: ({ status }) => (status === 'under way' ? { type: 'TransferCompleted' } : undefined),
    RecordReturn: ({ status }, data) => (status === 'under way' ? { type: 'DepositDeclined', data } : undefined),
    RecordRefund: ({ status }) => (status === 'coming back' ? { type: 'TransferRefunded' } : undefined),
  },
  apply: {
    TransferRequested: (_, order) => ({ status: 'requested', ...order }),
    MoneyWithdrawn: (transfer) => ({ ...transfer, status: 'under way' }),
    TransferRefused: (transfer, { because }) => ({ ...transfer, status: 'refused', because }),
    TransferCompleted: (transfer) => ({ ...transfer, status: 'completed' }),
    DepositDeclined: (transfer, { because }) => ({ ...transfer, status: 'coming back', because }),
    TransferRefunded: (transfer) => ({ ...transfer, status: 'refunded' }),
  },
})
