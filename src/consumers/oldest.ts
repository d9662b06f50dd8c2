import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import { comparePositions } from '../store/order.ts'
import type { ConsumerCore } from './core.ts'
import { logPage } from './log-page.ts'
import { before, lowest } from './positions.ts'
import type { Processor } from './processor.ts'
import { bucketOf, isDone, type LogProgress, startOf } from './progress.ts'

const pageSize = 200

/** Progress of a processor, even if checkpoints of partitions without events lag. */
export interface Oldest {
  /** Everything up to here is done. */
  readonly position: Position
  /** The first event that is not done. */
  readonly event?: StoredEvent
  /** The whole log was searched. */
  readonly isSure: boolean
}

/** Limits of a search that may end before the end of the log. */
interface Limits {
  /** Position of the end of the log. */
  readonly end?: Position
  readonly mostPages?: number
}

/**
 * Searches for the oldest event that is not done. Events that the processor does not follow count
 * as done.
 */
export async function findOldest(
  core: ConsumerCore,
  { aggregateTypes }: Processor,
  progresses: readonly LogProgress[],
  { end, mostPages = Number.POSITIVE_INFINITY }: Limits = {},
): Promise<Oldest> {
  // With one partition, the first event from there on is the oldest.
  const isOne = progresses.length === 1 && Object.keys(progresses[0]?.ahead ?? {}).length === 0
  let position = lowest(progresses.map(startOf))
  const isEnd = () => end !== undefined && comparePositions(position, end) >= 0
  for (let pages = 0; pages < mostPages && !isEnd(); pages++) {
    const page = await logPage(core, aggregateTypes, position, isOne ? 1 : pageSize)
    const event = page.events.find((one) => !isDone(progresses[bucketOf(one) % progresses.length] as LogProgress, one))
    if (event !== undefined) return { position: before(event.position as Position), event, isSure: true }
    position = page.position ?? position
    if (!page.more) return { position, isSure: true }
  }
  return { position, isSure: isEnd() }
}
