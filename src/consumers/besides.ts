import type { RunRequest, RunResult } from './core.ts'

/** Work of a processor that does not come from events: timers, and commands to send. */
export interface Besides {
  /** Does what is due. With `isBehind`, events are left, and what depends on the time must wait. */
  work(limits: BesidesLimits, isBehind: boolean): Promise<BesidesResult>
}

export interface BesidesLimits {
  readonly signal: AbortSignal
  /** Returns whether nothing more should begin. */
  isOver(): boolean
}

export interface BesidesResult {
  /** Inputs that were processed. */
  readonly steps: number
  /** Nothing due is left. */
  readonly isWhole: boolean
  /** When the next is due, as far as known. */
  readonly dueAt?: Date | undefined
  /** Why something is left to another program. */
  readonly error?: unknown
}

/** Leaves half of the time for the work besides events. */
export const withoutBesides = <R extends Pick<RunRequest, 'budgetMs'>>(besides: Besides | undefined, request: R): R =>
  besides === undefined || request.budgetMs === undefined ? request : { ...request, budgetMs: request.budgetMs / 2 }

/** Works after a run over events, and returns the result of both. */
export async function workBesides(besides: Besides | undefined, result: RunResult, limits: BesidesLimits): Promise<RunResult> {
  const isBehind = result.state === 'more'
  if (besides === undefined || (result.state !== 'caught-up' && !isBehind)) return result
  const { steps, isWhole, dueAt, error } = await besides.work(limits, isBehind)
  const all = { ...result, steps, ...(dueAt && { dueAt }) }
  if (error !== undefined) return { ...all, state: 'waiting', error }
  return isWhole ? all : { ...all, state: 'more' }
}
