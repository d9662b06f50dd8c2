import type { Countdown } from '../../util/countdown.ts'
import { workBesides } from '../besides.ts'
import type { ConsumerCore, RunRequest, RunResult } from '../core.ts'
import { type Lease, underLeases } from '../lease.ts'
import type { Processor } from '../processor.ts'

/** Does the work besides events in the time that is left, and renews the lease meanwhile. */
export async function workAfterEvents(
  core: ConsumerCore,
  { besides }: Processor,
  lease: Lease,
  result: RunResult,
  request: RunRequest,
  left: Countdown,
): Promise<RunResult> {
  if (besides === undefined) return result
  const rest = request.budgetMs === undefined ? request : { ...request, budgetMs: left.leftMs }
  return underLeases(core, [lease], rest, (slice) => workBesides(besides, result, slice))
}
