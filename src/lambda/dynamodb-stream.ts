import type { AggregateChange } from '../consumers/change.ts'
import { type DynamoDbStreamRecord, dynamoDbChanges } from '../dynamodb/changes.ts'
import { isCqrsError } from '../errors.ts'
import { checkFunction, checkOptions } from '../util/options.ts'
import { type BatchResponse, failuresOf, recordsOf, tell } from './batch.ts'
import { type LambdaContext, withinTime } from './time.ts'

/** What is asked of the app: that of `createApp` fits. */
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

/** What `onDynamoDbStream` takes besides the app. */
export interface DynamoDbStreamOptions {
  /** Told why an aggregate could not be brought up to date, and waited for while there is time. Default: `console.error`. */
  readonly onFailure?: (error: unknown, change: AggregateChange) => unknown
}

/**
 * A Lambda function that keeps async views and subscriptions up to date by the stream of the DynamoDB store's events. Each aggregate that a batch tells of is brought up to its end
 * once, in the order of its sequences: in which order the stream tells, and how often, changes nothing. Items that are no new event are passed over, and aggregates of types that
 * the app does not have.
 *
 * Turn on `ReportBatchItemFailures`. An aggregate that failed, or that time did not suffice for, is reported by its first place in the batch; the others are done, and
 * Lambda goes on at the lowest place reported. Where a handler still runs when time is up, whatever its signal says, all of the batch is reported: what was done is not done again.
 *
 * @throws DefinitionError for wrong options, and from the function for an event of anything else
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

/** All in one call, which is cheaper than one by one; where one of them cannot be asked for, one by one all the same. */
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
  console.error(`The stream's news of ${aggregateType} '${aggregateId}' could not be followed:`, error)

interface News {
  /** Where in the batch the aggregate comes first. */
  readonly firstAt: number
  readonly change: AggregateChange
}

/** All that is told of one aggregate is one change. */
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
