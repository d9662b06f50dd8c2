import type { EventEnvelope } from '../event-envelope.ts'
import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'
import type { Commit, ViewWrite } from '../store/commit.ts'
import type { Store } from '../store/store.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { AggregateSlots } from './aggregate-slot.ts'
import type { CommandLimit } from './command-limit.ts'
import type { CommitQueue } from './commit-queue.ts'
import type { Together } from './decided.ts'
import type { Loaded } from './loaded.ts'
import type { NewEvents } from './new-events.ts'

/** The shared parts of one app. */
export interface Core {
  readonly store: Store
  readonly runtime: Runtime
  readonly isoText: (time: Date) => string
  readonly maxAttempts: number
  readonly slots: AggregateSlots
  readonly commitQueue: CommitQueue
  readonly limit: CommandLimit
  readonly queries: readonly Query[]
  readonly onQueryError: (error: unknown, events: readonly EventEnvelope[]) => unknown
  readonly observe: ((what: Observation) => void) | undefined
  /** Called with each stored commit of a command. */
  readonly onStored: Set<(commit: Commit) => void>
  /** For calls without a signal. */
  readonly neverAborts: AbortSignal
}

/** Receives all events of one command, types erased. */
export type Query = (events: readonly EventEnvelope[]) => unknown

/** One aggregate type in an app. */
export interface WiredAggregate {
  readonly definition: AggregateDefinition
  readonly services: unknown
  /** `undefined` for an aggregate without inline views, unique values and deadlines. */
  readonly inlineViews: InlineViews | undefined
}

/**
 * Returns the rows that these events change, `undefined` for none: of inline views, unique values
 * and deadlines.
 */
export type InlineViews = (
  aggregateId: string,
  added: NewEvents,
  base: Loaded,
  together: Together | undefined,
) => InlineRows | undefined

/** The rows that one commit changes. */
export interface InlineRows {
  /**
   * Other aggregates may write some of them too, so the next command is not decided before this
   * commit is stored.
   */
  readonly areShared: boolean
  /** Runs `task` while no other commit of this process writes a shared row. */
  exclusively<T>(task: () => Promise<T>): Promise<T>
  /**
   * Computes the rows after the events of the commit. The first attempt may use cached rows.
   *
   * @throws Refused
   */
  compute(base: Loaded, attempt: number): Promise<ComputedRows>
  /**
   * Prepares another attempt after a row or its generation has moved.
   *
   * @throws ConflictError after too many
   */
  retry(on: 'view' | 'generation', attempt: number): Promise<void>
}

export interface ComputedRows {
  readonly writes: readonly ViewWrite[]
  /** The rows that only this aggregate writes, as they will be. */
  readonly rows: Loaded['rows']
}
