import { defineAggregate, defineView, reject, type SnapshotPolicy } from 'cqrs-es'
import { z } from 'zod'
import { type Details, detailsOf, detailsSchema, type EventSize } from './commands/event.ts'

interface Deposited extends Partial<Details> {
  readonly amount: number
  readonly balance: number
}

const small = z.object({ amount: z.number(), balance: z.number() })
const depositedOf = (size: EventSize): z.ZodType<Deposited, Deposited> =>
  size === 'large' ? small.extend(detailsSchema.shape) : small

/** The measured bank account, with a schema for each message. */
export const accountWith = (snapshots: SnapshotPolicy, size: EventSize = 'small') =>
  defineAggregate({
    type: 'account',
    events: { AccountOpened: z.object({ owner: z.string() }), MoneyDeposited: depositedOf(size) },
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
          : { type: 'MoneyDeposited', data: { amount, balance: account.balance + amount, ...detailsOf(size) } },
      DepositDaily: (account, { amount, days }) =>
        Array.from({ length: days }, (_, day) => ({
          type: 'MoneyDeposited' as const,
          data: { amount, balance: account.balance + amount * (day + 1), ...detailsOf(size) },
        })),
    },
    apply: {
      AccountOpened: (account, { owner }) => ({ ...account, owner }),
      MoneyDeposited: (account, { balance }) => ({ ...account, balance }),
    },
  })

export type Account = ReturnType<typeof accountWith>

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
