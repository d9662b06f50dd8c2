import type { Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { CheckpointWrite, CommitOutcome, StoredEvent, ViewWrite } from '../store/commit.ts'

/** What is done with events. It knows nothing of leases, positions and stores. */
export interface Processor {
  /** Of its leases, its checkpoints and its rows in the store. */
  readonly name: string
  /** What people call it, at the beginning of a sentence: `The subscription 'mailer'`. */
  readonly title: string
  /** The name of its definition. */
  readonly label: string
  readonly kind: 'subscription' | 'view' | 'sqlView'
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  /**
   * `fold`: all it does is in its effects, which are stored with the checkpoint. `act`: it does something outside, at least
   * once, and the checkpoint follows.
   */
  readonly mode: 'fold' | 'act'
  /** Parts of the log, each with a lease and a checkpoint of its own, so that several processes share the work. */
  readonly partitions: number
  /** Events of different aggregates that are processed at the same time, in one process. With 1 all are in the order of the log. */
  readonly concurrency: number
  /** Events given to `take` at once, up to. */
  readonly batchSize: number
  /** What becomes of an event that cannot be processed. */
  readonly onFailure: 'stop' | 'retry' | 'park' | RetryLater
  /** There is nothing to do any more. Asked under a lease, before events are read. */
  isFinished?(): Promise<boolean>
  take(events: readonly Decoded[], turn: Turn): Promise<Taken>
  /** What became of the effects of the last `take`. */
  settled?(taken: Taken, outcome: Saved): void
}

/** Whether an aggregate whose event failed waits by itself, while others go on. */
export const setsAside = ({ onFailure }: Pick<Processor, 'onFailure'>): boolean => onFailure !== 'stop' && onFailure !== 'retry'

/** An event that failed is tried again at times that are stored, and what follows it in its aggregate waits. */
export interface RetryLater {
  readonly retry: { readonly firstMs: number; readonly factor: number; readonly maxMs: number; readonly forMs: number }
  /** What becomes of it when `forMs` is over. */
  readonly then: 'park' | 'stop'
}

/** The circumstances of some processing. */
export interface Turn {
  /** How often the first event failed before; left out where only the processor knows. */
  readonly failures?: number
  /** Aborts when the lease is lost or the app closes. */
  readonly signal: AbortSignal
  /** Makes sure that the lease is still ours. @throws LeaseLost */
  prove(): Promise<void>
  /** Nothing more shall begin: time is up, or the app closes. */
  isOver(): boolean
}

/** How far the processing of some events has come. */
export interface Taken {
  /** So many of the first are done, or will be when the effects are stored. */
  readonly done: number
  readonly effects?: Effects
  /** Why the next one is not. */
  readonly failure?: Failure | undefined
}

/** What is stored together with a checkpoint. */
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
   * `outdated`: it is left to a newer program, and nothing is stored about it. `unreadable`: no program can read it as it is.
   * `failed`: a handler or an update threw.
   */
  readonly kind: 'outdated' | 'unreadable' | 'failed'
  /** How often it was tried, in all. */
  readonly attempts?: number
}

/**
 * What became of a save. `moved`: others have changed a row, and nothing was stored. `superseded`: the rows are of a generation
 * that must not be written any more.
 */
export type Saved = 'saved' | 'moved' | 'superseded'

/** How far a processor has come: the only thing that moves it. */
export interface Checkpoint {
  isDone(event: StoredEvent): boolean
  /** All up to and with `last` is done, and stored with its effects. @throws LeaseLost */
  save(last: StoredEvent, effects?: Effects): Promise<Saved>
}
