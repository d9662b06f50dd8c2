import { abortable } from '../runtime.ts'

/** Runs the tasks of one key one after the other, in the order they came; those of different keys at once. */
export class KeyedQueue {
  /** Who waits, for each key that a task runs for. */
  readonly #waiting = new Map<string, (() => void)[]>()

  /** Waits for its turn; `signal` gives the place up with the signal's reason, but does not stop a task that runs. */
  async run<T>(key: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) this.#waiting.set(key, [])
    else await turn(waiting, signal)
    try {
      return await task()
    } finally {
      this.#leave(key)
    }
  }

  #leave(key: string): void {
    const next = this.#waiting.get(key)?.shift()
    if (next === undefined) this.#waiting.delete(key)
    else next()
  }
}

const turn = (waiting: (() => void)[], signal: AbortSignal | undefined): Promise<void> =>
  abortable(signal, (start) => {
    waiting.push(start)
    return () => waiting.splice(waiting.indexOf(start), 1)
  })
