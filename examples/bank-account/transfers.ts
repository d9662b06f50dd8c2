import { defineSubscription, type EnvelopeOf, type SubscriptionContext } from 'cqrs-es'
import { bankAccount } from './bank-account.ts'
import { transfer } from './transfer.ts'

/** Moves each transfer along, event by event. */
export const transfers = defineSubscription({
  name: 'transfers',
  aggregates: [transfer],
  onFailure: 'retry',
  handle: takeNextStep,
})

/**
 * An event may be delivered again after a crash: every command carries the idempotency key that `reaction()` makes of the event, so the second time it has the outcome of the
 * first. That holds for a "no" as well, since an account that declines says so in an event.
 */
export async function takeNextStep(event: EnvelopeOf<typeof transfer>, { app, reaction }: SubscriptionContext): Promise<void> {
  const accounts = app.aggregate(bankAccount)
  const transfers = app.aggregate(transfer)
  const id = event.aggregateId
  const { from, to, amount } = (await transfers.load(id)).state

  if (event.type === 'TransferRequested') {
    const { events } = await accounts.execute(from, { type: 'SendTransfer', data: { transfer: id, to, amount } }, reaction())
    const because = declined(events)
    if (because === undefined) await transfers.execute(id, { type: 'RecordWithdrawal' }, reaction())
    else await transfers.execute(id, { type: 'RecordRefusal', data: { because } }, reaction())
  }

  if (event.type === 'MoneyWithdrawn') {
    const { events } = await accounts.execute(to, { type: 'ReceiveTransfer', data: { transfer: id, from, amount } }, reaction())
    const because = declined(events)
    if (because === undefined) await transfers.execute(id, { type: 'RecordDeposit' }, reaction())
    else await transfers.execute(id, { type: 'RecordReturn', data: { because } }, reaction())
  }

  if (event.type === 'DepositDeclined') {
    await accounts.execute(from, { type: 'TakeBackTransfer', data: { transfer: id, amount } }, reaction())
    await transfers.execute(id, { type: 'RecordRefund' }, reaction())
  }
}

/** Why the account said no, `undefined` when it did not. */
const declined = ([event]: readonly EnvelopeOf<typeof bankAccount>[]): string | undefined =>
  event?.type === 'TransferDeclined' ? event.data.because : undefined
