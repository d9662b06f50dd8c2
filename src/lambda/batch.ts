import { DefinitionError } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { kindOfEvent } from './event-kind.ts'
import { endsInTime, type LambdaContext } from './time.ts'

/**
 * Response to a batch, with `ReportBatchItemFailures`: Lambda redelivers only the listed records.
 */
export interface BatchResponse {
  /** Message ids of SQS, or sequence numbers of a stream. */
  readonly batchItemFailures: { readonly itemIdentifier: string }[]
}

/** Returns the records of a batch. @throws DefinitionError that names the received event */
export function recordsOf<R>(what: string, source: string, event: { readonly Records: readonly R[] }): readonly R[] {
  const records: unknown = isObject(event) ? event.Records : undefined
  const isOurs = (one: unknown) => isObject(one) && [source, undefined].includes((one as { eventSource?: string }).eventSource)
  if (Array.isArray(records) && records.every(isOurs)) return records
  throw new DefinitionError(
    `${what} takes batches of '${source}', but got ${kindOfEvent(event)}. Change the event source of the function, or its exported handler.`,
  )
}

/**
 * Makes the response for failed records.
 *
 * @throws Error if one has no identifier: Lambda then redelivers the whole batch
 */
export function failuresOf(what: string, ids: readonly unknown[]): BatchResponse {
  return {
    batchItemFailures: ids.map((id) => {
      if (typeof id === 'string' && id !== '') return { itemIdentifier: id }
      throw new Error(`${what}: a failed record has no identifier, so the whole batch fails.`)
    }),
  }
}

/**
 * Reports failures, all at once, while there is time.
 *
 * An error of `onFailure`, or the end of the time, is logged: the response must still leave.
 */
export async function tell<F>(
  what: string,
  failures: readonly F[],
  context: LambdaContext | undefined,
  onFailure: (failure: F) => unknown,
): Promise<void> {
  const told = failures.map(async (failure) => {
    try {
      await onFailure(failure)
    } catch (error) {
      console.error(`${what}: onFailure failed:`, error)
    }
  })
  if (!(await endsInTime(context, Promise.all(told))))
    console.error(`${what}: onFailure did not end in time: the time of the Lambda function is up.`)
}
