import type { PendingCommit } from './commit-queue.ts'
import type { Loaded } from './loaded.ts'

/**
 * The expected state of an aggregate once a commit in flight is stored. The next command of this
 * process is decided on it.
 */
export interface PendingState {
  readonly state: Loaded
  readonly commit: PendingCommit
  /** Of the first of the commits that build on one another, and the same for all of them. */
  readonly chain: Fate
  readonly fate: Fate
}

/** Whether a commit is stored in the end, perhaps with views that had to be computed again. */
export class Fate {
  #isStored: boolean | undefined
  #waiting: ((isStored: boolean) => void)[] | undefined

  /** Never rejects. */
  isStored(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#isStored !== undefined) return resolve(this.#isStored)
      this.#waiting ??= []
      this.#waiting.push(resolve)
    })
  }

  settle(isStored: boolean): void {
    this.#isStored = isStored
    for (const resolve of this.#waiting ?? []) resolve(isStored)
    this.#waiting = undefined
  }
}
