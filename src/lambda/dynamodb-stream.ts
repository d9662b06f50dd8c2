import type { AggregateChange } from '../consumers/change.ts'
import { type DynamoDbStreamRecord, dynamoDbChanges } from '../dynamodb/changes.ts'
import { isCqrsError } from '../errors.ts'
import { checkFunction, checkOptions } from '../util/options.ts'
import { type BatchResponse, failuresOf, recordsOf, tell } from './batch.ts'
import { type LambdaContext, withinTime } from './time.ts'

/** The part of an app that is needed; an app of `createApp` has it. */
export interface CatchUpApp {
  catchUp(
    changes: readonly AggregateChange[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly ({ readonly error: unknown } | undefined)[]>
}

/** A batch of a DynamoDB stream. */
export interface DynamoDbStreamEvent {
  readonly Records: readonly DynamoDbStreamRecord[]
}

/** Options of `onDynamoDbStream`. */
export interface DynamoDbStreamOptions {
  /**
   * Called with each aggregate that failed, and awaited while there is time. Default:
   * `console.error`.
   */
  readonly onFailure?: (error: unknown, change: AggregateChange) => unknown
}

/**
 * Makes a Lambda function that updates async views and subscriptions from the DynamoDB stream.
 *
 * The stream is that of the DynamoDB store's events. Each aggregate in a batch is processed once,
 * to its end, in the order of its sequences. The order of the records and duplicates do not matter.
 * The function ignores items that are not new events, and aggregates of unknown types.
 *
 * Turn on `ReportBatchItemFailures`. An aggregate that failed, or that ran out of time, is reported
 * at its first place in the batch. The others are done. Lambda continues at the lowest reported
 * place. If a handler still runs when time is up, despite its signal, the whole batch is reported.
 * Processed events are not processed again.
 *
 * @throws DefinitionError for wrong options, and from the function for an event of another source
 *
 * @example
 * ```ts
 * import { DynamoDB } from '@aws-sdk/client-dynamodb'
 * import { createApp } from 'cqrs-es'
 * import { dynamoDbStore } from 'cqrs-es/dynamodb'
 * import { onDynamoDbStream } from 'cqrs-es/lambda'
 *
 * const app = createApp({ store: dynamoDbStore(new DynamoDB()), aggregates: {} }) // your aggregates, views and subscriptions
 *
 * export const handler = onDynamoDbStream(app)
 *
 * console.log(await handler({ Records: [{ eventName: 'REMOVE' }] })) // { batchItemFailures: [] }
 * ```
 */
export function onDynamoDbStream(
  app: CatchUpApp,
  options: DynamoDbStreamOptions = {},
): (event: DynamoDbStreamEvent, context?: LambdaContext) => Promise<BatchResponse> {
  checkOptions('onDynamoDbStream', options, ['onFailure'])
  const { onFailure = report } = options
  checkFunction('onDynamoDbStream: onFailure', onFailure)
  return async (event, context) => {
    const records = recordsOf('onDynamoDbStream', 'aws:dynamodb', event)
    const news = aggregatesOf(records)
    const outcomes = await outcomesOf(app, news, context)
    const failed = news.flatMap(({ firstAt, change }, i) => {
      const outcome = outcomes[i]
      return outcome === undefined ? [] : [{ firstAt, change, error: outcome.error }]
    })
    await tell('onDynamoDbStream', failed, context, ({ error, change }) => onFailure(error, change))
    return failuresOf(
      'onDynamoDbStream',
      failed.map(({ firstAt }) => records[firstAt]?.dynamodb?.SequenceNumber),
    )
  }
}

/** Processes all in one call, which is cheaper. If one change is invalid, processes one by one. */
const outcomesOf = (app: CatchUpApp, news: readonly News[], context: LambdaContext | undefined) =>
  withinTime(context, async (begin) => {
    const catchUp = (some: readonly News[]) =>
      begin((signal) =>
        app.catchUp(
          some.map(({ change }) => change),
          { signal },
        ),
      )
    try {
      return news.length === 0 ? [] : await catchUp(news)
    } catch (error) {
      if (news.length === 1 || !isCqrsError(error, 'VALIDATION')) return news.map(() => ({ error }))
      const outcomes = []
      for (const one of news)
        outcomes.push(
          await catchUp([one]).then(
            ([outcome]) => outcome,
            (failure: unknown) => ({ error: failure }),
          ),
        )
      return outcomes
    }
  })

const report = (error: unknown, { aggregateType, aggregateId }: AggregateChange) =>
  console.error(`The change of ${aggregateType} '${aggregateId}' could not be processed:`, error)

interface News {
  /** Index of the aggregate's first record in the batch. */
  readonly firstAt: number
  readonly change: AggregateChange
}

/** Merges all records of one aggregate into one change. */
function aggregatesOf(records: readonly DynamoDbStreamRecord[]): readonly News[] {
  const byAggregate = new Map<string, News>()
  for (const [at, told] of dynamoDbChanges(records).entries()) {
    if (told === undefined) continue
    const { aggregateType, aggregateId, sequence } = told
    const key = JSON.stringify([aggregateType, aggregateId])
    const { firstAt, change } = byAggregate.get(key) ?? { firstAt: at, change: { ...told, first: sequence } }
    const [first, last] = [Math.min(change.first ?? sequence, sequence), Math.max(change.sequence, sequence)]
    byAggregate.set(key, { firstAt, change: { aggregateType, aggregateId, first, sequence: last } })
  }
  return [...byAggregate.values()]
}
