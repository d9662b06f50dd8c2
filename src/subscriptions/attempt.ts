import type { Core } from '../execution/core.ts'
import { whenAborted } from '../util/abort.ts'

/** The app closes or the lease is lost: nobody knows whether the handler would have succeeded. */
export type Interrupted = 'interrupted'

/** How long a handler may go on after it was told to end. */
const graceMs = 5_000

/** Runs a handler, for so long at the most. What it does after that is its own affair: it cannot be stopped. */
export async function attempt(
  { runtime }: Core,
  outer: AbortSignal,
  timeoutMs: number,
  run: (signal: AbortSignal) => unknown,
): Promise<'done' | Interrupted | { readonly error: unknown }> {
  const inner = new AbortController()
  const ended = new AbortController()
  const tooLong = new Error(`The handler did not end within ${timeoutMs} ms.`)
  const handled = (async () => {
    await run(inner.signal)
    return 'done' as const
  })().catch((error: unknown) => ({ error }))
  const limit = runtime.sleep(timeoutMs, ended.signal).then(
    () => ({ error: tooLong }),
    () => new Promise<never>(() => {}),
  )
  const interrupted = aborted(outer, ended.signal).then(async () => {
    inner.abort(outer.reason)
    await runtime.sleep(graceMs, ended.signal)
    return 'interrupted' as const
  })
  interrupted.catch(() => {})
  const outcome = await Promise.race([handled, limit, interrupted])
  ended.abort()
  if (outcome !== 'done') inner.abort(tooLong)
  return outcome !== 'done' && outer.aborted ? 'interrupted' : outcome
}

/** Resolves when `signal` aborts; nothing is left behind once `ended` aborts. */
const aborted = (signal: AbortSignal, ended: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    ended.addEventListener('abort', whenAborted(signal, resolve), { once: true })
  })
