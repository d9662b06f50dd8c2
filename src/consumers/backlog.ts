import { aggregatePage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { FailedRow } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { decoded } from './process-batch.ts'
import type { Failure, Processor, Turn } from './processor.ts'

/** Progress through the waiting events of an aggregate. */
export interface BacklogResult {
  readonly events: number
  /** Sequence of the next event. */
  readonly sequence: number
  /** No event waits any more. */
  readonly isEmpty: boolean
  readonly failure?: Failure | undefined
  /** The last event must be saved as done before the next one begins. */
  readonly isCut?: true
}

/**
 * Processes the event that failed, then the later ones of its aggregate that the processor has
 * passed.
 */
export async function processBacklog(
  core: ConsumerCore,
  processor: Processor,
  { aggregateType, aggregateId, sequence: first, attempts }: FailedRow,
  hasPassed: (event: StoredEvent) => boolean,
  turn: Turn,
): Promise<BacklogResult> {
  let events = 0
  for (let sequence = first; ; ) {
    const page = await aggregatePage(core, { aggregateType, aggregateId, after: sequence - 1 })
    const passed = page.events.filter(hasPassed)
    for (const one of await decoded(core, passed)) {
      if (turn.signal.aborted || (events > 0 && turn.isOver())) return { events, sequence, isEmpty: false }
      const { done, failure } = await processor.take([one], { ...turn, failures: sequence === first ? attempts : 0 })
      if (done === 0) return { events, sequence, isEmpty: false, failure }
      events++
      sequence = one.stored.sequence + 1
      const isCut = turn.results?.holdsOneEvent === true && turn.results.of(one.stored) !== undefined
      if (isCut) return { events, sequence, isEmpty: false, isCut }
    }
    if (!page.more || passed.length < page.events.length) return { events, sequence, isEmpty: true }
  }
}
