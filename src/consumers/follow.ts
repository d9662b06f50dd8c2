import type { Core } from '../execution/core.ts'
import { backOffMs } from './back-off.ts'
import type { Consumer } from './consumer.ts'
import type { RunRequest, RunResult } from './core.ts'
import type { Followed } from './tail.ts'

/**
 * A lease is released after this idle time, and a run ends after `sliceMs` to let other processes
 * in.
 */
const lingerMs = 500
const sliceMs = 2_000
const breatherMs = 20
/**
 * First wait before the checkpoint is read again, while an event is left to a newer program. Waits
 * double.
 */
const firstLookMs = 1_000
const longestLookMs = 30_000
/** Events without one that is left, after which the waits are short again. */
const eventsWithoutLeft = 1_000
/** Interval of checks for a due retry that did not happen. */
const lookDueMs = 1_000

interface Scene extends Pick<Core, 'runtime'> {
  readonly pollMs: number
  readonly leaseMs: number
  /** Never rejects. */
  run(consumer: Consumer, request: RunRequest): Promise<RunResult>
  report(consumer: Consumer, error: unknown): void
}

/** Runs a consumer whenever something may be new to it, until the signal aborts. */
export async function follow(scene: Scene, followed: Followed, signal: AbortSignal): Promise<void> {
  const { runtime } = scene
  const { consumer, bell } = followed
  let [looks, eventsSince] = [0, 0]
  for (let failures = 0; !signal.aborted; ) {
    const since = bell.begin()
    const result = await scene.run(consumer, { budgetMs: sliceMs, keep: true, signal })
    bell.end(result)
    if (signal.aborted) break
    // A run elsewhere says nothing about failures in this process.
    if (result.state === 'waiting') failures++
    else if (result.state !== 'elsewhere') failures = 0
    eventsSince += result.events
    if (eventsSince >= eventsWithoutLeft) looks = 0
    if (result.state === 'outdated' && result.leftAt !== undefined) {
      eventsSince = 0
      await runtime.sleep(Math.min(longestLookMs, firstLookMs * 2 ** looks++), signal).catch(() => {})
      continue
    }
    await pause(scene, followed, result, { failures, since, signal })
  }
  await consumer.release().catch((error: unknown) => scene.report(consumer, error))
}

interface Circumstances {
  /** Consecutive runs that ended with an error. */
  readonly failures: number
  /** Number of the bell when the last run began. */
  readonly since: number
  readonly signal: AbortSignal
}

async function pause(
  scene: Scene,
  { consumer, bell }: Followed,
  { state, isPartial, remainingMs = 0, nextDue, dueAt }: RunResult,
  { failures, since, signal }: Circumstances,
): Promise<void> {
  const { pollMs, runtime } = scene
  const sleep = (ms: number) => runtime.sleep(ms, signal).catch(() => {})
  const woken = async (ms: number | undefined) => wokenOrDue(scene, { consumer, bell }, ms, since, signal)
  const theirsMs = Math.max(20, Math.min(remainingMs, pollMs)) * (0.5 + runtime.random())
  if (state === 'more') {
    // Other processes may be waiting for the lease.
    await consumer.release().catch(() => {})
    return sleep(breatherMs * (0.5 + runtime.random()))
  }
  if (state === 'waiting') return backOff(scene, consumer, backOffMs(failures) * (0.5 + runtime.random()), signal)
  if (state === 'elsewhere') return sleep(theirsMs)
  if (state === 'stopped' || state === 'outdated') return void (await woken(pollMs))
  // Retries that are due in another process, or became due during the run, are not checked at once.
  const dueMs = nextDue && nextDue.getTime() - runtime.now().getTime()
  const untilRetryMs = dueMs === undefined || dueMs > 0 ? dueMs : lookDueMs
  const untilTimerMs = dueAt && Math.max(1, dueAt.getTime() - runtime.now().getTime())
  const untilDueMs = least(untilRetryMs, untilTimerMs)
  if (untilDueMs !== undefined && untilDueMs <= lingerMs) return void (await woken(untilDueMs))
  if (await woken(lingerMs)) return
  await consumer.release().catch((error: unknown) => scene.report(consumer, error))
  // Holders of the other partitions may have died and left old events unprocessed.
  await woken(isPartial ? theirsMs : untilDueMs && untilDueMs - lingerMs)
}

const least = (a: number | undefined, b: number | undefined) => (a === undefined || b === undefined ? (a ?? b) : Math.min(a, b))

/** Waits up to `ms` until something may be new, and checks in between whether something is due. */
async function wokenOrDue(
  { pollMs }: Scene,
  { consumer, bell }: Followed,
  ms: number | undefined,
  since: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (consumer.isDue === undefined) return bell.wait(ms, since, signal)
  for (let left = ms ?? Number.POSITIVE_INFINITY; left > 0 && !signal.aborted; left -= pollMs) {
    if (await bell.wait(Math.min(left, pollMs), since, signal)) return true
    // After a failed read, wait on: the next run reports the error.
    if (left > pollMs && (await consumer.isDue().catch(() => false))) return true
  }
  return false
}

/** Waits while holding the lease: another process would start with short waits again. */
async function backOff({ runtime, leaseMs }: Scene, consumer: Consumer, ms: number, signal: AbortSignal): Promise<void> {
  const step = leaseMs / 3
  for (let left = ms; left > 0 && !signal.aborted; left -= step) {
    await consumer.hold().catch(() => {})
    await runtime.sleep(Math.min(step, left), signal).catch(() => {})
  }
}
