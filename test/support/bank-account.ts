import { defineAggregate, defineView, noData, reject, typed } from 'cqrs-es'
import { z } from 'zod'

type Account = { readonly status: 'new' | 'closed' } | { readonly status: 'open'; readonly balance: number }

export interface BankServices {
  validateCheck(account: string, check: string): Promise<boolean>
}

/** The bank account of the tests: small, with one of each feature. */
export const bankAccount = defineAggregate({
  type: 'account',
  events: {
    AccountOpened: z.object({ owner: z.string() }),
    MoneyDeposited: z.object({ amount: z.number(), balance: z.number() }),
    CheckWritten: typed<{ check: string; amount: number; balance: number }>(),
    AccountClosed: noData,
  },
  commands: {
    OpenAccount: z.object({ owner: z.string() }),
    DepositMoney: z.object({ amount: z.number().positive() }),
    WriteCheck: z.object({ check: z.string(), amount: z.number().positive() }),
    CloseAccount: noData,
  },
  services: typed<BankServices>(),
  initialState: (): Account => ({ status: 'new' }),
}).implement({
  handle: {
    OpenAccount: (account, { owner }) =>
      account.status === 'new' ? { type: 'AccountOpened', data: { owner } } : reject('already-open'),
    DepositMoney: (account, { amount }) =>
      account.status === 'open'
        ? { type: 'MoneyDeposited', data: { amount, balance: account.balance + amount } }
        : reject('not-open'),
    WriteCheck: async (account, { check, amount }, { services, aggregateId }) => {
      if (account.status !== 'open') return reject('not-open')
      if (account.balance < amount) return reject('insufficient-funds', { balance: account.balance })
      if (!(await services.validateCheck(aggregateId, check))) return reject('check-invalid')
      return { type: 'CheckWritten', data: { check, amount, balance: account.balance - amount } }
    },
    CloseAccount: (account) => (account.status === 'open' ? { type: 'AccountClosed' } : undefined),
  },
  apply: {
    AccountOpened: () => ({ status: 'open', balance: 0 }),
    MoneyDeposited: (_, { balance }) => ({ status: 'open', balance }),
    CheckWritten: (_, { balance }) => ({ status: 'open', balance }),
    AccountClosed: () => ({ status: 'closed' }),
  },
})

export const balances = defineView({
  name: 'balances',
  aggregates: [bankAccount],
  initialView: () => ({ owner: '', balance: 0 }),
  update: {
    AccountOpened: (view, event) => ({ ...view, owner: event.data.owner }),
    MoneyDeposited: (view, event) => ({ ...view, balance: event.data.balance }),
    CheckWritten: (view, event) => ({ ...view, balance: event.data.balance }),
    AccountClosed: () => null,
  },
  indexes: ['owner'],
})
