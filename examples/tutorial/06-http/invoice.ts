import { defineAggregate, reject } from 'cqrs-es'
import { z } from 'zod'

const content = z.object({ order: z.string(), amount: z.number() })

export const invoice = defineAggregate({
  type: 'invoice',
  events: { InvoiceOpened: content },
  commands: { OpenInvoice: content },
  initialState: () => ({ isOpen: false }),
}).implement({
  handle: {
    OpenInvoice: (state, data) =>
      state.isOpen ? reject('already-open') : { type: 'InvoiceOpened', data },
  },
  apply: { InvoiceOpened: () => ({ isOpen: true }) },
})
