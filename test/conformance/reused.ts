import { afterAll } from 'vitest'

/** What a case may leave rows in. */
export const tables = [
  'events',
  'state_snapshots',
  'idempotency_keys',
  'views',
  'view_indexes',
  'view_generations',
  'checkpoints',
  'leases',
] as const

/** Where a case finds the tables it needs. */
export interface Reusable {
  /** Makes the tables. */
  fill(): Promise<void>
  /** Deletes all rows, once no transaction of the last case is under way. */
  empty(): Promise<void>
  remove(): Promise<void>
}

/**
 * Keeps the tables of finished cases for later ones: to make them takes longer than most cases. A few take turns, so that what a finished case
 * still sends does not reach the next one.
 */
export class Reused<T extends Reusable> {
  static readonly #turns = 4
  readonly #make: () => Promise<T>
  readonly #free: T[] = []

  constructor(make: () => Promise<T>) {
    this.#make = make
    afterAll(async () => {
      for (const one of this.#free) await one.remove()
    })
  }

  async take(): Promise<T> {
    const free = this.#free.length >= Reused.#turns ? this.#free.shift() : undefined
    if (free !== undefined) return free
    const made = await this.#make()
    await made.fill()
    return made
  }

  async giveBack(one: T): Promise<void> {
    await one.empty()
    this.#free.push(one)
  }
}
