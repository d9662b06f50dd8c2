import type { Position } from '../event-envelope.ts'
import type { Runtime } from '../runtime.ts'
import { comparePositions } from '../store/order.ts'
import type { RunResult } from './core.ts'
import { laterOf } from './positions.ts'

/**
 * Lag after which a consumer without events of its own runs, so that its checkpoint keeps up with
 * the log.
 */
const mostPassed = 1_000

/** Wakes the loop of one consumer when something may be new to it. */
export class Bell {
  readonly #runtime: Runtime
  readonly #listeners = new Set<() => void>()
  #rings = 0
  /** Position of an event of its own, seen since its last run began. */
  #newAt: Position | undefined
  /** Position up to which its last run left nothing to do. */
  #reached: Position | undefined
  #isRunning = false

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** Reports that something may be new. */
  ring(): void {
    this.#rings++
    this.#tell()
  }

  /**
   * Reports a read of the log up to `end`: the first event of the consumer's own is at `newAt`, if
   * there is any.
   */
  look(newAt: Position | undefined, end: Position): void {
    const reached = this.#reached
    const isLagging = reached !== undefined && Number(end) - Number(reached) > mostPassed
    if (newAt !== undefined && (reached === undefined || comparePositions(newAt, reached) > 0)) this.#newAt = newAt
    else if (!isLagging) return
    else if (!this.#isRunning) this.#rings++
    if (!this.#isRunning) this.#tell()
  }

  /** Starts a run. Returns the number that `isRung` and `wait` expect. */
  begin(): number {
    this.#isRunning = true
    this.#newAt = undefined
    return this.#rings
  }

  end({ state, reached }: RunResult): void {
    this.#isRunning = false
    this.#reached = state === 'caught-up' ? reached : undefined
    if (this.#reached !== undefined && this.#newAt !== undefined && laterOf(this.#reached, this.#newAt) === this.#reached)
      this.#newAt = undefined
  }

  /** Returns whether something may be new since a run began. */
  isRung(since: number): boolean {
    return this.#rings !== since || this.#newAt !== undefined
  }

  /** Waits up to `ms` until something may be new. */
  async wait(ms: number | undefined, since: number, signal: AbortSignal): Promise<boolean> {
    if (this.isRung(since)) return true
    const done = new AbortController()
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#listeners.delete(wake)
        signal.removeEventListener('abort', wake)
        done.abort()
        resolve()
      }
      this.#listeners.add(wake)
      signal.addEventListener('abort', wake)
      if (signal.aborted) wake()
      if (ms !== undefined) this.#runtime.sleep(ms, done.signal).then(wake, () => {})
    })
    return this.isRung(since)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
