import { processorRows } from '../../store/internal-rows.ts'
import type { ConsumerCore, RunRequest } from '../core.ts'
import type { Layout } from '../layout.ts'
import type { Processor } from '../processor.ts'
import { changeLayout } from '../relayout.ts'

/** Minimum time between changes of the number of partitions. */
const betweenChangesMs = 60_000

/**
 * Divides a processor as its definition says, once: later, running older programs follow a newer
 * one.
 */
export class LayoutChanges {
  readonly #core: ConsumerCore
  readonly #processor: Processor
  /** False after a change by this or a newer program. */
  #mayChange: boolean
  #epoch: number | undefined

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
    this.#mayChange = processor.mode === 'act'
  }

  /** Returns whether `change` is due. Call it with each layout that is read. */
  isDue({ epoch, partitions, changedAt }: Layout): boolean {
    this.#epoch ??= epoch
    if (epoch !== this.#epoch || partitions === this.#processor.partitions) this.#mayChange = false
    const now = this.#core.runtime.now().getTime()
    if (!this.#mayChange || Math.abs(now - changedAt) < betweenChangesMs) return false
    this.#mayChange = false
    return true
  }

  /** Changes the layout. Returns false if other processes hold partitions or won the race. */
  change({ budgetMs, signal }: RunRequest, partitions = this.#processor.partitions): Promise<boolean> {
    return changeLayout(this.#core, this.#processor.name, partitions, { budgetMs, signal })
  }

  /**
   * Finishes a change of another process, which may have died. Returns false if the change has to
   * be awaited.
   */
  async finish({ epoch, partitions }: Layout, request: RunRequest): Promise<boolean> {
    const { value } = await processorRows.read(this.#core.store, this.#processor.name)
    return value?.epoch !== epoch || this.change(request, partitions)
  }
}
