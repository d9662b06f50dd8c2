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

/** What is due is looked for this often, where a run lasts for longer. */
const lookMs = 1_000
/** Aggregates that could not be read and can be now are tried again so many at a time. */
const mostReadable = 50

/** What this process knows of a failed aggregate while it holds its partition. */
export interface Known {
  readonly aggregateType: string
  readonly aggregateId: string
  /** As it is stored, where that is known. */
  version: number | undefined
  /** `undefined`: nothing waits any more. */
  value: FailedRow | undefined
  isUnsaved: boolean
  isSaving: boolean
  isBusy: boolean
  /** Another program has to try it. */
  isLeft?: true
}

/** Rows that are about to be stored. */
interface UnsavedRows {
  writes(): Promise<readonly ViewWrite[]>
  saved(): void
  /** They are to be stored by the next save. */
  notSaved(): void
  /** The same, and others have changed one of them. */
  moved(): Promise<void>
}

/** The aggregates whose events wait behind one that failed: the reader passes over them. */
export class FailedAggregates {
  readonly #core: ConsumerCore
  readonly #processor: Processor
  readonly #known = new Map<string, Known>()
  /** Rows that this program cannot read either, with their versions. */
  readonly #beyond: Set<string>
  /** What is left to look at of those that no program could read. */
  #unreadable: Iterator<Failed> | AsyncIterator<Failed> | undefined
  #isComplete = false
  #resumes = 0
  /** When nothing was due any more; 0 in a new run. */
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

  /** Something may wait for its time. */
  get mayBeDue(): boolean {
    return !this.#isComplete || [...this.#known.values()].some(({ value }) => value?.nextTryAt !== undefined)
  }

  /** A run begins, or a part of a long one. What can be read again is forgotten where there is much of it. */
  begin(): void {
    this.#exhaustedAt = 0
    if (!this.#isComplete) this.#forget()
  }

  #forget(): void {
    for (const [aggregate, known] of this.#known)
      if (!known.isUnsaved && !known.isSaving && !known.isBusy) this.#known.delete(aggregate)
  }

  /** Reads what is stored, but for what this process is about to store. */
  async load(resumes: number): Promise<void> {
    this.#resumes = resumes
    const { items, next } = await findFailed(this.#core, this.#processor.name, mostFailed)
    this.#isComplete = next === undefined
    for (const row of items) this.#learn(row)
    const unreadable = () => items.filter(({ value }) => value.unreadable).values()
    this.#unreadable = this.#isComplete ? unreadable() : unreadableRows(this.#core, this.#processor.name)
  }

  /** Looks on for what no program could read so far, up to some that this one can. False: there is no more. */
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
    // It was saved since the row was read.
    if (known?.version !== undefined && known.version > version) return
    this.#known.set(aggregateOf(value), { ...newOf(value), version, value })
  }

  /** Before `has`: reads what is not known of these aggregates. */
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

  /** What waits in an aggregate from now on: stored by the next save. */
  set({ aggregateType, aggregateId }: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>, value: FailedRow | undefined): void {
    const aggregate = aggregateOf({ aggregateType, aggregateId })
    const known = this.#known.get(aggregate)
    if (known !== undefined) Object.assign(known, { value, isUnsaved: true })
    else this.#known.set(aggregate, { ...newOf({ aggregateType, aggregateId }), value, isUnsaved: true })
  }

  /** It is not tried any more in this process, as long as it holds the partition. */
  leave(known: Known): void {
    known.isLeft = true
  }

  /** Those to try now, the oldest first; some of them at a time. They are busy until somebody says otherwise. */
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

  /** What waits now and is not stored, to be stored with a checkpoint of the same moment. One of the last three says what came of it. */
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

  /** Somebody may have skipped it, or want it tried now: theirs counts where it is further on. */
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
