import { defineProcess } from 'cqrs-es'
import { bankAccount } from './bank-account.ts'
import { transfer } from './transfer.ts'

/**
 * Takes each transfer from step to step. Each command is stored in one commit with the decision on
 * its reply, so a crash neither repeats nor loses a step.
 */
export const transfers = defineProcess({
  name: 'transfers',
  aggregates: [transfer],
  sends: [bankAccount, transfer],
  initialState: () => ({ from: '', to: '', amount: 0 }),
  from: 'beginning',
}).implement({
  starts: ['TransferRequested'],
  on: {
    TransferRequested: (_, { data }, { id }) => ({
      state: data,
      send: [{ to: 'account', id: data.from, type: 'SendTransfer', data: { transfer: id, to: data.to, amount: data.amount } }],
    }),
  },
  replies: {
    SendTransfer: ({ from, to, amount }, reply, { id }) =>
      reply.ok
        ? { send: [{ to: 'account', id: to, type: 'ReceiveTransfer', data: { transfer: id, from, amount } }] }
        : { send: [{ to: 'transfer', id, type: 'RefuseTransfer', data: { because: reply.reason } }], done: 'refused' },
    ReceiveTransfer: ({ from, amount }, reply, { id }) =>
      reply.ok
        ? { send: [{ to: 'transfer', id, type: 'CompleteTransfer' }], done: 'completed' }
        : {
            send: [
              { to: 'account', id: from, type: 'TakeBackTransfer', data: { transfer: id, amount } },
              { to: 'transfer', id, type: 'RefundTransfer', data: { because: reply.reason } },
            ],
            done: 'refunded',
          },
  },
})
