import { liveGeneration } from '../store/generations.ts'
import type { Store } from '../store/store.ts'

/** Which generation of each view to write, as far as this process knows. A commit that names a wrong one is refused by the store, so being late does no harm. */
export class Generations {
  readonly #store: Store
  readonly #live = new Map<string, number>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Without a read, until the store has said that it is wrong. */
  assumed(name: string): number {
    return this.#live.get(name) ?? 1
  }

  /** For who was told to be wrong. */
  async refresh(names: readonly string[]): Promise<void> {
    for (const name of names) this.#live.set(name, liveGeneration(await this.#store.viewGenerations(name)))
  }
}
