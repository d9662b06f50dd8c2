import type { AggregateDefinition } from '../aggregate-definition.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'
import type { Commit } from '../store/commit.ts'
import type { Store } from '../store/store.ts'
import type { Loaded, StateCache } from './cache.ts'
import type { CommitQueue } from './commit-queue.ts'
import type { Gate } from './gate.ts'
import type { KeyedQueue } from './keyed-queue.ts'
import type { NewEvents } from './new-events.ts'
import type { Settled } from './result.ts'
import type { UnderWay } from './under-way.ts'

/** What the parts of one app share. */
export interface Core {
  readonly store: Store
  readonly runtime: Runtime
  readonly retries: number
  readonly cache: StateCache
  /** Commands on one aggregate are decided one after another: they could not win against each other anyway. */
  readonly aggregateQueue: KeyedQueue
  readonly commitQueue: CommitQueue
  readonly underWay: UnderWay
  readonly gate: Gate
  readonly queries: readonly Query[]
  readonly onQueryError: (error: unknown, events: readonly EventEnvelope[]) => unknown
  readonly observe: ((what: Observation) => void) | undefined
  /** Called with each commit of a command that was stored. */
  readonly onStored: Set<(commit: Commit) => void>
  /** For callers that give none. */
  readonly neverAborts: AbortSignal
}

/** Receives all events of one command, types erased. */
export type Query = (events: readonly EventEnvelope[]) => unknown

/** One aggregate type in an app. */
export interface WiredAggregate {
  readonly definition: AggregateDefinition
  readonly services: unknown
  /** Sends a commit together with the inline views it changes; `undefined` without any. */
  readonly sendWithViews: SendWithViews | undefined
}

/**
 * Sends one commit until its fate is known. `rows`: the view rows of this aggregate alone, as they will be then. `mayBeBuiltOn`: the next command on the aggregate
 * need not wait for it.
 */
export type Send = (commit: Commit, rows: Loaded['rows'], mayBeBuiltOn: boolean) => Promise<Settled>
export type SendWithViews = (send: Send, commit: Commit, aggregateId: string, base: Loaded, added: NewEvents) => Promise<Settled>
