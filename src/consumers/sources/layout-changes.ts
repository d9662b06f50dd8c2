import { processorRows } from '../../store/internal-rows.ts'
import type { ConsumerCore, RunRequest } from '../core.ts'
import type { Layout } from '../layout.ts'
import type { Processor } from '../processor.ts'
import { changeLayout } from '../relayout.ts'

/** The number of partitions is changed at most this often. */
const betweenChangesMs = 60_000

/** Divides a processor as its definition says: once, since older programs that run already follow the newer one that starts. */
export class LayoutChanges {
  readonly #core: ConsumerCore
  readonly #processor: Processor
  /** Not any more once it has done so, or a newer program has. */
  #mayChange: boolean
  #epoch: number | undefined

  constructor(core: ConsumerCore, processor: Processor) {
    this.#core = core
    this.#processor = processor
    this.#mayChange = processor.mode === 'act'
  }

  /** To be asked with each layout that is read: whether it is to be changed now, by `change`. */
  isDue({ epoch, partitions, changedAt }: Layout): boolean {
    this.#epoch ??= epoch
    if (epoch !== this.#epoch || partitions === this.#processor.partitions) this.#mayChange = false
    const now = this.#core.runtime.now().getTime()
    if (!this.#mayChange || Math.abs(now - changedAt) < betweenChangesMs) return false
    this.#mayChange = false
    return true
  }

  /** False: others have some of the partitions, or were first. */
  change({ budgetMs, signal }: RunRequest, partitions = this.#processor.partitions): Promise<boolean> {
    return changeLayout(this.#core, this.#processor.name, partitions, { budgetMs, signal })
  }

  /** Another process has changed the layout, or has died while it did. False: it has to be waited for. */
  async finish({ epoch, partitions }: Layout, request: RunRequest): Promise<boolean> {
    const { value } = await processorRows.read(this.#core.store, this.#processor.name)
    return value?.epoch !== epoch || this.change(request, partitions)
  }
}
