import type { StoredEvent, ViewWrite } from '../store/commit.ts'
import { type FailedRow, failedRows, type InternalRow } from '../store/internal-rows.ts'
import { rowIdOf } from './change.ts'
import type { ConsumerCore } from './core.ts'
import { failedEventId, isDue } from './failures.ts'
import { type Failed, findDue, findFailed, mostFailed, unreadableRows } from './find-failed.ts'
import type { LogCheckpoint } from './log-checkpoint.ts'
import { canRead } from './outdated.ts'
import type { Processor } from './processor.ts'
import { aggregateOf } from './window.ts'

/** Interval of checks for due retries during a long run. */
const lookMs = 1_000
/** Aggregates per retry among those that have become readable. */
const mostReadable = 50

/** Cached state of a failed aggregate while this process holds its partition. */
export interface Known {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Version of the stored row, if known. */
  version: number | undefined
  /** `undefined`: nothing waits any more. */
  value: FailedRow | undefined
  isUnsaved: boolean
  isSaving: boolean
  isBusy: boolean
  /** Another program has to retry it. */
  isLeft?: true
}

/** Rows that are about to be stored. */
interface UnsavedRows {
  writes(): Promise<readonly ViewWrite[]>
  saved(): void
  /** Marks the rows for the next save. */
  notSaved(): void
  /** Handles a conflict: other processes changed a row, and the next save has the rows again. */
  moved(): Promise<void>
}

/** Aggregates whose events wait after one that failed: the reader skips them. */
export class FailedAggregates {
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #known = new Map<string, Known>()
  /** Rows that this program cannot read either, with their versions. */
  readonly #beyond: Set<string>
  /** Remaining rows that no program could read, still to be checked. */
  #unreadable: Iterator<Failed> | AsyncIterator<Failed> | undefined
  #isComplete = false
  #resumes = 0
  /** Time at which nothing was due any more; 0 in a new run. */
  #exhaustedAt = 0

  /** `beyond` outlives the lease. */
  constructor(core: ConsumerCore, processor: Processor, beyond: Set<string>) {
    this.#core = core
    this.#processor = processor
    this.#beyond = beyond
  }

  get resumes(): number {
    return this.#resumes
  }

  /** A retry may be scheduled. */
  get mayBeDue(): boolean {
    return !this.#isComplete || [...this.#known.values()].some(({ value }) => value?.nextTryAt !== undefined)
  }

  /**
   * Starts a run, or a part of a long one. Drops cached rows that can be read again, if there are
   * many.
   */
  begin(): void {
    this.#exhaustedAt = 0
    if (!this.#isComplete) this.#forget()
  }

  #forget(): void {
    for (const [aggregate, known] of this.#known)
      if (!known.isUnsaved && !known.isSaving && !known.isBusy) this.#known.delete(aggregate)
  }

  /** Reads the stored rows, except those that this process is about to store. */
  async load(resumes: number): Promise<void> {
    this.#resumes = resumes
    const { items, next } = await findFailed(this.#core, this.#processor.name, mostFailed)
    this.#isComplete = next === undefined
    for (const row of items) this.#learn(row)
    const unreadable = () => items.filter(({ value }) => value.unreadable).values()
    this.#unreadable = this.#isComplete ? unreadable() : unreadableRows(this.#core, this.#processor.name)
  }

  /**
   * Checks the next rows that no program could read, up to a number that this one can. Returns
   * false if none is left.
   */
  async #findReadable(now: string, covers: (row: FailedRow) => boolean, isOver: () => boolean): Promise<boolean> {
    for (let found = 0; found < mostReadable && !isOver(); ) {
      const next = await this.#unreadable?.next()
      if (next === undefined || next.done) return false
      const { id, version, value } = next.value
      const place = `${id}/${version}`
      if (!covers(value) || this.#beyond.has(place)) continue
      if (!(await canRead(this.#core, failedEventId(value)))) this.#beyond.add(place)
      else if (this.#wantNow(next.value, now)) found++
    }
    return true
  }

  #wantNow(row: Failed, now: string): boolean {
    this.#learn(row)
    const known = this.#known.get(aggregateOf(row.value))
    if (known?.value === undefined || known.version !== row.version || known.isUnsaved) return false
    this.set(known, { ...known.value, nextTryAt: now })
    return true
  }

  #learn({ version, value }: InternalRow<FailedRow>): void {
    if (value === undefined) return
    const known = this.#known.get(aggregateOf(value))
    if (known?.isUnsaved || known?.isSaving || known?.isBusy) return
    // The row was saved after this read.
    if (known?.version !== undefined && known.version > version) return
    this.#known.set(aggregateOf(value), { ...newOf(value), version, value })
  }

  /** Reads unknown rows of these aggregates; call it before `has`. */
  async lookUp(events: readonly StoredEvent[]): Promise<void> {
    if (this.#known.size > 2 * mostFailed) {
      this.#isComplete = false
      this.#forget()
    }
    if (this.#isComplete) return
    const unknown = new Map(events.map((event) => [aggregateOf(event), event]))
    for (const aggregate of this.#known.keys()) unknown.delete(aggregate)
    if (unknown.size === 0) return
    const { name } = this.#processor
    const ids = await Promise.all([...unknown.values()].map((event) => rowIdOf(name, event)))
    const rows = await this.#core.store.readViews(ids.map((id) => failedRows.key(id)))
    for (const [i, id] of ids.entries()) {
      const row = failedRows.parse(id, rows[i])
      if (row.value !== undefined && !this.#known.has(aggregateOf(row.value))) this.#learn(row)
    }
  }

  has(aggregate: string): boolean {
    return this.#known.get(aggregate)?.value !== undefined
  }

  get(aggregate: string): Known | undefined {
    return this.#known.get(aggregate)
  }

  /** Sets the state of an aggregate, for the next save to store. */
  set({ aggregateType, aggregateId }: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>, value: FailedRow | undefined): void {
    const aggregate = aggregateOf({ aggregateType, aggregateId })
    const known = this.#known.get(aggregate)
    if (known !== undefined) Object.assign(known, { value, isUnsaved: true })
    else this.#known.set(aggregate, { ...newOf({ aggregateType, aggregateId }), value, isUnsaved: true })
  }

  /** Excludes an aggregate from retries in this process, as long as it holds the partition. */
  leave(known: Known): void {
    known.isLeft = true
  }

  /**
   * Returns some rows to retry now, the oldest first. They are busy until a later call settles
   * them.
   */
  async due(covers: (row: FailedRow) => boolean, isOver: () => boolean): Promise<readonly Known[]> {
    const now = this.#core.runtime.now().toISOString()
    const sinceMs = Date.parse(now) - this.#exhaustedAt
    if (sinceMs >= 0 && sinceMs < lookMs) return []
    const isWanted = (known: Known) =>
      known.value !== undefined && !known.isBusy && !known.isLeft && covers(known.value) && isDue(known.value, this.#resumes, now)
    const wanted = () => [...this.#known.values()].filter(isWanted)
    if (!this.#isComplete) {
      const rows = await findDue(this.#core, this.#processor.name, this.#resumes, (row) => {
        const known = this.#known.get(aggregateOf(row))
        return covers(row) && (known === undefined || isWanted(known))
      })
      for (const row of rows) this.#learn(row)
    }
    let due = wanted()
    if (due.length === 0) {
      const isMore = await this.#findReadable(now, covers, isOver)
      due = wanted()
      if (due.length === 0 && !isMore) this.#exhaustedAt = Date.parse(now)
    }
    const placeOf = ({ value }: Known) => value?.nextTryAt ?? value?.triedAt ?? ''
    for (const known of due) known.isBusy = true
    return due.sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
  }

  /**
   * Returns unsaved rows, to be stored with a checkpoint of the same moment. Call one of the last
   * three methods with the result.
   */
  unsaved(checkpoint: LogCheckpoint): UnsavedRows {
    const rows = [...this.#known.values()]
      .filter((known) => known.isUnsaved && checkpoint.covers(known))
      .map((known) => ({ known, value: known.value ?? null }))
    for (const { known } of rows) Object.assign(known, { isUnsaved: false, isSaving: true })
    const written: Known[] = []
    const notSaved = () => {
      for (const { known } of rows) Object.assign(known, { isUnsaved: true, isSaving: false })
    }
    return {
      writes: async () => {
        const writes: ViewWrite[] = []
        for (const { known, value } of rows) {
          const id = await rowIdOf(this.#processor.name, known)
          known.version ??= (await failedRows.read(this.#core.store, id)).version
          if (known.version === 0 && value === null) continue
          written.push(known)
          writes.push(failedRows.write({ id, version: known.version }, value))
        }
        return writes
      },
      saved: () => {
        for (const { known } of rows) known.isSaving = false
        for (const known of written) known.version = (known.version as number) + 1
      },
      notSaved,
      moved: async () => {
        notSaved()
        for (const known of written) await this.#reread(known)
      },
    }
  }

  /**
   * Reads a row again. Another process may have skipped or retried the event: its row wins if it is
   * further ahead.
   */
  async #reread(known: Known): Promise<void> {
    const { version, value } = await failedRows.read(this.#core.store, await rowIdOf(this.#processor.name, known))
    known.version = version
    if (value !== undefined && known.value !== undefined && value.sequence > known.value.sequence) known.value = value
  }
}

const newOf = ({ aggregateType, aggregateId }: Pick<Known, 'aggregateType' | 'aggregateId'>): Known => ({
  aggregateType,
  aggregateId,
  version: undefined,
  value: undefined,
  isUnsaved: false,
  isSaving: false,
  isBusy: false,
})
