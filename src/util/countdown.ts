interface Clock {
  now(): Date
}

/** What is left of a time. A clock that is set back gives nothing back. */
export class Countdown {
  readonly #runtime: Clock
  #leftMs: number
  #seenAt: number

  /** `ms`: without it the time is never over. */
  constructor(runtime: Clock, ms: number = Number.POSITIVE_INFINITY) {
    this.#runtime = runtime
    this.#leftMs = ms
    this.#seenAt = runtime.now().getTime()
  }

  /** In milliseconds, at least 0. */
  get leftMs(): number {
    const now = this.#runtime.now().getTime()
    this.#leftMs -= Math.max(0, now - this.#seenAt)
    this.#seenAt = now
    return Math.max(0, this.#leftMs)
  }

  get isOver(): boolean {
    return this.leftMs === 0
  }
}
