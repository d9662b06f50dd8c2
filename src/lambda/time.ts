import { platformRuntime } from '../runtime.ts'

/** What is asked of the context that Lambda gives a function. Left out (in a test), nothing has a time limit. */
export interface LambdaContext {
  /** Milliseconds until Lambda ends the function. */
  getRemainingTimeInMillis(): number
}

/** Work is told to end so long before Lambda ends the function, … */
const reserveMs = 500
/** … and is waited for so long after that, so that an answer can still leave. */
const graceMs = 250
/** What has to leave takes this long. */
const answerMs = 100

/** Waits for something until the last moment. Whether it ended. */
export async function endsInTime(context: LambdaContext | undefined, work: Promise<unknown>): Promise<boolean> {
  const remainingMs = context?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY
  const ended = new AbortController()
  const timeUp = Number.isFinite(remainingMs)
    ? platformRuntime.sleep(Math.max(0, remainingMs - answerMs), ended.signal)
    : new Promise<never>(() => {})
  try {
    return await Promise.race([work.then(() => true), timeUp.then(() => false)])
  } finally {
    timeUp.catch(() => {})
    ended.abort()
  }
}

/**
 * Begins a piece of work, which gets a signal of its own (one with many listeners is warned of) and the milliseconds until that aborts. Rejects when time is up before it began, or
 * was not enough for it.
 */
export type Begin = <T>(work: (signal: AbortSignal, leftMs: number | undefined) => Promise<T>) => Promise<T>

/** Runs work inside the time that the function has left. It leaves no timer behind: Lambda freezes the process, and a timer would run in another invocation. */
export async function withinTime<T>(context: LambdaContext | undefined, run: (begin: Begin) => Promise<T>): Promise<T> {
  const remainingMs = context?.getRemainingTimeInMillis() ?? Number.POSITIVE_INFINITY
  const leftMs = Number.isFinite(remainingMs) ? Math.max(0, Math.floor(remainingMs) - reserveMs) : undefined
  const ended = new AbortController()
  const underWay = new Set<AbortController>()
  let timeUp: Error | undefined
  const wait = (ms: number) => platformRuntime.sleep(ms, ended.signal)
  const end = async (): Promise<never> => {
    await (leftMs === undefined ? new Promise<never>(() => {}) : wait(leftMs))
    timeUp = new DOMException('The time of the Lambda function is up.', 'TimeoutError')
    for (const work of underWay) work.abort(timeUp)
    await wait(graceMs)
    throw timeUp
  }
  const lastMoment = end()
  lastMoment.catch(() => {})
  const begin: Begin = async (work) => {
    if (timeUp !== undefined) throw timeUp
    const controller = new AbortController()
    underWay.add(controller)
    try {
      return await Promise.race([work(controller.signal, leftMs), lastMoment])
    } finally {
      underWay.delete(controller)
    }
  }
  try {
    return await run(begin)
  } finally {
    ended.abort()
  }
}
