import type { Core } from '../execution/core.ts'
import { whenAborted } from '../util/abort.ts'
import { isThenable } from '../util/refusing.ts'

/** The app closed or the lease was lost: the handler's result is unknown. */
export type Interrupted = 'interrupted'

/** Time for a handler to end after its signal aborted. */
const graceMs = 5_000

/** Abort reason of finished waits. Shared: an error for each would cost more than most handlers. */
const over = new Error('The handler has ended.')

/** A signal that is created on first use: most handlers never use theirs. */
class LazySignal {
  #controller: AbortController | undefined
  #aborted: { readonly reason: unknown } | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason)
    }
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#aborted ??= { reason }
    this.#controller?.abort(reason)
  }
}

/**
 * Runs a handler for up to `timeoutMs`. A handler that runs longer cannot be stopped, only ignored.
 */
export async function attempt(
  core: Core,
  outer: AbortSignal,
  timeoutMs: number,
  run: (ending: LazySignal) => unknown,
): Promise<'done' | Interrupted | { readonly error: unknown }> {
  const ending = new LazySignal()
  let outcome: 'done' | Interrupted | { readonly error: unknown } = 'done'
  try {
    const answer = run(ending)
    if (isThenable(answer)) outcome = await ended(core, outer, timeoutMs, answer, ending)
  } catch (error) {
    outcome = { error }
  }
  if (outcome !== 'done') ending.abort(outer.aborted ? outer.reason : over)
  return outcome !== 'done' && outer.aborted ? 'interrupted' : outcome
}

/**
 * Waits until the handler ends, its time is up, or `outer` has aborted and the grace time is over.
 */
async function ended(
  { runtime }: Core,
  outer: AbortSignal,
  timeoutMs: number,
  answer: PromiseLike<unknown>,
  ending: LazySignal,
): Promise<'done' | Interrupted | { readonly error: unknown }> {
  const waits = new AbortController()
  const handled = Promise.resolve(answer).then(() => 'done' as const)
  const limit = runtime.sleep(timeoutMs, waits.signal).then(
    () => {
      const tooLong = new Error(`The handler did not end within ${timeoutMs} ms.`)
      ending.abort(tooLong)
      throw tooLong
    },
    () => new Promise<never>(() => {}),
  )
  const interrupted = aborted(outer, waits.signal).then(async () => {
    ending.abort(outer.reason)
    await runtime.sleep(graceMs, waits.signal)
    return 'interrupted' as const
  })
  try {
    return await Promise.race([handled, limit, interrupted])
  } finally {
    waits.abort(over)
  }
}

/** Resolves when `signal` aborts. Removes its listener once `ended` aborts. */
const aborted = (signal: AbortSignal, ended: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    ended.addEventListener('abort', whenAborted(signal, resolve), { once: true })
  })
