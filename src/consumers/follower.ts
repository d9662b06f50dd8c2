import type { Position } from '../event-envelope.ts'
import type { CatchUpOutcome, Change } from './change.ts'
import type { RunRequest, RunResult } from './consumption.ts'

/** What an app keeps running: a subscription, or a view behind the events. */
export interface Follower {
  /** What people call it, at the beginning of a sentence. */
  readonly title: string
  /** Goes on from where it stands. @throws StoreError */
  run(request?: RunRequest): Promise<RunResult>
  /**
   * Brings aggregates up to their ends, where there is no order of all events; one outcome per change, in order. `isWaitedFor`: what has to be rebuilt first has failed.
   */
  catchUp(changes: readonly Change[], signal: AbortSignal | undefined, isWaitedFor?: boolean): Promise<readonly CatchUpOutcome[]>
  /** Whether somebody, in whichever process, has asked for something to be tried again; left out where nothing is set aside. */
  readonly isAsked?: (() => Promise<boolean>) | undefined
  /** Renews the lease that earlier runs have kept; left out where what failed needs none while it waits. */
  hold?(): Promise<void>
  /** Gives up the lease that earlier runs have kept. */
  release(): Promise<void>
  /** Another process has the lease. */
  isHeld(): Promise<boolean>
  /** All up to here is done, by whichever process. */
  position(): Promise<Position>
  /** Why it stands still, `undefined` when it does not. */
  trouble(): Promise<unknown>
  /** Lets it go on behind what has stopped it. */
  resume(): Promise<void>
  /** Aggregates that wait since an event of theirs was parked. */
  parked(): Promise<number>
}
