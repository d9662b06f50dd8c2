import { defineAggregate, reject, typed } from 'cqrs-es'
import * as z from 'zod'
import type { BankServices } from './services.ts'

/** State of an account: just enough to decide the next command. */
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
    CloseAccount: z.object({}),
    // The three steps of a transfer, taken by `transfers.ts`.
    SendTransfer: z.object({ transfer: z.string(), to: z.string(), amount }),
    ReceiveTransfer: z.object({ transfer: z.string(), from: z.string(), amount }),
    TakeBackTransfer: z.object({ transfer: z.string(), amount }),
  },
  // Events are stored forever. Their schemas describe data, and no rule that may change.
  events: {
    AccountOpened: z.object({ owner: z.string() }),
    MoneyDeposited: z.object({ amount: money, balance: money }),
    CashWithdrawn: z.object({ atmId: z.string(), amount: money, balance: money }),
    CheckWritten: z.object({ check: z.string(), amount: money, balance: money }),
    AccountClosed: z.object({}),
    TransferSent: z.object({ transfer: z.string(), to: z.string(), amount: money, balance: money }),
    TransferReceived: z.object({ transfer: z.string(), from: z.string(), amount: money, balance: money }),
    TransferTakenBack: z.object({ transfer: z.string(), amount: money, balance: money }),
  },
  services: typed<BankServices>(),
  initialState: (): Account => ({ open: false, balance: 0, checks: [] }),
  snapshots: { every: 100 },
}).implement({
  // Decides: all rules are here. A handler returns an event, several, none, or reject(reason,
  // details).
  handle: {
    OpenAccount: (account, { owner }) => (account.open ? reject('already-open') : { type: 'AccountOpened', data: { owner } }),

    DepositMoney: (account, { amount }) =>
      account.open ? { type: 'MoneyDeposited', data: { amount, balance: account.balance + amount } } : reject('not-open'),

    // A handler may run again after a lost race: the id of the command lets the ATM network act
    // once.
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

    CloseAccount: ({ open, balance }) => {
      if (!open) return reject('not-open')
      return balance === 0 ? { type: 'AccountClosed', data: {} } : reject('not-empty', { balance })
    },

    SendTransfer: ({ open, balance }, { transfer, to, amount }) => {
      if (!open) return reject('not-open')
      if (balance < amount) return reject('insufficient-funds', { balance })
      return { type: 'TransferSent', data: { transfer, to, amount, balance: balance - amount } }
    },

    ReceiveTransfer: ({ open, balance }, { transfer, from, amount }) =>
      open ? { type: 'TransferReceived', data: { transfer, from, amount, balance: balance + amount } } : reject('not-open'),

    // Even if the account is closed by now: the money belongs to its holder.
    TakeBackTransfer: ({ balance }, { transfer, amount }) => ({
      type: 'TransferTakenBack',
      data: { transfer, amount, balance: balance + amount },
    }),
  },
  // Evolves: the next state after an event, new or stored. No rules, no services, no clock.
  apply: {
    AccountOpened: (account) => ({ ...account, open: true }),
    MoneyDeposited: (account, { balance }) => ({ ...account, balance }),
    CashWithdrawn: (account, { balance }) => ({ ...account, balance }),
    CheckWritten: (account, { check, balance }) => ({ ...account, balance, checks: [...account.checks, check] }),
    AccountClosed: (account) => ({ ...account, open: false }),
    TransferSent: (account, { balance }) => ({ ...account, balance }),
    TransferReceived: (account, { balance }) => ({ ...account, balance }),
    TransferTakenBack: (account, { balance }) => ({ ...account, balance }),
  },
})

const insufficientFunds = (balance: number, amount: number) =>
  reject('insufficient-funds', { balance, missing: amount - balance })
