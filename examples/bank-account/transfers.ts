import { defineSubscription, type EnvelopeOf, type SubscriptionContext } from 'cqrs-es'
import { bankAccount } from './bank-account.ts'
import { transfer } from './transfer.ts'

/** Takes each transfer from step to step. */
export const transfers = defineSubscription({
  name: 'transfers',
  aggregates: [transfer],
  onFailure: 'retry',
  handle: takeNextStep,
})

/**
 * An event may be delivered again after a crash. Each command carries the idempotency key that
 * `reaction()` derives from the event, so the second delivery has the outcome of the first. This
 * includes refusals, because an account that declines records it as an event.
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

/** The reason why the account declined; `undefined` if it did not. */
const declined = ([event]: readonly EnvelopeOf<typeof bankAccount>[]): string | undefined =>
  event?.type === 'TransferDeclined' ? event.data.because : undefined
