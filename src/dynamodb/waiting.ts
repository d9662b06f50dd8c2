const firstPauseMs = 20
const longestPauseMs = 1_000

/** Growing pauses with full jitter, up to a deadline. */
export class Waiting {
  readonly #until: number
  #longest = firstPauseMs

  constructor(forMs: number) {
    this.#until = performance.now() + forMs
  }

  /** Pauses before the next attempt. Returns `false` at once after the deadline. */
  async pause(): Promise<boolean> {
    const left = this.#until - performance.now()
    if (left <= 0) return false
    await sleep(Math.min(Math.random() * this.#longest, left))
    this.#longest = Math.min(this.#longest * 2, longestPauseMs)
    return true
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Limits the number of concurrent calls; others wait in order. */
export class Semaphore {
  #free: number
  readonly #queue: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#queue.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
