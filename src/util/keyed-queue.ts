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
    const { turn, leave } = this.#enter(key, signal)
    if (turn !== undefined) await turn
    const forget = until && whenAborted(until, leave)
    try {
      return await task(leave)
    } finally {
      forget?.()
      leave()
    }
  }

  /**
   * Runs a task that needs the turns of several keys.
   *
   * Turns are taken in one order, so that two such tasks never deadlock.
   */
  async runAll<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    const taken: (() => void)[] = []
    try {
      for (const key of [...new Set(keys)].sort()) {
        const { turn, leave } = this.#enter(key)
        if (turn !== undefined) await turn
        taken.push(leave)
      }
      return await task()
    } finally {
      for (const leave of taken) leave()
    }
  }

  #enter(key: string, signal?: AbortSignal): { readonly turn: Promise<void> | undefined; readonly leave: () => void } {
    const turns = this.#turns.get(key) ?? new Turns()
    this.#turns.set(key, turns)
    const turn = turns.take(signal, false)
    let left = false
    const leave = () => {
      if (left) return
      left = true
      turns.pass()
      if (!turns.isTaken) this.#turns.delete(key)
    }
    return { turn, leave }
  }
}
