import { whenAborted } from './abort.ts'
import { Turns } from './turns.ts'

/**
 * Runs the tasks of one key one at a time, in order of arrival. Tasks of different keys run
 * concurrently.
 */
export class KeyedQueue {
  /** For each key that a task runs for. */
  readonly #turns = new Map<string, Turns>()

  /**
   * Waits for the turn of the task. `signal` ends the wait with its reason, but does not stop a
   * running task. A task may `leave` before it ends, which starts the next one; so does `until`
   * when it aborts.
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
