import { ClosedError } from '../errors.ts'
import { whenAborted } from './abort.ts'

/** Counts the calls in progress, so that closing can wait for them. */
export class Lifecycle {
  #pending = 0
  #following = 0
  #closing = false
  #closed = false
  #idle: (() => void)[] = []
  #ended: (() => void)[] = []
  readonly #endings = new Set<() => void>()

  /** `close` was called. */
  get isClosing(): boolean {
    return this.#closing
  }

  /** @throws ClosedError after `close` */
  check(what: string): void {
    if (this.#closed) throw closedError(what)
  }

  /** Runs a task that `close` waits for. @throws ClosedError after `close` */
  async run<T>(what: string, task: () => Promise<T>): Promise<T> {
    this.begin(what)
    try {
      return await task()
    } finally {
      this.end()
    }
  }

  /**
   * The first half of `run`, for the hot path. `end` must follow, whatever happens.
   *
   * @throws ClosedError after `close`
   */
  begin(what: string): void {
    this.check(what)
    this.#pending++
  }

  end(): void {
    if (--this.#pending === 0 && this.#closed) for (const wake of this.#idle.splice(0)) wake()
  }

  /**
   * Runs a task that may call handlers, which may call the app. Its signal aborts with `given` or
   * when the app closes; until the task has ended, calls are not refused.
   *
   * @throws ClosedError
   */
  async follow<T>(what: string, given: AbortSignal | undefined, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closing) throw closedError(what)
    const ending = new AbortController()
    const end = () => ending.abort(given?.aborted ? given.reason : new ClosedError(`${what} was ended by app.close().`))
    if (given?.aborted) end()
    const forget = given && whenAborted(given, end)
    const takeBack = this.onClosing(end)
    this.#following++
    try {
      return await this.run(what, () => task(ending.signal))
    } finally {
      takeBack()
      forget?.()
      if (--this.#following === 0) for (const wake of this.#ended.splice(0)) wake()
    }
  }

  /** Calls `end` once the app begins to close. Returns how to forget it. */
  onClosing(end: () => void): () => void {
    if (this.#closing) end()
    else this.#endings.add(end)
    return () => this.#endings.delete(end)
  }

  /**
   * Ends waits and consumers, and resolves when the consumers have ended. Other calls are still
   * accepted.
   */
  async beginClosing(): Promise<void> {
    this.#closing = true
    for (const end of this.#endings) end()
    if (this.#following > 0) await new Promise<void>((resolve) => this.#ended.push(resolve))
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}

const closedError = (what: string) => new ClosedError(`${what} was called after app.close().`)
