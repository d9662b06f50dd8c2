import { comparePositions } from '../../store/order.ts'
import type { ConsumerCore, RunRequest } from '../core.ts'
import type { Slice } from '../lease.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import { processBatch } from '../process-batch.ts'
import type { Processor, Turn } from '../processor.ts'
import type { Feed } from './feed.ts'
import { newOf, type SliceResult } from './slice.ts'

/** Input of a slice. */
interface Scene {
  readonly core: ConsumerCore
  readonly processor: Processor
  readonly checkpoint: LogCheckpoint
  readonly feed: Feed
  readonly request: RunRequest
  readonly slice: Slice
}

/** Folds page after page; the results are stored with the checkpoint. @throws LeaseLost */
export async function fold({ core, processor, checkpoint, feed, request, slice }: Scene): Promise<SliceResult> {
  const { until, maxEvents = Number.POSITIVE_INFINITY, finish } = request
  const turn: Turn = { signal: slice.signal, isOver: slice.isOver, prove: () => checkpoint.lease.prove() }
  const isReached = () => until !== undefined && comparePositions(checkpoint.position, until) >= 0
  let events = 0
  for (let more = true; more && !isReached(); ) {
    if (slice.isOver() || events >= maxEvents) return { events, isWhole: false }
    const gathered = await feed.gather(Math.min(processor.batchSize, maxEvents - events))
    more = gathered.more
    const batch = await newOf(checkpoint, gathered.events)
    checkpoint.pass({ events: batch, position: gathered.position, last: gathered.last })
    const result = await processBatch(core, processor, checkpoint, batch, turn)
    events += result.events
    if (!result.isWhole) return { events, isWhole: false, failure: result.failure }
    // If the store never waits, other work of the process would starve, and weakly held objects
    // would stay in memory.
    if (more) await core.runtime.sleep(0)
  }
  if (isReached() && finish !== undefined) await checkpoint.write(checkpoint.progress, { rows: finish })
  return { events, isWhole: true }
}
