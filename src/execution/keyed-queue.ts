/** Runs the tasks of one key one after the other, in the order they came; those of different keys at once. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>()

  /** Waits for its turn; `signal` gives the place up with the signal's reason, but does not stop a task that runs. */
  async run<T>(key: string, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#tails.get(key)
    let leave = () => {}
    const done = new Promise<void>((resolve) => {
      leave = resolve
    })
    const tail = before === undefined ? done : before.then(() => done)
    this.#tails.set(key, tail)
    const forget = () => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    try {
      if (before !== undefined) await unlessAborted(before, signal)
    } catch (reason) {
      leave()
      void tail.then(forget) // those before it still run
      throw reason
    }
    try {
      return await task()
    } finally {
      leave()
      forget()
    }
  }

  /** Holds several keys at once. Keys are taken in one order, so that two callers never wait for each other. */
  async runAll<T>(keys: readonly string[], task: () => Promise<T>): Promise<T> {
    const [first, ...rest] = [...new Set(keys)].sort()
    return first === undefined ? task() : this.run(first, () => this.runAll(rest, task))
  }
}

/** @throws the signal's reason when it aborts first */
async function unlessAborted(wait: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return wait
  signal.throwIfAborted()
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    await Promise.race([wait, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
