import type { StoredEvent } from '../store/commit.ts'
import type { FailedRow, OnceResults } from '../store/internal-rows.ts'
import type { FailedAggregates } from './failed-aggregates.ts'
import type { LogCheckpoint } from './log-checkpoint.ts'
import type { Results } from './processor.ts'
import type { Saver } from './saver.ts'
import { aggregateOf } from './window.ts'

/** Keeps results in the checkpoint; those of a failed event, in the row of its aggregate. */
export class LogResults implements Results {
  readonly #checkpoints: readonly LogCheckpoint[]
  readonly #failed: FailedAggregates | undefined
  readonly #saver: Saver

  constructor(checkpoints: readonly LogCheckpoint[], failed: FailedAggregates | undefined, saver: Saver) {
    this.#checkpoints = checkpoints
    this.#failed = failed
    this.#saver = saver
  }

  of(event: StoredEvent): OnceResults | undefined {
    const row = this.#waiting(event)
    if (row === undefined) return this.#checkpoint(event)?.resultsOf(event)
    return row.sequence === event.sequence ? row.once : undefined
  }

  async store(event: StoredEvent, key: string, result: { readonly value?: unknown }): Promise<void> {
    const row = this.#waiting(event)
    if (row === undefined) this.#checkpoint(event)?.keep(event, key, result)
    else if (row.sequence <= event.sequence) {
      const once = { ...this.of(event), [key]: result }
      // The events between have been processed, and lose their results.
      const { sequence } = event
      this.#failed?.set(event, { ...row, ...(row.sequence < sequence && { sequence, attempts: 0 }), once })
    }
    await this.#saver.save()
  }

  /** Adds the results of the failed event to its row. */
  added(row: FailedRow, event: StoredEvent): FailedRow {
    const once = this.of(event)
    return once === undefined ? row : { ...row, once }
  }

  #waiting(event: StoredEvent): FailedRow | undefined {
    return this.#failed?.get(aggregateOf(event))?.value
  }

  #checkpoint(event: StoredEvent): LogCheckpoint | undefined {
    return this.#checkpoints.find((one) => one.covers(event))
  }
}
