import type { InternalRow } from '../store/internal-rows.ts'
import type { InstanceRow } from './instance-row.ts'

/** Instances that are kept, so that one just saved is not read again. */
const mostKept = 10_000

/** An instance with the version that its next save expects. */
export type StoredInstance = InternalRow<InstanceRow>

/** Instances as this process has stored them last. Another process may have moved them since. */
export class InstanceCache {
  readonly #kept = new Map<string, StoredInstance>()
  /** Ids of the instances that events have changed and nothing has worked on since. */
  readonly #changed = new Set<string>()

  get(id: string): StoredInstance | undefined {
    return this.#kept.get(id)
  }

  put(row: StoredInstance): void {
    if ((this.#kept.get(row.id)?.version ?? 0) > row.version) return
    this.#kept.delete(row.id)
    this.#kept.set(row.id, row)
    if (this.#kept.size > mostKept) for (const id of this.#kept.keys()) if (this.#kept.size > mostKept / 2) this.#kept.delete(id)
  }

  drop(id: string): void {
    this.#kept.delete(id)
  }

  clear(): void {
    this.#kept.clear()
  }

  noteChanged(id: string): void {
    this.#changed.add(id)
  }

  /** Returns the changed instances, and forgets that they have changed. */
  takeChanged(): readonly string[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }
}
