import type { Position } from '../../event-envelope.ts'
import { type SeenRow, seenRows } from '../../store/internal-rows.ts'
import type { StoredView } from '../../store/store.ts'
import type { ConsumerCore } from '../consumption.ts'
import { type Effects, type Lane, type Place, saveRows } from '../lane.ts'

/** The events of one aggregate, and how far a consumer has come in them. */
export class AggregateLane implements Place {
  sequence = 0
  /** It is in the row that every save moves: who passes over what waits, and who ends the wait, cannot miss each other. */
  isParked = false
  /** It is known where a consumer begins that was never in it. */
  hasBegun = false
  readonly #core: ConsumerCore
  readonly #id: string
  readonly #aggregateType: string
  readonly #aggregateId: string
  readonly #lease: () => Lane | undefined
  #version = 0

  get isNew(): boolean {
    return this.#version === 0
  }

  constructor(core: ConsumerCore, id: string, aggregateType: string, aggregateId: string, lease: () => Lane | undefined) {
    this.#core = core
    this.#id = id
    this.#aggregateType = aggregateType
    this.#aggregateId = aggregateId
    this.#lease = lease
  }

  get position(): Position {
    return String(this.sequence) as Position
  }

  covers(aggregateType: string, aggregateId: string): boolean {
    return aggregateType === this.#aggregateType && aggregateId === this.#aggregateId
  }

  /** Where a consumer that has never been in this aggregate begins. */
  beginAt(sequence: number): void {
    this.sequence = sequence
    this.hasBegun = true
  }

  async prove(): Promise<void> {
    await this.#lease()?.prove()
  }

  /** Where it is stored. */
  get key() {
    return seenRows.key(this.#id)
  }

  async read(): Promise<void> {
    const [row] = await this.#core.store.readViews([this.key])
    this.take(row)
  }

  /** The row as somebody has read it. */
  take(row: StoredView | undefined): void {
    const { version, value: seen } = seenRows.parse(this.#id, row)
    this.#version = version
    this.sequence = seen?.sequence ?? (this.hasBegun ? this.sequence : 0)
    this.isParked = seen?.isParked === true
  }

  async save(reached: Position, { views = [], parks = this.isParked }: Effects = {}): Promise<'saved' | 'view' | 'generation'> {
    const sequence = Math.max(this.sequence, Number(reached))
    const seen: SeenRow = parks ? { sequence, isParked: true } : { sequence }
    const write = seenRows.write({ id: this.#id, version: this.#version }, seen)
    const saved = await saveRows(this.#core, [...views, write])
    if (saved !== 'saved') return saved
    this.#version++
    this.sequence = sequence
    this.isParked = parks
    return saved
  }
}
