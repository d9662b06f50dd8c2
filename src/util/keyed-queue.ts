import { whenAborted } from './abort.ts'
import { Turns } from './turns.ts'

/** Runs the tasks of one key one after the other, in the order they came; those of different keys at once. */
export class KeyedQueue {
  /** For each key that a task runs for. */
  readonly #turns = new Map<string, Turns>()

  /**
   * Waits for its turn; `signal` gives up waiting with the signal's reason, but does not stop a task that runs. A task may `leave` before it ends, which lets the
   * next one begin, as `until` does when it aborts.
   */
  async run<T>(
    key: string,
    task: (leave: () => void) => Promise<T>,
    signal?: AbortSignal,
    { until }: { readonly until?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const turns = this.#turns.get(key) ?? new Turns()
    this.#turns.set(key, turns)
    const turn = turns.take(signal, false)
    if (turn !== undefined) await turn
    let left = false
    const leave = () => {
      if (left) return
      left = true
      turns.pass()
      if (!turns.isTaken) this.#turns.delete(key)
    }
    const forget = until && whenAborted(until, leave)
    try {
      return await task(leave)
    } finally {
      forget?.()
      leave()
    }
  }
}
