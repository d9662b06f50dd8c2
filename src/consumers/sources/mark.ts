import type { StoredEvent } from '../../store/commit.ts'
import { type OnceResults, type SeenRow, seenRows } from '../../store/internal-rows.ts'
import type { StoredView } from '../../store/store.ts'
import type { ConsumerCore } from '../core.ts'
import type { Checkpoint, Effects, Results, Saved } from '../processor.ts'
import { saveRows } from '../rows.ts'

/** Period since the last reset; 1 before the first. */
export interface Era {
  readonly epoch: number
  /** Target of the reset: `beginning`, or a time, ISO 8601. */
  readonly since?: string | undefined
}

/** Progress of a processor in one aggregate: its checkpoint where there is no global order. */
export class AggregateMark implements Checkpoint, Results {
  readonly holdsOneEvent = true
  sequence = 0
  /**
   * Events wait after a failed one. Stored in the row that every save moves, so that skipping and
   * ending the wait conflict with each other instead of racing.
   */
  waits = false
  /** The start position in an aggregate not met before is set. */
  hasBegun = false
  /** Stored before the last reset that this process knows. */
  isOlder = false
  readonly #core: ConsumerCore
  readonly #id: string
  readonly #era: () => Era
  #version = 0
  #epoch = 1
  #once: SeenRow['once']

  constructor(core: ConsumerCore, id: string, era: () => Era) {
    this.#core = core
    this.#id = id
    this.#era = era
  }

  get isNew(): boolean {
    return this.#version === 0
  }

  get key() {
    return seenRows.key(this.#id)
  }

  /** Sets the start position of a processor that has not met this aggregate. */
  beginAt(sequence: number): void {
    this.sequence = sequence
    this.hasBegun = true
  }

  isDone({ sequence }: StoredEvent): boolean {
    return sequence <= this.sequence
  }

  async read(): Promise<void> {
    const [row] = await this.#core.store.readViews([this.key])
    this.take(row)
  }

  /** Takes over the row as read. */
  take(row: StoredView | undefined): void {
    const { version, value: seen } = seenRows.parse(this.#id, row)
    const { epoch } = this.#era()
    const stored = seen?.epoch ?? 1
    this.#version = version
    // Another process may have learned of a reset first.
    this.#epoch = Math.max(epoch, stored)
    this.isOlder = seen !== undefined && stored < epoch
    const isKnown = seen !== undefined && !this.isOlder
    this.sequence = isKnown ? seen.sequence : this.hasBegun ? this.sequence : 0
    this.waits = isKnown && seen.isParked === true
    this.#once = seen?.once
  }

  of({ sequence }: StoredEvent): OnceResults | undefined {
    return this.#once?.sequence === sequence ? this.#once.results : undefined
  }

  /** Stores a result with the mark, which first moves up to its event. */
  async store(event: StoredEvent, key: string, result: OnceResults[string]): Promise<void> {
    const { sequence } = event
    for (;;) {
      const hasPassed = !this.waits && this.isDone(event)
      // Another process has stored the result, or is further ahead.
      if (hasPassed || this.of(event)?.[key] !== undefined || (this.#once?.sequence ?? 0) > sequence) return
      const results = { ...this.of(event), [key]: result }
      if ((await this.move(sequence - 1, {}, this.waits, { sequence, results })) === 'saved') return
    }
  }

  save({ sequence }: StoredEvent, effects?: Effects): Promise<Saved> {
    return this.move(sequence, effects)
  }

  /**
   * Moves the mark, never back. Drops the results of an event that has passed. If another process was faster, nothing is stored, and the mark is
   * read again.
   */
  async move(to: number, { rows = [] }: Effects = {}, waits = this.waits, results = this.#once): Promise<Saved> {
    const sequence = Math.max(this.sequence, to)
    const isOpen = results !== undefined && (waits || (results.sequence > sequence && !this.isOlder))
    const once = isOpen ? results : undefined
    const epoch = this.#epoch
    const seen: SeenRow = { sequence, ...(waits && { isParked: true }), ...(epoch > 1 && { epoch }), ...(once && { once }) }
    const write = seenRows.write({ id: this.#id, version: this.#version }, seen)
    const saved = await saveRows(this.#core, [...rows, write])
    if (saved === 'saved') {
      this.#version++
      this.sequence = sequence
      this.waits = waits
      this.#once = once
      this.isOlder = false
    } else await this.read()
    return saved
  }
}
