import { defineView, type EnvelopeOf } from 'cqrs-es'
import { bankAccount } from './bank-account.ts'

/** An account as its holder sees it. Inline: written in the transaction of the events. */
export interface AccountView {
  readonly owner: string
  readonly balance: number
  /** The latest entries, oldest first. The events have all of them. */
  readonly ledger: readonly LedgerEntry[]
  /** Numbers of the checks written. */
  readonly checks: readonly string[]
  /** Sequence of the last event. */
  readonly sequence: number
  readonly closed?: boolean
}

export interface LedgerEntry {
  readonly at: string
  readonly entry: string
  /** Negative for money that leaves the account. */
  readonly amount: number
  readonly balance: number
}

export const accounts = defineView({
  name: 'accounts',
  aggregates: [bankAccount],
  initialView: (): AccountView => ({ owner: '', balance: 0, ledger: [], checks: [], sequence: 0 }),
  update: {
    AccountOpened: ({ closed: _, ...view }, { data, sequence }) => ({ ...view, owner: data.owner, sequence }),
    MoneyDeposited: (view, event) => booked(view, event, 'deposit', event.data.amount),
    CashWithdrawn: (view, event) => booked(view, event, `cash at ${event.data.atmId}`, -event.data.amount),
    CheckWritten: (view, event) => ({
      ...booked(view, event, `check ${event.data.check}`, -event.data.amount),
      checks: [...view.checks, event.data.check],
    }),
    AccountClosed: (view, { sequence }) => ({ ...view, sequence, closed: true }),
    TransferSent: (view, event) => booked(view, event, `transfer to ${event.data.to}`, -event.data.amount),
    TransferReceived: (view, event) => booked(view, event, `transfer from ${event.data.from}`, event.data.amount),
    TransferTakenBack: (view, event) => booked(view, event, 'transfer came back', event.data.amount),
    // An account that was never opened may decline: it has no row.
  },
  indexes: ['owner'],
})

const ledgerLength = 100

type Booking = Extract<EnvelopeOf<typeof bankAccount>, { readonly data: { readonly balance: number } }>

const booked = (view: AccountView, { data, recordedAt, sequence }: Booking, entry: string, amount: number): AccountView => ({
  ...view,
  balance: data.balance,
  ledger: [...view.ledger, { at: recordedAt, entry, amount, balance: data.balance }].slice(-ledgerLength),
  sequence,
})

/**
 * A day as the head office sees it. Async, because all accounts share the row of a day: no command
 * waits for it.
 */
export interface DayView {
  readonly deposited: number
  readonly withdrawn: number
  readonly transferred: number
  readonly movements: number
}

export const days = defineView({
  name: 'days',
  aggregates: [bankAccount],
  consistency: 'async',
  initialView: (): DayView => ({ deposited: 0, withdrawn: 0, transferred: 0, movements: 0 }),
  id: ({ recordedAt }) => recordedAt.slice(0, 10),
  update: {
    MoneyDeposited: (day, { data }) => moved(day, { deposited: day.deposited + data.amount }),
    CashWithdrawn: (day, { data }) => moved(day, { withdrawn: day.withdrawn + data.amount }),
    CheckWritten: (day, { data }) => moved(day, { withdrawn: day.withdrawn + data.amount }),
    TransferReceived: (day, { data }) => moved(day, { transferred: day.transferred + data.amount }),
  },
})

const moved = (day: DayView, change: Partial<DayView>): DayView => ({ ...day, ...change, movements: day.movements + 1 })
