import type { Position } from '../../event-envelope.ts'
import { comparePositions } from '../../store/order.ts'
import type { ConsumerCore, RunResult } from '../core.ts'
import type { Failure } from '../processor.ts'
import { readProgress, startOf } from '../progress.ts'

/** An event that is left to a newer program; the checkpoint shows whether one has processed it. */
export interface Left {
  readonly lease: string
  readonly failure: Failure
}

/** Returns whether another run is worthwhile: one read, without a lease. */
export async function isPassed({ store }: ConsumerCore, { lease, failure: { at } }: Left): Promise<boolean> {
  const checkpoint = await store.readCheckpoint(lease)
  if (checkpoint === undefined) return false
  const progress = readProgress(checkpoint.position)
  // A sealed checkpoint never moves: the next epoch continues where it ended.
  return progress.sealed === true || comparePositions(startOf(progress), at.position as Position) >= 0
}

export const outdated = ({ error, at }: Failure, events = 0): RunResult => ({ state: 'outdated', events, error, leftAt: at })
