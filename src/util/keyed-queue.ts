import { abortable, whenAborted } from './abort.ts'

interface Waiting {
  /** Those whose turn came once and who have to try again. */
  readonly again: (() => void)[]
  readonly first: (() => void)[]
}

/** Runs the tasks of one key one after the other, in the order they came; those of different keys at once. */
export class KeyedQueue {
  /** Who waits, for each key that a task runs for. */
  readonly #waiting = new Map<string, Waiting>()

  /**
   * Waits for its turn; `signal` gives the place up with the signal's reason, but does not stop a task that runs. A task may `leave` before it ends, which lets the
   * next one begin, as `until` does when it aborts. With `again` it goes before those who have not had a turn yet.
   */
  async run<T>(
    key: string,
    task: (leave: () => void) => Promise<T>,
    signal?: AbortSignal,
    { again = false, until }: { readonly again?: boolean; readonly until?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) this.#waiting.set(key, { again: [], first: [] })
    else await turn(again ? waiting.again : waiting.first, signal)
    let left = false
    const leave = () => {
      if (!left) this.#next(key)
      left = true
    }
    const forget = until && whenAborted(until, leave)
    try {
      return await task(leave)
    } finally {
      forget?.()
      leave()
    }
  }

  #next(key: string): void {
    const waiting = this.#waiting.get(key)
    const next = waiting?.again.shift() ?? waiting?.first.shift()
    if (next === undefined) this.#waiting.delete(key)
    else next()
  }
}

const turn = (waiting: (() => void)[], signal: AbortSignal | undefined): Promise<void> =>
  abortable(signal, (start) => {
    waiting.push(start)
    return () => waiting.splice(waiting.indexOf(start), 1)
  })
