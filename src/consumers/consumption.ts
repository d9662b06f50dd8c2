import type { AggregateDefinition } from '../aggregate-definition.ts'
import type { Position } from '../event-envelope.ts'
import type { Decoded } from '../evolution/decode.ts'
import type { CommitQueue } from '../execution/commit-queue.ts'
import type { Core } from '../execution/core.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { Effects, Lane, Place } from './lane.ts'

/** What all consumers of an app share. */
export interface ConsumerCore extends Core {
  readonly consumerQueue: CommitQueue
  readonly definitions: ReadonlyMap<string, AggregateDefinition>
  /** Names this app to the leases. */
  readonly holder: string
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
  /** Something may be new. */
  wake(): void
}

/** Something that reads the log and keeps a checkpoint. */
export interface Consumption {
  /** Of its lease and its checkpoint. */
  readonly name: string
  /** What people call it, at the beginning of a sentence: `The subscription 'mailer'`. */
  readonly title: string
  readonly aggregateTypes: readonly string[]
  readonly from: 'beginning' | 'now' | Position
  /** 64 parts, each with its own lease and checkpoint, so that several processes share it. */
  readonly slotted: boolean
  /** Events handed over at once, at the most. */
  readonly batchSize: number
  /** Called when leases were taken, and every few seconds, before anything is processed. `false`: there is nothing to do any more; a number: so many events were taken. */
  begin?(turns: readonly Turn[]): Promise<boolean | number>
  /** What was set aside and shall be tried again, where the place of each aggregate is its own. */
  again?(): Promise<readonly Again[]>
  process(batch: readonly Decoded[], turn: Turn): Promise<Processed>
}

/** An aggregate whose parked event shall be tried again. */
export interface Again {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Answers how many of its events were taken. */
  deliver(turn: Turn): Promise<number>
}

/** The circumstances of some processing. */
export interface Turn {
  readonly lane: Place
  /** Aborts when the lease is lost or the app closes. */
  readonly signal: AbortSignal
  /** No more shall be begun: time is up, or the app closes. */
  readonly isOver: () => boolean
}

/** How far the processing of a batch has come. */
export interface Processed extends Effects {
  /** So many of the first are done, or will be when the effects are stored. */
  readonly done: number
  /** Why the next one is not. */
  readonly failure?: Failure | undefined
  /** The effects are stored. */
  stored?(): void
  /** What the effects rest on had been moved by others: it must be looked at again. */
  moved?(on: 'view' | 'generation'): void | Promise<void>
}

/** Why an event could not be taken. */
export interface Failure {
  readonly error: unknown
  readonly at: StoredEvent
  /** `outdated`: it is left to a newer program, and nothing is stored about it. */
  readonly next: 'stop' | 'wait' | 'outdated'
  /** It could not be decoded, so that a program which can read it need not be told to go on. */
  readonly isUnreadable?: true
}

/** What one run is asked for. */
export interface RunRequest {
  readonly budgetMs?: number | undefined
  /** About so many events at the most. */
  readonly maxEvents?: number | undefined
  /** Only up to here. */
  readonly until?: Position | undefined
  /** Keep the lease for the next run, which comes soon, or until `release`. Who does not keep leaves what others have kept. */
  readonly keep?: boolean
  /** `false`: rows of another version are left as they are, for who is there to rebuild them. */
  readonly rebuild?: boolean
  /** Also look at every aggregate, where there is no order of all events: the news of it may have been lost. */
  readonly reconcile?: boolean | undefined
  /** Called under the lease when `until` is reached. */
  readonly finish?: ((lane: Lane) => Promise<void>) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * What a run came to. `caught-up`: there was no more. `more`: there is. `elsewhere`: another process has the lease. `stopped`: an event cannot be taken. `waiting`: an event
 * could not be taken yet. `outdated`: it, or the view, is of a newer program.
 */
export interface RunResult {
  readonly state: 'caught-up' | 'more' | 'elsewhere' | 'stopped' | 'waiting' | 'outdated'
  readonly events: number
  readonly error?: unknown
  /** With `outdated`: the event that is left to a newer program; left out where it is the view. */
  readonly leftAt?: StoredEvent
  /** Other processes have the rest of what it is divided into. */
  readonly isPartial?: boolean
  /** With `elsewhere` or `isPartial`: for how long at the most. */
  readonly remainingMs?: number
}
