import { checkBoolean, checkOptions } from '../util/options.ts'
import { type LambdaContext, withinTime } from './time.ts'

/** The part of an app that is needed; an app of `createApp` has it. */
export interface DrainApp {
  drain(options?: {
    readonly budgetMs?: number | undefined
    readonly reconcile?: boolean | undefined
    readonly signal?: AbortSignal | undefined
  }): Promise<Drained>
}

/** Progress of a scheduled run. */
export interface Drained {
  /**
   * False when events are left, or a consumer has stopped, waits after a failure or runs elsewhere.
   */
  readonly caughtUp: boolean
  /** Number of processed events. */
  readonly events: number
}

/** Options of `onSchedule`. */
export interface ScheduleOptions {
  /**
   * Also check every aggregate. Default `false`.
   *
   * For a store without a global order that reads its own stream, which may have lost changes.
   */
  readonly reconcile?: boolean
}

/** The Lambda function: returns its progress. */
export interface ScheduleFunction {
  (event: unknown, context?: LambdaContext): Promise<Drained>
  /** Matches `ScheduledHandler` of `@types/aws-lambda`: a schedule ignores the result. */
  (event: unknown, context?: LambdaContext): Promise<void>
}

/**
 * Makes a Lambda function, for an EventBridge schedule, that runs async views and subscriptions.
 *
 * It runs until they have caught up, or until half a second before its time is up; the next run
 * continues. Returns `{ caughtUp, events }`.
 *
 * A function on the stream of a DynamoDB table misses records that Lambda has given up on. A
 * scheduled run finds them because it checks every aggregate. It does so on a `dynamoDbStore`
 * without a `streamsClient`; with one, set `reconcile: true`.
 *
 * @throws DefinitionError for wrong options, and from the function the errors of `app.drain`
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
