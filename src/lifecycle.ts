import { ClosedError } from './errors.ts'

/** Counts what is under way, so that closing can wait for it. */
export class Lifecycle {
  #pending = 0
  #closing = false
  #closed = false
  #idle: (() => void)[] = []
  readonly #endings = new Set<() => void>()

  /** `close` was called. */
  get isClosing(): boolean {
    return this.#closing
  }

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

  /** Calls `end` as soon as the app shall close, for what would wait on; what it answers takes that back. */
  onClosing(end: () => void): () => void {
    if (this.#closing) end()
    else this.#endings.add(end)
    return () => this.#endings.delete(end)
  }

  /** Ends what waits. All else may still be called. */
  beginClosing(): void {
    this.#closing = true
    for (const end of this.#endings) end()
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}
