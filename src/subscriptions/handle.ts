import type { ConsumerHandle } from '../consumers/handle.ts'
import type { ResetOptions } from '../consumers/reset.ts'
import type { FailedEvent, FailedPage, ListFailed, SkippedEvent } from './failed-events.ts'

/** A subscription of an app. */
export interface SubscriptionHandle extends ConsumerHandle {
  /**
   * Lists failed events, in pages of `limit` (1–1,000, default 100), in no order. With `state`,
   * only those that wait for a retry, or only those that are parked.
   * @throws ValidationError, StoreError, ClosedError
   */
  parked(options?: ListFailed): Promise<FailedPage<FailedEvent>>
  /**
   * Retries one failed event now. Returns `false` if it has not failed or is already dealt with.
   * @throws StoreError, ClosedError
   */
  retry(eventId: string): Promise<boolean>
  /**
   * Skips one event for good: one that failed, or one at which the subscription has stopped.
   * Records the skip with its reason, and delivers the later events of its aggregate. Returns
   * `false` if the event has not failed or is already dealt with.
   * @throws ValidationError without a reason, StoreError, ClosedError
   */
  skip(eventId: string, options: { readonly reason: string; readonly by?: string | undefined }): Promise<boolean>
  /**
   * Lists skipped events, the latest first, in pages of `limit` (1–1,000, default 100).
   * @throws ValidationError, StoreError, ClosedError
   */
  skipped(options?: {
    readonly limit?: number | undefined
    readonly after?: string | undefined
  }): Promise<FailedPage<SkippedEvent>>
  /**
   * Moves the subscription to a place: delivers later events again, or passes over undelivered
   * ones. Also ends a stop. Events that failed after that place are delivered again; earlier
   * failures stay. Commands sent with `reaction` are not stored twice; all other effects happen
   * again. Waits up to `leaseMs` and 5 s for running handlers.
   * @throws ValidationError for an invalid option, a position after the end of the log or a time in
   * the future. DefinitionError for a position where the store has no global order. NotYetError
   * when handlers ran for too long. StoreError, ClosedError
   *
   * @example
   * ```ts
   * import { createApp, defineAggregate, defineSubscription, typed } from 'cqrs-es'
   * import { memoryStore } from 'cqrs-es/memory'
   *
   * const task = defineAggregate({
   *   type: 'task',
   *   events: { Assigned: typed<{ to: string }>() },
   *   commands: { Assign: typed<{ to: string }>() },
   *   initialState: () => ({}),
   * }).implement({
   *   handle: { Assign: (_, data) => ({ type: 'Assigned', data }) },
   *   apply: { Assigned: (state) => state },
   * })
   * const mailer = defineSubscription({
   *   name: 'mailer',
   *   aggregates: [task],
   *   handle: (event) => console.log(event.id),
   * })
   *
   * const app = createApp({ store: memoryStore(), aggregates: { task }, subscriptions: { mailer } })
   * await app.aggregates.task.execute('t-1', { type: 'Assign', data: { to: 'ann' } })
   * await app.drain() // task/t-1/1
   * await app.subscriptions.mailer.reset({ to: 'beginning', reason: 'the mails were lost' })
   * await app.drain() // task/t-1/1
   * await app.close()
   * ```
   */
  reset(options: ResetOptions): Promise<void>
}
