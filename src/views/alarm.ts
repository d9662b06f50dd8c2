import type { Runtime } from '../runtime.ts'

/** A sleep that a wake-up ends early. */
export class Alarm {
  readonly #runtime: Runtime
  #sleeping: AbortController | undefined
  /** Wake-ups so far. */
  wakes = 0

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  wake(): void {
    this.wakes++
    this.#sleeping?.abort()
  }

  /** Sleeps up to `ms`; returns at once if a wake-up came since `wakes` was read. */
  async sleep(ms: number, wakes = this.wakes): Promise<void> {
    if (wakes !== this.wakes) return
    const sleeping = new AbortController()
    this.#sleeping = sleeping
    await this.#runtime.sleep(ms, sleeping.signal).catch(() => {})
  }
}
