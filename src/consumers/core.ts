import type { Position } from '../event-envelope.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { CommitQueue } from '../execution/commit-queue.ts'
import type { Core } from '../execution/core.ts'
import type { StoredEvent, ViewWrite } from '../store/commit.ts'

/** What all consumers of an app share. */
export interface ConsumerCore extends Core {
  readonly consumerQueue: CommitQueue
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  /** Names this app to the leases. */
  readonly holder: () => string
  readonly leaseMs: number
  readonly pollMs: number
  readonly pulse: Pulse
}

/** What an app knows of all that it runs. */
export interface Pulse {
  /** What the last run of each came to, by its title. */
  readonly results: ReadonlyMap<string, RunResult>
  /** They are kept running. */
  readonly isFollowing: boolean
  /** Something may be new: to those that follow one of these aggregate types, else to all. */
  wake(aggregateTypes?: readonly string[]): void
  /** Calls `listener` whenever something may be new; returns how to stop. */
  onWake(listener: () => void): () => void
}

/** What one run is asked for. */
export interface RunRequest {
  readonly budgetMs?: number | undefined
  /** About so many events at the most. */
  readonly maxEvents?: number | undefined
  /** Only up to here. */
  readonly until?: Position | undefined
  /** Keep the lease for the next run, which comes soon, or until `release`. A run that does not keep leaves what others have kept. */
  readonly keep?: boolean
  /** `false`: rows of another version are left as they are, for the program that rebuilds them. */
  readonly rebuild?: boolean
  /** Also look at every aggregate, where there is no global order: a notification may have been lost. */
  readonly reconcile?: boolean | undefined
  /** Rows to store with the last checkpoint when `until` is reached. */
  readonly finish?: readonly ViewWrite[] | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * What a run came to. `caught-up`: there was no more. `more`: there is. `elsewhere`: another process has the lease. `stopped`:
 * an event cannot be processed. `waiting`: it cannot be processed yet. `outdated`: it, or the view, is of a newer program.
 */
export interface RunResult {
  readonly state: 'caught-up' | 'more' | 'elsewhere' | 'stopped' | 'waiting' | 'outdated'
  readonly events: number
  readonly error?: unknown
  /** With `caught-up`: all up to here is done, by whichever process; left out where it is not known. */
  readonly reached?: Position
  /** With `outdated`: the event that is left to a newer program; left out where it is the view. */
  readonly leftAt?: StoredEvent
  /** When something that failed is tried again next. */
  readonly nextDue?: Date
  /** Other processes have some of its partitions. */
  readonly isPartial?: boolean
  /** With `elsewhere` or `isPartial`: for up to this long. */
  readonly remainingMs?: number
}
