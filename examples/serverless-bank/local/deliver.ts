import type { Outcome } from './sandbox.ts'

export interface Delivery<R> {
  /** The sequence number in the function's report of a record. */
  readonly idOf: (record: R) => string
  readonly invoke: (records: readonly R[]) => Promise<Outcome>
  /** Retries of a batch without progress. */
  readonly retryAttempts: number
  readonly isTooOld: (record: R) => boolean
  /** Waits before the next try; receives the number of failed ones. */
  readonly pause: (failures: number) => Promise<void>
  readonly giveUp: (records: readonly R[], condition: 'RetryAttemptsExhausted' | 'RecordAgeExceeded') => void
}

/**
 * Delivers a batch of a shard to a function as Lambda does with `ReportBatchItemFailures` and
 * `BisectBatchOnFunctionError`. It continues from the first reported record, halves a batch after
 * an unexplained failure, retries a batch without progress, and finally gives it up.
 */
export async function deliver<R>(batch: readonly R[], delivery: Delivery<R>): Promise<void> {
  const { retryAttempts, isTooOld, pause, giveUp, invoke } = delivery
  let left = batch
  for (let failures = 0; left.length > 0; ) {
    const outcome = await invoke(left)
    const done = doneOf(left, outcome, delivery.idOf)
    if (done === left.length) return
    failures = done > 0 ? 0 : failures + 1
    left = left.slice(done)
    if ('failure' in outcome && left.length > 1) {
      const half = Math.ceil(left.length / 2)
      await deliver(left.slice(0, half), delivery)
      left = left.slice(half)
      failures = 0
      continue
    }
    if (failures > retryAttempts) return giveUp(left, 'RetryAttemptsExhausted')
    if (left.every(isTooOld)) return giveUp(left, 'RecordAgeExceeded')
    await pause(failures)
  }
}

/** Number of finished records at the start of the batch. An unreadable report counts as none. */
function doneOf<R>(batch: readonly R[], outcome: Outcome, idOf: (record: R) => string): number {
  if ('failure' in outcome) return 0
  const { batchItemFailures } = (outcome.answer ?? {}) as { batchItemFailures?: readonly { itemIdentifier?: unknown }[] | null }
  const places = (batchItemFailures ?? []).map(({ itemIdentifier }) =>
    batch.findIndex((record) => idOf(record) === itemIdentifier),
  )
  return places.includes(-1) ? 0 : Math.min(batch.length, ...places)
}
