import { type Decoded, decodeApart } from '../evolution/decode.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { AggregateChange } from './change.ts'
import type { ConsumerCore } from './core.ts'
import type { Checkpoint, Failure, Processor, Turn } from './processor.ts'

/** Result of a batch. */
export interface BatchResult {
  readonly events: number
  /** All events were processed. */
  readonly isWhole: boolean
  /** Why the batch ended early. */
  readonly failure?: Failure | undefined
  /** Aggregates to process to their ends first. */
  readonly first?: readonly AggregateChange[] | undefined
}

export const decoded = (core: ConsumerCore, events: readonly StoredEvent[]): Promise<readonly Decoded[]> =>
  decodeApart(core, (type) => core.definitions.get(type) as AggregateDefinition, events)

/**
 * Processes events in order and saves the checkpoint with the effects, as often as necessary.
 *
 * @throws LeaseLost
 */
export async function processBatch(
  core: ConsumerCore,
  processor: Processor,
  checkpoint: Checkpoint,
  batch: readonly StoredEvent[],
  turn: Turn,
): Promise<BatchResult> {
  let left = await decoded(core, batch)
  let events = 0
  while (left.length > 0) {
    // Process at least one part, however long reading took.
    if (turn.signal.aborted || (events > 0 && turn.isOver())) return { events, isWhole: false }
    const taken = await processor.take(left, turn)
    const { done, effects, failure, first } = taken
    const last = left[done - 1]?.stored
    if (last !== undefined) {
      const saved = await checkpoint.save(last, effects)
      processor.settled?.(taken, saved)
      if (saved !== 'saved') {
        left = left.filter(({ stored }) => !checkpoint.isDone(stored))
        continue
      }
    }
    events += done
    left = left.slice(done)
    if (failure !== undefined || done === 0) return { events, isWhole: false, failure, first }
  }
  return { events, isWhole: true }
}
