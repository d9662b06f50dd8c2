import { ClosedError, NotYetError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { whenAborted } from '../util/abort.ts'
import { Countdown } from '../util/countdown.ts'
import type { Lifecycle } from '../util/lifecycle.ts'

/** What a caller says about it. */
export interface WaitLimits {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What else there is to say about a wait. */
interface WaitEnd extends WaitLimits {
  /** What is thrown when time is up. */
  readonly late?: () => Error
}

/** How long somebody waits: until time is up, the app closes or the caller gives up. */
export interface Patience {
  /** Aborts when the waiting is over, with what is thrown then. */
  readonly signal: AbortSignal
  /** The same, but for time: what was begun may come to its end when only that is up. */
  readonly ending: AbortSignal
  /** In milliseconds; `undefined`: for ever. */
  readonly timeoutMs: number | undefined
  /** Of it, by the clock. */
  leftMs(): number | undefined
  /** What a task comes to, or why the waiting is over before that. `close` waits for the task all the same. */
  until<T>(task: () => Promise<T>): Promise<T>
  /** Runs a task that may outlast the waiting, until it ends. Its signal aborts when the app closes, which waits for the task. */
  follow<T>(task: (closing: AbortSignal) => Promise<T>): Promise<T>
}

/** The longest wait that timers take. */
const longestMs = 2 ** 31 - 1

/** Does what has to wait, for so long at the most; a clock that stands does not matter. @throws NotYetError, ClosedError, and the caller's signal's reason */
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
    // What goes on after its time must end when the app closes, too.
    void Promise.allSettled(tasks).then(() => {
      takeBack()
      forget?.()
    })
  }
}
