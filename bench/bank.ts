import { defineAggregate, defineView, reject, type SnapshotPolicy } from 'cqrs-es'
import { z } from 'zod'

/** The measured bank account, with a schema for each message. */
export const accountWith = (snapshots: SnapshotPolicy) =>
  defineAggregate({
    type: 'account',
    events: {
      AccountOpened: z.object({ owner: z.string() }),
      MoneyDeposited: z.object({ amount: z.number(), balance: z.number() }),
    },
    commands: {
      OpenAccount: z.object({ owner: z.string() }),
      DepositMoney: z.object({ amount: z.number().positive() }),
      /** Many events at once, to age an account. */
      DepositDaily: z.object({ amount: z.number().positive(), days: z.number() }),
    },
    initialState: () => ({ owner: '', balance: 0 }),
    snapshots,
  }).implement({
    handle: {
      OpenAccount: (account, { owner }) =>
        account.owner === '' ? { type: 'AccountOpened', data: { owner } } : reject('already-open'),
      DepositMoney: (account, { amount }) =>
        account.owner === ''
          ? reject('not-open')
          : { type: 'MoneyDeposited', data: { amount, balance: account.balance + amount } },
      DepositDaily: (account, { amount, days }) =>
        Array.from({ length: days }, (_, day) => ({
          type: 'MoneyDeposited' as const,
          data: { amount, balance: account.balance + amount * (day + 1) },
        })),
    },
    apply: {
      AccountOpened: (account, { owner }) => ({ ...account, owner }),
      MoneyDeposited: (account, { balance }) => ({ ...account, balance }),
    },
  })

export const account = accountWith('never')

export const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ owner: '', balance: 0 }),
  update: {
    AccountOpened: (view, event) => ({ ...view, owner: event.data.owner }),
    MoneyDeposited: (view, event) => ({ ...view, balance: event.data.balance }),
  },
  indexes: ['owner'],
})

export const open = { type: 'OpenAccount', data: { owner: 'ann' } } as const
export const deposit = (amount: number) => ({ type: 'DepositMoney', data: { amount } }) as const
export const depositDaily = (amount: number, days: number) => ({ type: 'DepositDaily', data: { amount, days } }) as const
