import { checkBoolean, checkOptions } from '../util/options.ts'
import { type LambdaContext, withinTime } from './time.ts'

/** What is asked of the app: that of `createApp` fits. */
export interface DrainApp {
  drain(options?: {
    readonly budgetMs?: number | undefined
    readonly reconcile?: boolean | undefined
    readonly signal?: AbortSignal | undefined
  }): Promise<Drained>
}

/** How far a run of a schedule has come. */
export interface Drained {
  /** False when something is left, has stopped, waits after a failure or runs in another process. */
  readonly caughtUp: boolean
  /** How many were taken. */
  readonly events: number
}

/** What `onSchedule` takes besides the app. */
export interface ScheduleOptions {
  /** On a store without a global order that follows its stream by itself, also look at every aggregate: what the stream told may have been lost. Default `false`. */
  readonly reconcile?: boolean
}

/** Answers how far it has come. */
export interface ScheduleFunction {
  (event: unknown, context?: LambdaContext): Promise<Drained>
  /** As `ScheduledHandler` of `@types/aws-lambda` has it: a schedule does not look at the answer. */
  (event: unknown, context?: LambdaContext): Promise<void>
}

/**
 * A Lambda function that runs async views and subscriptions until they have caught up, or until half a second before its time is up: for a schedule of EventBridge. What is left
 * is for the next time. Answers `{ caughtUp, events }`.
 *
 * A function that gets the stream of a DynamoDB table can miss what Lambda has given up on. On a `dynamoDbStore` without a `streamsClient` each run looks at every aggregate, and finds it; with one,
 * `reconcile: true` makes it do so.
 *
 * @throws DefinitionError for wrong options, and from the function what `app.drain` throws
 *
 * @example
 * ```ts
 * import { createApp } from 'cqrs-es'
 * import { onSchedule } from 'cqrs-es/lambda'
 * import { memoryStore } from 'cqrs-es/memory'
 *
 * const app = createApp({ store: memoryStore(), aggregates: {} }) // your aggregates, views and subscriptions
 *
 * export const handler = onSchedule(app)
 *
 * console.log(await handler({})) // { caughtUp: true, events: 0 }
 * ```
 */
export function onSchedule(app: DrainApp, options: ScheduleOptions = {}): ScheduleFunction {
  checkOptions('onSchedule', options, ['reconcile'])
  const { reconcile = false } = options
  checkBoolean('onSchedule: reconcile', reconcile)
  function run(event: unknown, context?: LambdaContext): Promise<Drained>
  function run(event: unknown, context?: LambdaContext): Promise<void>
  function run(_event: unknown, context?: LambdaContext): Promise<Drained | void> {
    return withinTime(context, (begin) => begin((signal, budgetMs) => app.drain({ budgetMs, reconcile, signal })))
  }
  return run
}
