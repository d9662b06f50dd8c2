import type { Core } from '../execution/core.ts'
import { Countdown } from '../util/countdown.ts'
import type { Consumer } from './consumer.ts'
import type { RunResult } from './core.ts'
import type { DrainRequest, DrainResult } from './definitions.ts'
import { eachEnded } from './each-ended.ts'

interface Scene extends Pick<Core, 'runtime'> {
  /** Records the result of a run. */
  note(consumer: Consumer, result: RunResult): RunResult
}

/**
 * Runs all consumers until nothing is left or time is up. Repeats when their effects caused more
 * events.
 */
export async function drain(scene: Scene, consumers: readonly Consumer[], request: DrainRequest): Promise<DrainResult> {
  const { signal } = request
  const endings = consumers.map(() => new AbortController())
  const abort = () => {
    for (const ending of endings) ending.abort(signal?.reason)
  }
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await drainUntil(scene, consumers, endings, request)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function drainUntil(
  scene: Scene,
  consumers: readonly Consumer[],
  endings: readonly AbortController[],
  { budgetMs, maxEvents, signal, reconcile }: DrainRequest,
): Promise<DrainResult> {
  const { runtime } = scene
  const countdown = new Countdown(runtime, budgetMs)
  if (signal?.aborted) return { caughtUp: false, events: 0 }
  const leftOf = () => (budgetMs === undefined ? undefined : countdown.leftMs)
  let events = 0
  let hasWaited = false
  let busy = consumers.length
  for (;;) {
    // Divide the limit: no consumer waits for the others.
    const share = maxEvents === undefined ? undefined : Math.ceil((maxEvents - events) / Math.max(1, busy))
    const first = events === 0 && reconcile
    const run = async (consumer: Consumer, own: AbortSignal | undefined): Promise<RunResult> => {
      try {
        return await consumer.run({ budgetMs: leftOf(), maxEvents: share, signal: own, reconcile: first })
      } catch (error) {
        if (own?.aborted && error === own.reason) return { state: 'more', events: 0 }
        throw error
      }
    }
    const runs = await eachEnded(consumers.map((consumer, i) => run(consumer, endings[i]?.signal)))
    const results = runs.map((result, i) => scene.note(consumers[i] as Consumer, result))
    busy = results.filter(({ state }) => state === 'more').length
    const found = results.reduce((sum, result) => sum + result.events, 0)
    const done = results.reduce((sum, { steps = 0 }) => sum + steps, found)
    events += found
    const due = results.flatMap(({ nextDue }) => nextDue ?? []).map((date) => date.getTime())
    const all = [...due, ...results.flatMap(({ dueAt }) => dueAt ?? []).map((date) => date.getTime())]
    const nextDue = all.length === 0 ? {} : { nextDue: new Date(Math.min(...all)) }
    const isDone = ({ state, isPartial }: RunResult) => state === 'caught-up' && isPartial !== true
    const caughtUp = due.length === 0 && results.every(isDone)
    const isOver = leftOf() === 0 || (maxEvents !== undefined && events >= maxEvents) || signal?.aborted
    const isStuck = done === 0 && !results.some(({ state }) => state === 'more')
    if (isStuck && !isOver && !hasWaited && (await waited(scene, results, leftOf(), signal))) {
      hasWaited = true
      continue
    }
    if ((caughtUp && done === 0) || isOver || isStuck) return { caughtUp: caughtUp && done === 0, events, ...nextDue }
  }
}

/**
 * Waits once, if time allows, until other leases would expire: their holders may have died. Some
 * stores reveal that only to a process that watched a lease for that long.
 */
async function waited(
  { runtime }: Scene,
  results: readonly RunResult[],
  leftMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const ms = Math.max(0, ...results.map(({ remainingMs = 0 }) => remainingMs))
  if (ms === 0 || leftMs === undefined || leftMs <= ms) return false
  await runtime.sleep(ms + 1, signal).catch(() => {})
  return true
}
