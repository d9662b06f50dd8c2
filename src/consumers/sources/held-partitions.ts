import type { StoredEvent } from '../../store/commit.ts'
import type { ConsumerCore } from '../core.ts'
import { eachEnded } from '../each-ended.ts'
import { FailedAggregates } from '../failed-aggregates.ts'
import type { Layout } from '../layout.ts'
import { LeaseLost } from '../lease.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import { takePartitions } from '../partitions.ts'
import { beginning } from '../positions.ts'
import type { Processor } from '../processor.ts'
import { Saver } from '../saver.ts'

/** The partitions that a consumer of the log holds, and what has failed in them. */
export class HeldPartitions {
  checkpoints: readonly LogCheckpoint[] = []
  failed: FailedAggregates | undefined
  /** A run has kept the leases for runs to come, and its caller will give them up. */
  isKept = false
  /** Other processes may take some of the partitions. */
  isShared = false
  /** Others may have the rest for up to this long. */
  remainingMs = 0
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #beyond = new Set<string>()
  /** Partitions whose unreadable events this process has looked at, with their epoch. */
  readonly #seen = new Set<string>()
  /** Partitions that had something to do when they were taken. */
  #wanted = 1

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
  }

  get isEmpty(): boolean {
    return this.checkpoints.length === 0
  }

  /** Others have some that have something to do. */
  get isPartial(): boolean {
    return this.checkpoints.length < this.#wanted
  }

  covering(event: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>): LogCheckpoint | undefined {
    return this.checkpoints.find((checkpoint) => checkpoint.covers(event))
  }

  /** Whether this process has held a partition, and so knows which of its failed events it can read. */
  hasSeen({ epoch }: Layout, partition: number): boolean {
    return this.#seen.has(`${epoch}/${partition}`)
  }

  /** Takes some, in place of those that it has. False: the layout is not the one in use. */
  async take(layout: Layout, wanted: readonly number[]): Promise<boolean> {
    const { checkpoints, remainingMs, isStale } = await takePartitions(this.#core, this.#processor.name, layout, wanted)
    const names = checkpoints.map(({ lease }) => lease.name)
    await eachEnded(this.checkpoints.filter(({ lease }) => !names.includes(lease.name)).map(({ lease }) => lease.release()))
    this.checkpoints = checkpoints
    for (const { partition } of checkpoints) this.#seen.add(`${layout.epoch}/${partition}`)
    this.remainingMs = remainingMs
    this.#wanted = wanted.length
    this.isShared = layout.partitions > 1
    return !isStale
  }

  /** Reads what has failed. `isAnew`: by another process, it may be, since this one last held them. */
  async loadFailed(resumes: number, isAnew: boolean): Promise<void> {
    if (isAnew) this.failed = new FailedAggregates(this.#core, this.#processor, this.#beyond)
    await this.failed?.load(resumes)
  }

  /** Renews the leases. @throws LeaseLost */
  async prove(): Promise<void> {
    await eachEnded(this.checkpoints.map(({ lease }) => lease.prove({ freshly: true })))
  }

  /** Gives up all but these. */
  async release(kept: readonly LogCheckpoint[] = [], { saves = true } = {}): Promise<void> {
    const released = this.checkpoints.filter((checkpoint) => !kept.includes(checkpoint))
    // What has failed is stored with the checkpoint that passes over it.
    const saver = new Saver(this.#core, released, this.failed)
    this.checkpoints = kept
    if (kept.length === 0) {
      this.isKept = false
      this.failed = undefined
    }
    await eachEnded(
      released.map(async (checkpoint) => {
        try {
          if (saves && checkpoint.progress.at !== beginning) await saver.saveOne(checkpoint).catch(ignoreLost)
        } finally {
          await checkpoint.lease.release()
        }
      }),
    )
  }
}

function ignoreLost(error: unknown): void {
  if (!(error instanceof LeaseLost)) throw error
}
