import type { Position } from '../event-envelope.ts'
import type { Asked } from './asked.ts'
import type { AggregateChange, CatchUpOutcome } from './change.ts'
import type { RunRequest, RunResult } from './core.ts'
import type { Watched } from './look.ts'
import type { ResetOptions } from './reset.ts'

/** A processor with its source, as an app runs it. */
export interface Consumer {
  /** Name at the beginning of a sentence. */
  readonly title: string
  /** Continues from the checkpoint. @throws StoreError */
  run(request?: RunRequest): Promise<RunResult>
  /**
   * Processes aggregates up to their ends, where there is no global order. Returns one outcome per
   * change, in order. With `isWaitedFor`, a view that needs a rebuild first fails.
   */
  catchUp(
    changes: readonly AggregateChange[],
    signal: AbortSignal | undefined,
    isWaitedFor?: boolean,
  ): Promise<readonly CatchUpOutcome[]>
  /** Aggregate types whose events it processes. */
  readonly aggregateTypes: readonly string[]
  /** Requests from any process; absent if the consumer accepts none. */
  readonly asked?: Asked | undefined
  /** Returns whether work besides events is due. Absent if there is no such work. */
  readonly isDue?: () => Promise<boolean>
  /** Makes the next run check again for stops and requests. */
  lookAgain(): void
  /** Renews the leases that earlier runs kept. */
  hold(): Promise<void>
  /** Releases the leases that earlier runs kept. */
  release(): Promise<void>
  /** Returns whether another process holds a lease of it. */
  isHeld(): Promise<boolean>
  /** Returns the position up to which everything is done, in any process. */
  position(): Promise<Position>
  /** Returns what a status is computed from. */
  watched(): Promise<Watched>
  /** Continues after a stop, and retries everything parked. */
  resume(): Promise<void>
  /** Returns the time of the next retry of a failed event, in any process. */
  nextDue(): Promise<Date | undefined>
}

/** A consumer that can be reset to another position. */
export interface ResettableConsumer extends Consumer {
  /**
   * Continues at another position.
   *
   * @throws ValidationError, DefinitionError, NotYetError, and the signal's reason
   */
  reset(options: ResetOptions, signal: AbortSignal): Promise<void>
}
