import type { Position } from '../event-envelope.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { CommitQueue } from '../execution/commit-queue.ts'
import type { Core } from '../execution/core.ts'
import type { StoredEvent, ViewWrite } from '../store/commit.ts'
import type { AggregateChange } from './change.ts'

/** Shared by all consumers of an app. */
export interface ConsumerCore extends Core {
  readonly consumerQueue: CommitQueue
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  /** Name of this app in leases. */
  readonly holder: () => string
  readonly leaseMs: number
  readonly pollMs: number
  readonly pulse: Pulse
}

/** State of all consumers that an app runs. */
export interface Pulse {
  /** Result of each consumer's last run, by title. */
  readonly results: ReadonlyMap<string, RunResult>
  /** The app was started. */
  readonly isFollowing: boolean
  /** Reports that something may be new to consumers of one of these aggregate types, or to all. */
  wake(aggregateTypes?: readonly string[]): void
  /** Calls `listener` whenever something may be new. Returns a function that stops it. */
  onWake(listener: () => void): () => void
}

/** Options of one run. */
export interface RunRequest {
  readonly budgetMs?: number | undefined
  /** Approximate limit of events. */
  readonly maxEvents?: number | undefined
  /** Position to stop at. */
  readonly until?: Position | undefined
  /**
   * Keeps the lease for the next run, or until `release`. A run without `keep` leaves leases that
   * another run keeps.
   */
  readonly keep?: boolean
  /** `false`: leaves rows of another version to the program that rebuilds them. */
  readonly rebuild?: boolean
  /**
   * Also reads every aggregate, where there is no global order: a notification may have been lost.
   */
  readonly reconcile?: boolean | undefined
  /** Rows to store with the last checkpoint when `until` is reached. */
  readonly finish?: readonly ViewWrite[] | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Result of a run.
 *
 * With `caught-up`, nothing was left. With `more`, there is more to do. With `elsewhere`, another
 * process has the lease. With `stopped`, an event cannot be processed. With `waiting`, it cannot be
 * processed yet. With `outdated`, the event or the view belongs to a newer program.
 */
export interface RunResult {
  readonly state: 'caught-up' | 'more' | 'elsewhere' | 'stopped' | 'waiting' | 'outdated'
  readonly events: number
  readonly error?: unknown
  /** With `caught-up`: everything up to here is done, in any process. Absent if unknown. */
  readonly reached?: Position
  /** With `outdated`: the event that is left to a newer program. Absent if the view is left. */
  readonly leftAt?: StoredEvent
  /** Time of the next retry of a failed event. */
  readonly nextDue?: Date
  /** Inputs besides events that it processed, such as timers of a process. */
  readonly steps?: number
  /** Time of the next timer or retry of a process. Nothing is late until then. */
  readonly dueAt?: Date
  /** Aggregates to process to their ends first, without a global order. */
  readonly first?: readonly AggregateChange[] | undefined
  /** Other processes hold some of its partitions. */
  readonly isPartial?: boolean
  /** With `elsewhere` or `isPartial`: remaining time of other leases. */
  readonly remainingMs?: number
}
