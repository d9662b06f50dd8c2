import { DefinitionError } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { kindOfEvent } from './event-kind.ts'
import { endsInTime, type LambdaContext } from './time.ts'

/** What Lambda is told of a batch (`ReportBatchItemFailures`): what is in here comes again, all else is done. */
export interface BatchResponse {
  /** Message ids of SQS, sequence numbers of a stream. */
  readonly batchItemFailures: { readonly itemIdentifier: string }[]
}

/** The records of a batch. @throws DefinitionError that says what came instead */
export function recordsOf<R>(what: string, source: string, event: { readonly Records: readonly R[] }): readonly R[] {
  const records: unknown = isObject(event) ? event.Records : undefined
  const isOurs = (one: unknown) => isObject(one) && [source, undefined].includes((one as { eventSource?: string }).eventSource)
  if (Array.isArray(records) && records.every(isOurs)) return records
  throw new DefinitionError(
    `${what} takes batches of '${source}', but got ${kindOfEvent(event)}. Change the event source of the function, or what it exports.`,
  )
}

/** The answer for what failed. @throws Error when it cannot be named: then all of the batch comes again */
export function failuresOf(what: string, ids: readonly unknown[]): BatchResponse {
  return {
    batchItemFailures: ids.map((id) => {
      if (typeof id === 'string' && id !== '') return { itemIdentifier: id }
      throw new Error(`${what}: something failed that has no identifier to report it by, so that all of the batch has failed.`)
    }),
  }
}

/** Tells of failures, all at once. One that happens in there goes to the console, and so does it when there is no more time to wait: the answer must leave. */
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
      console.error(`${what}: onFailure has failed itself:`, error)
    }
  })
  if (!(await endsInTime(context, Promise.all(told))))
    console.error(`${what}: onFailure was not waited for any longer: the time of the Lambda function is up.`)
}
