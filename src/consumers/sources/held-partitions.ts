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

/** Partitions that a consumer of the log holds, with their failures. */
export class HeldPartitions {
  checkpoints: readonly LogCheckpoint[] = []
  failed: FailedAggregates | undefined
  /** A run has kept the leases for later runs; its caller will release them. */
  isKept = false
  /** Other processes may take some of the partitions. */
  isShared = false
  /** Longest remaining time of other leases in milliseconds. */
  remainingMs = 0
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #beyond = new Set<string>()
  /** Partitions whose unreadable events this process has checked, with their epoch. */
  readonly #seen = new Set<string>()
  /** Number of partitions that had something to do when they were taken. */
  #wanted = 1

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
  }

  get isEmpty(): boolean {
    return this.checkpoints.length === 0
  }

  /** Other processes hold some partitions that have something to do. */
  get isPartial(): boolean {
    return this.checkpoints.length < this.#wanted
  }

  covering(event: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>): LogCheckpoint | undefined {
    return this.checkpoints.find((checkpoint) => checkpoint.covers(event))
  }

  /**
   * Returns whether this process has held a partition, and so knows which of its failed events it
   * can read.
   */
  hasSeen({ epoch }: Layout, partition: number): boolean {
    return this.#seen.has(`${epoch}/${partition}`)
  }

  /** Replaces the held partitions. Returns false if the layout is not the one in use. */
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

  /** Reads the failures. With `isAnew`, another process may have held the partitions in between. */
  async loadFailed(resumes: number, isAnew: boolean): Promise<void> {
    if (isAnew) this.failed = new FailedAggregates(this.#core, this.#processor, this.#beyond)
    await this.failed?.load(resumes)
  }

  /** Renews the leases. @throws LeaseLost */
  async prove(): Promise<void> {
    await eachEnded(this.checkpoints.map(({ lease }) => lease.prove({ freshly: true })))
  }

  /** Releases all partitions except these. */
  async release(kept: readonly LogCheckpoint[] = [], { saves = true } = {}): Promise<void> {
    const released = this.checkpoints.filter((checkpoint) => !kept.includes(checkpoint))
    // Failures are stored with the checkpoint that skips them.
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
