/** @module cqrs-es */
// Aggregates
export {
  type Aggregate,
  type AggregateDeclaration,
  type AggregateExtension,
  type AggregateOptions,
  type AggregateTypes,
  type AnyAggregate,
  type CommandOf,
  type DeadlineOf,
  defineAggregate,
  type Envelope,
  type EnvelopeOf,
  type EventOf,
  type HandlerContext,
  type RejectionsOf,
  type SnapshotPolicy,
  type StateOf,
  type Taken,
  type TypesOf,
} from './aggregate.ts'
// App
export type { Accepted, AggregateHandle, Rejected, RejectedBy } from './aggregate-handle.ts'
export {
  type App,
  type AppOptions,
  createApp,
  type ServicesOption,
  type SqlViewHandle,
} from './app.ts'
// Subscriptions
export type { AggregateChange } from './consumers/change.ts'
export type { DrainResult, Leftover } from './consumers/definitions.ts'
export type { ConsumerHandle } from './consumers/handle.ts'
export type { Holder } from './consumers/look.ts'
export type { ResetOptions, ResetTarget } from './consumers/reset.ts'
export type { AppHealth, ConsumerHealth, ConsumerStatus } from './consumers/status.ts'
// Deadlines
export { deadlines } from './deadlines/deadlines.ts'
export type { DeadlinesHandle, ListDeadlines, WaitingDeadline } from './deadlines/handle.ts'
// Processes
export type { Due, Duration } from './due/duration.ts'
// Errors
export {
  ApplyError,
  ClosedError,
  ConflictError,
  CqrsError,
  type CqrsErrorCode,
  DefinitionError,
  DeserializationError,
  IdempotencyError,
  InvalidEventError,
  type Issue,
  isCqrsError,
  NotYetError,
  OutcomeUnknownError,
  OverloadedError,
  StoppedError,
  StoreError,
  type StoreErrorCode,
  ValidationError,
  ViewOutdatedError,
} from './errors.ts'
// Events and messages
export type { EnvelopeContext, EventEnvelope, Metadata, Position } from './event-envelope.ts'
// Evolution
export { type StoredForm, semanticVersionUpcaster, type Upcaster } from './evolution/upcaster.ts'
export { type Versioned, versions } from './evolution/versions.ts'
export type { ExecuteOptions } from './execution/call.ts'
export type { Adopted } from './execution/extension.ts'
export {
  type DataOf,
  type Message,
  type MessageInput,
  noData,
  type ReadonlyData,
  type SchemaInput,
  type SchemaOutput,
  type Shape,
  type Shapes,
  type StandardSchema,
  type Typed,
  typed,
} from './message.ts'
export type { Observation } from './observation.ts'
export type { Instance, ListInstances, ProcessHandle } from './processes/handle.ts'
export { defineProcess, type ProcessOptions } from './processes/process.ts'
export type {
  Callable,
  CallContext,
  CallReply,
  Calls,
  CallTo,
  EventHandlers,
  Failed,
  Process,
  ProcessDeclaration,
  ReplyFrom,
  ReplyHandlers,
  SendOf,
  Step,
  StepContext,
  StepOf,
  TimerHandlers,
  TimerInput,
  Waiting,
} from './processes/types.ts'
export { type Rejection, reject } from './reject.ts'
export { platformRuntime, type Runtime } from './runtime.ts'
export type { SendTo, SentCommand } from './send-to.ts'
// Stores
export type { Store } from './store/store.ts'
export type { FailedEvent, FailedPage, ListFailed, SkippedEvent } from './subscriptions/failed-events.ts'
export type { SubscriptionHandle } from './subscriptions/handle.ts'
export type { ReactionOptions } from './subscriptions/reaction.ts'
export {
  type BatchContext,
  defineSubscription,
  type OnFailure,
  type RetryPolicy,
  type Subscription,
  type SubscriptionApp,
  type SubscriptionContext,
  type SubscriptionOptions,
} from './subscriptions/subscription.ts'
// Unique values
export { unique } from './unique/unique.ts'
// Views
export type { ReloadReason, ViewChange } from './views/listener.ts'
export type { RebuildOptions, RebuildProgress } from './views/rebuild-handle.ts'
export { defineSqlView, type SqlView, type SqlViewOptions } from './views/sql-view.ts'
export { defineView, type View, type ViewOptions } from './views/view.ts'
export type { ViewTypes } from './views/view-types.ts'
export type { ChangesOptions, FindOptions, IndexCondition, ViewHandle, ViewRow } from './views/views.ts'
