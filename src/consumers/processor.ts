import type { Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { CheckpointWrite, CommitOutcome, StoredEvent, ViewWrite } from '../store/commit.ts'
import type { OnceResults } from '../store/internal-rows.ts'
import type { Besides } from './besides.ts'
import type { AggregateChange } from './change.ts'

/** Processes events. Knows nothing of leases, positions and stores. */
export interface Processor {
  /** Name of its leases, checkpoints and rows in the store. */
  readonly name: string
  /** Name at the beginning of a sentence: `The subscription 'mailer'`. */
  readonly title: string
  /** Name of its definition. */
  readonly label: string
  readonly kind: 'subscription' | 'publication' | 'process' | 'view' | 'sqlView'
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  /**
   * With `fold`, all its effects are stored with the checkpoint. With `act`, it has outside
   * effects, at least once, and the checkpoint follows.
   */
  readonly mode: 'fold' | 'act'
  /** Parts of the log, each with its own lease and checkpoint, so that processes share the work. */
  readonly partitions: number
  /** Events of different aggregates in parallel per process. With 1, all are in log order. */
  readonly concurrency: number
  /** Largest number of events per `take`. */
  readonly batchSize: number
  /** Policy for an event that cannot be processed. */
  readonly onFailure: 'stop' | 'retry' | 'park' | RetryLater
  /** Returns the number of instances that are stuck, up to `most`. */
  readonly stuck?: (most: number) => Promise<number>
  /** Work besides events, under the same lease. */
  readonly besides?: Besides
  /** Returns whether nothing is left to do. Called under a lease, before events are read. */
  isFinished?(): Promise<boolean>
  take(events: readonly Decoded[], turn: Turn): Promise<Taken>
  /** Receives the outcome of saving the last `take`. */
  settled?(taken: Taken, outcome: Saved): void
}

/** Returns whether only the aggregate of a failed event waits, while others continue. */
export const setsAside = ({ onFailure }: Pick<Processor, 'onFailure'>): boolean => onFailure !== 'stop' && onFailure !== 'retry'

/** Returns whether the row of a processor has its start: a view has its own, and begins at the beginning. */
export const keepsStart = ({ kind }: Pick<Processor, 'kind'>): boolean => kind !== 'view' && kind !== 'sqlView'

/** Retries a failed event at stored times; later events of its aggregate wait. */
export interface RetryLater {
  readonly retry: { readonly firstMs: number; readonly factor: number; readonly maxMs: number; readonly forMs: number }
  /** Policy after `forMs`. */
  readonly then: 'park' | 'stop'
}

/** Context of a `take`. */
export interface Turn {
  /** Earlier failures of the first event. Absent if only the processor counts them. */
  readonly failures?: number
  /** Results of `once`. Absent if the processor only folds. */
  readonly results?: Results
  /** Aborts when the lease is lost or the app closes. */
  readonly signal: AbortSignal
  /** Verifies that this process still holds the lease. @throws LeaseLost */
  prove(): Promise<void>
  /** Returns whether nothing more should begin: time is up, or the app closes. */
  isOver(): boolean
}

/** Results that handlers have stored for events that are not done. */
export interface Results {
  /** The results of a later event replace those of an event, which must be saved as done before. */
  readonly holdsOneEvent?: true
  /** Returns the results of an event by key. */
  of(event: StoredEvent): OnceResults | undefined
  /** Stores a result, unless the event has passed. @throws LeaseLost */
  store(event: StoredEvent, key: string, result: { readonly value?: unknown }): Promise<void>
}

/** Result of a `take`. */
export interface Taken {
  /** Number of leading events that are done, or will be when the effects are stored. */
  readonly done: number
  readonly effects?: Effects
  /** Why the next event is not done. */
  readonly failure?: Failure | undefined
  /** Aggregates to process to their ends before the next event, without a global order. */
  readonly first?: readonly AggregateChange[]
}

/** Writes to store together with a checkpoint. */
export interface Effects {
  readonly rows?: readonly ViewWrite[] | undefined
  /** In place of rows: the user's own statements, in the transaction of the checkpoint. */
  readonly transaction?: ((commit: CheckpointCommit) => Promise<CommitOutcome>) | undefined
}

/** The commit of a checkpoint alone. */
export interface CheckpointCommit {
  readonly id: string
  readonly checkpoint: CheckpointWrite & { readonly expectedPosition: string | null }
}

/** Why an event could not be processed. */
export interface Failure {
  readonly at: StoredEvent
  readonly error: unknown
  /**
   * With `outdated`, it is left to a newer program, and nothing is stored. With `unreadable`, no
   * program can read it as it is. With `failed`, a handler or an update threw.
   */
  readonly kind: 'outdated' | 'unreadable' | 'failed'
  /** Attempts in all. */
  readonly attempts?: number
  /**
   * Exception to the policy.
   *
   * With `all`, the event is not the cause, such as when a broker is away: everything waits for a
   * retry. With `never`, a retry would fail in the same way.
   */
  readonly retry?: 'all' | 'never'
}

/**
 * Outcome of a save. With `moved`, another process changed a row, and nothing was stored. With
 * `superseded`, the generation of the rows must not be written any more.
 */
export type Saved = 'saved' | 'moved' | 'superseded'

/** Progress of a processor; only saves move it. */
export interface Checkpoint {
  isDone(event: StoredEvent): boolean
  /**
   * Stores that everything up to and including `last` is done, with its effects.
   *
   * @throws LeaseLost
   */
  save(last: StoredEvent, effects?: Effects): Promise<Saved>
}
