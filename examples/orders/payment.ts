import { defineAggregate } from 'cqrs-es'
import * as z from 'zod'

const received = z.object({ order: z.string().min(1).max(100), amount: z.int().positive() })
const refunded = z.object({ order: z.string(), amount: z.int(), refund: z.string() })

/** Money that has arrived, by its reference, and whether it was sent back. */
type Payment = { readonly status: 'none' } | ({ readonly status: 'received' | 'refunded' } & z.output<typeof received>)

export const payment = defineAggregate({
  type: 'payment',
  commands: {
    // A transfer may be reported twice: the second report changes nothing.
    RecordPayment: received,
    // Sent by the process `fulfilment` only.
    RecordRefund: z.object({ refund: z.string() }),
  },
  events: { PaymentReceived: received, PaymentRefunded: refunded },
  initialState: (): Payment => ({ status: 'none' }),
}).implement({
  handle: {
    RecordPayment: ({ status }, data) => (status === 'none' ? { type: 'PaymentReceived', data } : undefined),
    RecordRefund: (payment, { refund }) => {
      if (payment.status !== 'received') return undefined
      const { order, amount } = payment
      return { type: 'PaymentRefunded', data: { order, amount, refund } }
    },
  },
  apply: {
    PaymentReceived: (_, data) => ({ status: 'received', ...data }),
    PaymentRefunded: (_, { order, amount }) => ({ status: 'refunded', order, amount }),
  },
})
