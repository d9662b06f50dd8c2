import { platformRuntime } from '../runtime.ts'

/** The used part of a Lambda context. Without one (in a test), there is no time limit. */
export interface LambdaContext {
  /** Milliseconds until Lambda ends the function. */
  getRemainingTimeInMillis(): number
}

/** Aborts work this long before Lambda ends the function. */
const reserveMs = 500
/** Waits this long for aborted work, so that a response can still leave. */
const graceMs = 250
/** Time that a response needs to leave. */
const answerMs = 100

/** Waits for work until the last moment. Returns whether it ended. */
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
 * Starts a piece of work with its own signal and the milliseconds until that aborts.
 *
 * Each has its own signal because Node warns of one with many listeners. Rejects when time is up
 * before the work starts or ends.
 */
export type Begin = <T>(work: (signal: AbortSignal, leftMs: number | undefined) => Promise<T>) => Promise<T>

/**
 * Runs work within the time of the function.
 *
 * Leaves no timer: Lambda freezes the process, and the timer would fire in another invocation.
 */
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
