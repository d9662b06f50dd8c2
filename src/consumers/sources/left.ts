import type { Position } from '../../event-envelope.ts'
import { comparePositions } from '../../store/order.ts'
import type { ConsumerCore, RunResult } from '../core.ts'
import type { Failure } from '../processor.ts'
import { readProgress, startOf } from '../progress.ts'

/** An event that this program is too old for; the checkpoint shows when a newer one was there. */
export interface Left {
  readonly lease: string
  readonly failure: Failure
}

/** Whether it is worth while to look again: one read, without a lease. */
export async function isPassed({ store }: ConsumerCore, { lease, failure: { at } }: Left): Promise<boolean> {
  const checkpoint = await store.readCheckpoint(lease)
  if (checkpoint === undefined) return false
  const progress = readProgress(checkpoint.position)
  // A sealed one stands still for ever: others go on where it ended.
  return progress.sealed === true || comparePositions(startOf(progress), at.position as Position) >= 0
}

export const outdated = ({ error, at }: Failure, events = 0): RunResult => ({ state: 'outdated', events, error, leftAt: at })
