import type { Position } from '../event-envelope.ts'
import type { FeedPage } from '../store/store.ts'
import type { ConsumerCore } from './core.ts'
import { findDue } from './failures.ts'
import { type Layout, readProgresses } from './layout.ts'
import { logPage } from './log-page.ts'
import { findOldest } from './oldest.ts'
import { beginning, laterOf, lowest } from './positions.ts'
import { type Processor, setsAside } from './processor.ts'
import { bucketOf, isDone, type LogProgress, startOf } from './progress.ts'

const pageSize = 200
/** A partition without events is moved on when it lags so far. */
const mostLag = 2 * pageSize

/** Partitions that have something to do. */
export interface Wanted {
  readonly partitions: readonly number[]
  /** What was read to find them, where one page was enough. */
  readonly page?: FeedPage | undefined
}

/** Looks for the partitions that have an event which is not done, or a failed one that is due: the others are left alone. */
export async function findWanted(core: ConsumerCore, processor: Processor, layout: Layout, resumes: number): Promise<Wanted> {
  if (layout.partitions === 1) return { partitions: [0] }
  const { lagging: wanted, pages } = await findLagging(core, processor, layout)
  if (setsAside(processor))
    for (const { value } of await findDue(core, processor.name, resumes, () => true))
      if (value !== undefined) wanted.add(bucketOf(value) % layout.partitions)
  return { partitions: [...wanted], page: pages.length === 1 ? pages[0] : undefined }
}

/** All up to here is done. */
export async function findPosition(core: ConsumerCore, processor: Processor, layout: Layout): Promise<Position> {
  const progresses = await readProgresses(core, processor.name, layout)
  if (layout.partitions === 1) return lowest(progresses.map(startOf))
  return (await findOldest(core, processor, progresses)).position
}

/** Finds the partitions that are not where the log is. */
async function findLagging(core: ConsumerCore, processor: Processor, layout: Layout) {
  const progresses = await readProgresses(core, processor.name, layout)
  const starts = progresses.map(startOf)
  const lagging = new Set<number>()
  const pages: FeedPage[] = []
  for (let start = lowest(starts); ; ) {
    const page = await logPage(core, processor.aggregateTypes, start, pageSize)
    pages.push(page)
    for (const event of page.events) {
      const partition = bucketOf(event) % layout.partitions
      if (!isDone(progresses[partition] as LogProgress, event)) lagging.add(partition)
    }
    const end = page.position ?? beginning
    for (const [partition, from] of starts.entries()) if (Number(end) - Number(from) > mostLag) lagging.add(partition)
    // Those that were not seen yet begin later, or have an event later.
    const unseen = starts.filter((_, partition) => !lagging.has(partition))
    if (!page.more || unseen.length === 0) return { lagging, pages }
    start = laterOf(end, lowest(unseen))
  }
}
