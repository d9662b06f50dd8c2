import type { Store } from '../store/store.ts'

/** Which generation of each view is live, as far as this process knows. A commit that names another one is refused by the store, so being late does no harm. */
export class Generations {
  readonly #store: Store
  readonly #live = new Map<string, number>()

  constructor(store: Store) {
    this.#store = store
  }

  /** For writers: without a read, until the store has said that it is wrong. */
  assumed(name: string): number {
    return this.#live.get(name) ?? 1
  }

  /** For readers and for who was told to be wrong. */
  async live(name: string): Promise<number> {
    const known = this.#live.get(name)
    if (known !== undefined) return known
    const generations = await this.#store.viewGenerations(name)
    const live = generations.find(({ state }) => state === 'live')?.generation ?? 1
    this.#live.set(name, live)
    return live
  }

  async refresh(names: readonly string[]): Promise<void> {
    for (const name of names) {
      this.#live.delete(name)
      await this.live(name)
    }
  }
}
