import { defineAggregate, defineView, type EnvelopeOf, reject, typed } from 'cqrs-es'
import { z } from 'zod'
import type { BankServices } from './services.ts'

/** What a bank account knows about itself: just enough to decide the next command. */
interface Account {
  readonly open: boolean
  readonly balance: number
  /** Numbers of the checks written. */
  readonly checks: readonly string[]
}

/** Whole units only, so that sums are exact. */
const money = z.int()
const amount = money.positive().max(1_000_000_000)

export const bankAccount = defineAggregate({
  type: 'account',
  commands: {
    OpenAccount: z.object({ owner: z.string().trim().min(1).max(100) }),
    DepositMoney: z.object({ amount }),
    WithdrawCash: z.object({ atmId: z.string().min(1).max(20), amount }),
    WriteCheck: z.object({ check: z.string().min(1).max(20), amount }),
  },
  // Stored for ever, so these say what an event is made of, and no rule that may change.
  events: {
    AccountOpened: z.object({ owner: z.string() }),
    MoneyDeposited: z.object({ amount: money, balance: money }),
    CashWithdrawn: z.object({ atmId: z.string(), amount: money, balance: money }),
    CheckWritten: z.object({ check: z.string(), amount: money, balance: money }),
  },
  services: typed<BankServices>(),
  initialState: (): Account => ({ open: false, balance: 0, checks: [] }),
  snapshots: { every: 100 },
}).implement({
  // Decides: all rules are here. A handler returns an event, several, none, or reject(reason, details).
  handle: {
    OpenAccount: (account, { owner }) => (account.open ? reject('already-open') : { type: 'AccountOpened', data: { owner } }),

    DepositMoney: (account, { amount }) =>
      account.open ? { type: 'MoneyDeposited', data: { amount, balance: account.balance + amount } } : reject('not-open'),

    // A handler may run again when another writer was first: the id of the command lets the ATM network act once.
    WithdrawCash: async (account, { atmId, amount }, { services, aggregateId, commandId }) => {
      if (!account.open) return reject('not-open')
      if (account.balance < amount) return insufficientFunds(account.balance, amount)
      const answer = await services.atmWithdrawal(atmId, amount, `${aggregateId}/${commandId}`)
      if (!answer.ok) return reject('atm-refused', { atmId, because: answer.because })
      return { type: 'CashWithdrawn', data: { atmId, amount, balance: account.balance - amount } }
    },

    WriteCheck: async (account, { check, amount }, { services, aggregateId }) => {
      if (!account.open) return reject('not-open')
      if (account.checks.includes(check)) return reject('check-already-written', { check })
      if (account.balance < amount) return insufficientFunds(account.balance, amount)
      const answer = await services.validateCheck(aggregateId, check)
      if (!answer.ok) return reject('check-refused', { check, because: answer.because })
      return { type: 'CheckWritten', data: { check, amount, balance: account.balance - amount } }
    },
  },
  // Evolves: the next state after an event, for new events and for stored ones. No rules, no services, no clock.
  apply: {
    AccountOpened: (account) => ({ ...account, open: true }),
    MoneyDeposited: (account, { balance }) => ({ ...account, balance }),
    CashWithdrawn: (account, { balance }) => ({ ...account, balance }),
    CheckWritten: (account, { check, balance }) => ({ ...account, balance, checks: [...account.checks, check] }),
  },
})

const insufficientFunds = (balance: number, amount: number) =>
  reject('insufficient-funds', { balance, missing: amount - balance })

/** What the holder of an account sees. Written in the same transaction as the events, so it is never behind them. */
export interface AccountView {
  readonly owner: string
  readonly balance: number
  /** The latest entries, the oldest first; the events have them all. */
  readonly ledger: readonly LedgerEntry[]
  /** Numbers of the checks written. */
  readonly checks: readonly string[]
  /** Of the last event seen. */
  readonly sequence: number
}

export interface LedgerEntry {
  readonly at: string
  readonly entry: string
  /** Negative for money that went out. */
  readonly amount: number
  readonly balance: number
}

export const accounts = defineView({
  name: 'accounts',
  aggregates: [bankAccount],
  initialView: (): AccountView => ({ owner: '', balance: 0, ledger: [], checks: [], sequence: 0 }),
  update: {
    AccountOpened: (view, { data, sequence }) => ({ ...view, owner: data.owner, sequence }),
    MoneyDeposited: (view, event) => booked(view, event, 'deposit', event.data.amount),
    CashWithdrawn: (view, event) => booked(view, event, `cash at ${event.data.atmId}`, -event.data.amount),
    CheckWritten: (view, event) => ({
      ...booked(view, event, `check ${event.data.check}`, -event.data.amount),
      checks: [...view.checks, event.data.check],
    }),
  },
  indexes: ['owner'],
})

const ledgerLength = 100

type Booking = Exclude<EnvelopeOf<typeof bankAccount>, { readonly type: 'AccountOpened' }>

const booked = (view: AccountView, { data, recordedAt, sequence }: Booking, entry: string, amount: number): AccountView => ({
  ...view,
  balance: data.balance,
  ledger: [...view.ledger, { at: recordedAt, entry, amount, balance: data.balance }].slice(-ledgerLength),
  sequence,
})
