import { aggregatePage } from '../execution/read-page.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { FailedRow } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { decoded } from './process-batch.ts'
import type { Failure, Processor, Turn } from './processor.ts'

/** How far the events that wait in an aggregate were processed. */
export interface BacklogResult {
  readonly events: number
  /** Of the next one. */
  readonly sequence: number
  /** All that waited is done. */
  readonly isEmpty: boolean
  readonly failure?: Failure | undefined
}

/** Processes the event that failed, and then those that wait behind it, up to where the processor has passed. */
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
    }
    if (!page.more || passed.length < page.events.length) return { events, sequence, isEmpty: true }
  }
}
