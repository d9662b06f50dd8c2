import type { Position } from '../event-envelope.ts'
import type { Asked } from './asked.ts'
import type { AggregateChange, CatchUpOutcome } from './change.ts'
import type { RunRequest, RunResult } from './core.ts'
import type { Watched } from './look.ts'
import type { ResetOptions } from './reset.ts'

/** A processor with its source, as an app runs it. */
export interface Consumer {
  /** What people call it, at the beginning of a sentence. */
  readonly title: string
  /** Continues from its checkpoint. @throws StoreError */
  run(request?: RunRequest): Promise<RunResult>
  /**
   * Brings aggregates up to their ends, where there is no global order; one outcome per change, in order. `isWaitedFor`: what
   * has to be rebuilt first has failed.
   */
  catchUp(
    changes: readonly AggregateChange[],
    signal: AbortSignal | undefined,
    isWaitedFor?: boolean,
  ): Promise<readonly CatchUpOutcome[]>
  /** The aggregates whose events it processes. */
  readonly aggregateTypes: readonly string[]
  /** How it learns that someone, in whichever process, has asked for something; left out where nobody can. */
  readonly asked?: Asked | undefined
  /** Makes the next run look for what has stopped it, or was asked for. */
  lookAgain(): void
  /** Renews the leases that earlier runs have kept. */
  hold(): Promise<void>
  /** Gives up the leases that earlier runs have kept. */
  release(): Promise<void>
  /** Another process has a lease of it. */
  isHeld(): Promise<boolean>
  /** All up to here is done, by whichever process. */
  position(): Promise<Position>
  /** What a look at it is about. */
  watched(): Promise<Watched>
  /** Lets it continue behind what has stopped it, and has everything parked tried again. */
  resume(): Promise<void>
  /** When something that failed is tried again next, in whichever process. */
  nextDue(): Promise<Date | undefined>
}

/** One that can be set back or forward. */
export interface ResettableConsumer extends Consumer {
  /** @throws ValidationError, DefinitionError, NotYetError, and the signal's reason */
  reset(options: ResetOptions, signal: AbortSignal): Promise<void>
}
