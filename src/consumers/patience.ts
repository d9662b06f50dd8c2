import { ClosedError, NotYetError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { whenAborted } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import type { Lifecycle } from '../util/lifecycle.ts'

/** Time limit and abort signal of a caller. */
export interface WaitLimits {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Limits of a wait, with its error. */
interface WaitEnd extends WaitLimits {
  /** Creates the error of a timeout. */
  readonly late?: () => Error
}

/** A limited wait: until the timeout, the app closes or the caller aborts. */
export interface Patience {
  /** Aborts when the wait is over; the reason is the error to throw. */
  readonly signal: AbortSignal
  /** Aborts like `signal`, but not at the timeout: work that has begun may still end. */
  readonly ending: AbortSignal
  /** Milliseconds; `undefined`: no limit. */
  readonly timeoutMs: number | undefined
  /** Remaining milliseconds by the clock. */
  leftMs(): number | undefined
  /**
   * Returns the result of a task, or rejects when the wait is over. `close` still waits for the
   * task.
   */
  until<T>(task: () => Promise<T>): Promise<T>
  /**
   * Runs a task that may outlast the wait, to its end. Its signal aborts when the app closes, which
   * waits for it.
   */
  follow<T>(task: (closing: AbortSignal) => Promise<T>): Promise<T>
}

/** Longest delay of a timer. */
const longestMs = 2 ** 31 - 1

/**
 * Runs work within limits, measured by timers even if the clock is stopped.
 *
 * @throws NotYetError, ClosedError, and the reason of the caller's signal
 */
export async function patiently<T>(
  runtime: Runtime,
  lifecycle: Lifecycle,
  what: string,
  { timeoutMs, signal: given, late = () => new NotYetError(`${what} did not finish within ${timeoutMs} ms.`) }: WaitEnd,
  work: (patience: Patience) => Promise<T>,
): Promise<T> {
  const over = new AbortController()
  const ending = new AbortController()
  const { signal } = over
  const end = (reason: unknown) => {
    over.abort(reason)
    ending.abort(reason)
  }
  const giveUp = () => end(given?.reason)
  const isOver = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
  isOver.catch(() => {})
  const takeBack = lifecycle.onClosing(() => end(new ClosedError(`${what} was ended by app.close().`)))
  const forget = given && whenAborted(given, giveUp)
  if (given?.aborted) giveUp()
  if (timeoutMs !== undefined && !signal.aborted)
    runtime.sleep(Math.min(timeoutMs, longestMs), signal).then(
      () => over.abort(late()),
      () => {},
    )
  const countdown = new Countdown(runtime, timeoutMs)
  const tasks: Promise<unknown>[] = []
  const untilOver = <R>(task: () => Promise<R>): Promise<R> => {
    const running = lifecycle.follow(what, undefined, task)
    tasks.push(running)
    return Promise.race([running, isOver])
  }
  try {
    return await work({
      signal,
      ending: ending.signal,
      timeoutMs,
      leftMs: () => timeoutMs && countdown.leftMs,
      until: untilOver,
      follow: (task) => lifecycle.follow(what, undefined, task),
    })
  } finally {
    over.abort()
    // Tasks that continue after the timeout must still end when the app closes.
    void Promise.allSettled(tasks).then(() => {
      takeBack()
      forget?.()
    })
  }
}
