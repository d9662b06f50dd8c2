import type { Loaded } from './cache.ts'
import type { Sent } from './commit-queue.ts'

/** The state an aggregate will have when a commit that was sent is stored. */
export interface Tip {
  readonly state: Loaded
  readonly sent: Sent
  /** The same for all that were built on one another. */
  readonly chain: object
  /** Whether it was stored in the end, perhaps with views that had to be computed again. Never rejects. */
  readonly stored: Promise<boolean>
}

/** The newest state of each aggregate that has commits under way. The next command of this process is decided on it, without waiting for the store. */
export class UnderWay {
  readonly #tips = new Map<string, Tip>()

  get(place: string): Tip | undefined {
    return this.#tips.get(place)
  }

  /** Puts `tip` on top, or in the place of the one it is sent instead of, where nothing was built on that yet. */
  put(place: string, instead: Tip | undefined, tip: Tip): void {
    if (instead === undefined || this.#tips.get(place) === instead) this.#tips.set(place, tip)
  }

  /** It is settled: what it led to is in the store, or will never be, and then neither will what was built on it. */
  leave(place: string, { chain, stored }: Pick<Tip, 'chain' | 'stored'>, wasStored: boolean): void {
    const top = this.#tips.get(place)
    if (top?.stored === stored || (!wasStored && top?.chain === chain)) this.#tips.delete(place)
  }
}
