import type { SkippedRow } from '../../store/internal-rows.ts'
import type { ConsumerCore, RunRequest } from '../core.ts'
import type { FailedAggregates } from '../failed-aggregates.ts'
import type { Slice } from '../lease.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import type { Processor } from '../processor.ts'
import type { Saver } from '../saver.ts'
import type { Feed } from './feed.ts'

/** Input of a slice. */
export interface Scene {
  readonly core: ConsumerCore
  readonly processor: Processor
  readonly checkpoints: readonly LogCheckpoint[]
  /** Absent if a failure stops everything. */
  readonly failed: FailedAggregates | undefined
  readonly saver: Saver
  readonly feed: Feed
  readonly request: RunRequest
  readonly slice: Slice
  /** Called while slow handlers delay the end of a run. False: the run ends after them. */
  mayGoOn(): Promise<boolean>
  /** An event to skip. */
  readonly skipped: SkippedRow | undefined
}
