import type { Position } from '../event-envelope.ts'
import type { FeedPage } from '../store/store.ts'
import type { ConsumerCore } from './core.ts'
import { dueRows, hasUnreadable } from './find-failed.ts'
import { type Layout, partitionNames, readProgresses } from './layout.ts'
import { logPage } from './log-page.ts'
import { findOldest } from './oldest.ts'
import { beginning, laterOf, lowest } from './positions.ts'
import { type Processor, setsAside } from './processor.ts'
import { bucketOf, isDone, type LogProgress, startOf } from './progress.ts'
import type { HeldPartitions } from './sources/held-partitions.ts'

const pageSize = 200
/** Lag after which the checkpoint of a partition without events is moved. */
const mostLag = 2 * pageSize
/** Due rows that are read to find their partitions. */
const mostDue = 1_000

/** Partitions that have something to do. */
export interface Wanted {
  readonly partitions: readonly number[]
  /** The page that was read to find them, if one was enough. */
  readonly page?: FeedPage | undefined
}

/** Cached knowledge of failed events. */
interface KnownOfFailed {
  readonly resumes: number
  readonly held: Pick<HeldPartitions, 'hasSeen'>
}

/** Finds partitions with an event that is not done, or a due retry: the others are left alone. */
export async function findWanted(
  core: ConsumerCore,
  processor: Processor,
  layout: Layout,
  known: KnownOfFailed,
): Promise<Wanted> {
  if (layout.partitions === 1) return { partitions: [0] }
  const { lagging: wanted, pages } = await findLagging(core, processor, layout)
  if (setsAside(processor)) for (const partition of await findFailing(core, processor, layout, known)) wanted.add(partition)
  return { partitions: [...wanted], page: pages.length === 1 ? pages[0] : undefined }
}

/**
 * Finds the partitions with failed events to retry. If there are many, any partition may have some.
 */
async function findFailing(
  core: ConsumerCore,
  { name }: Processor,
  layout: Layout,
  { resumes, held }: KnownOfFailed,
): Promise<Iterable<number>> {
  const all = [...partitionNames(name, layout).keys()]
  const unseen = all.filter((partition) => !held.hasSeen(layout, partition))
  const failing = new Set(unseen.length > 0 && (await hasUnreadable(core, name)) ? unseen : [])
  let rows = 0
  for await (const { value } of dueRows(core, name, resumes)) {
    failing.add(bucketOf(value) % layout.partitions)
    if (failing.size === all.length || ++rows === mostDue) return all
  }
  return failing
}

/** Returns the position up to which everything is done. */
export async function findPosition(core: ConsumerCore, processor: Processor, layout: Layout): Promise<Position> {
  const progresses = await readProgresses(core, processor.name, layout)
  if (layout.partitions === 1) return lowest(progresses.map(startOf))
  return (await findOldest(core, processor, progresses)).position
}

/** Finds the partitions that lag. */
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
    // Partitions not seen yet begin later, or have an event later.
    const unseen = starts.filter((_, partition) => !lagging.has(partition))
    if (!page.more || unseen.length === 0) return { lagging, pages }
    start = laterOf(end, lowest(unseen))
  }
}
