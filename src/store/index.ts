/** @module cqrs-es/store */
export { DeserializationError, StoreError, type StoreErrorCode } from '../errors.ts'
export type { EnvelopeContext, Metadata, Position } from '../event-envelope.ts'
export type { Append, CheckpointWrite, Commit, CommitOutcome, StoredEvent, ViewWrite } from './commit.ts'
export type { Checkpoint, LeaseAnswer, StoredConsumer } from './consumer.ts'
export { eventId } from './event-id.ts'
export type { InexactNumbers } from './exact-json.ts'
export { FailedDependencies } from './failed-dependencies.ts'
export { type CheckpointFacts, type CommitFacts, findConflict } from './find-conflict.ts'
export { addedState, canSwitch, isWritable, liveGeneration } from './generations.ts'
export { type Head, isDecidedOn, noEvents } from './head.ts'
export { encodeIndexValue, type IndexValue } from './index-value.ts'
export { compareBytes, comparePositions } from './order.ts'
export type { PayloadFormat } from './payload-format.ts'
export { type SerializedCommit, serializeCommit } from './serialize-commit.ts'
export type {
  AggregatePage,
  AggregateRequest,
  Capabilities,
  ChangesPage,
  ChangesRequest,
  FeedPage,
  FeedRequest,
  IdsPage,
  IdsRequest,
  KeyRequest,
  LogEvent,
  Store,
  StoredKey,
  StoredSnapshot,
  StoredView,
  ViewFind,
  ViewGeneration,
  ViewKey,
  ViewPage,
} from './store.ts'
