import { ClosedError } from './errors.ts'

/** Counts what is under way, so that closing can wait for it. */
export class Lifecycle {
  #pending = 0
  #closed = false
  #idle: (() => void)[] = []

  /** @throws ClosedError after `close` */
  check(what: string): void {
    if (this.#closed) throw new ClosedError(`${what} was called after app.close().`)
  }

  /** Runs a task that `close` waits for. @throws ClosedError after `close` */
  async run<T>(what: string, task: () => Promise<T>): Promise<T> {
    this.check(what)
    this.#pending++
    try {
      return await task()
    } finally {
      if (--this.#pending === 0 && this.#closed) for (const wake of this.#idle.splice(0)) wake()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}
