import { feedPage } from '../execution/read-page.ts'
import type { FeedPage } from '../store/store.ts'
import type { ConsumerCore } from './core.ts'
import { findDue } from './failures.ts'
import { type Layout, readProgresses } from './layout.ts'
import { beginning, lowest } from './positions.ts'
import { type Processor, setsAside } from './processor.ts'
import { bucketOf, isDone, startOf } from './progress.ts'

const pageSize = 200
/** A partition without events is moved on when it lags so far. */
const mostLag = 1_000

/** Partitions that have something to do. */
export interface Wanted {
  readonly partitions: readonly number[]
  /** What was read to find them. */
  readonly page?: FeedPage
}

/** Looks for the partitions that have an event which is not done, or a failed one that is due: the others are left alone. */
export async function findWanted(core: ConsumerCore, processor: Processor, layout: Layout, resumes: number): Promise<Wanted> {
  if (layout.partitions === 1) return { partitions: [0] }
  const { name, aggregateTypes } = processor
  const progresses = await readProgresses(core, name, layout)
  const starts = progresses.map(startOf)
  const start = lowest(starts)
  const only = aggregateTypes.map((aggregateType) => ({ aggregateType }))
  const page = await feedPage(core, { only, ...(start === beginning ? {} : { after: start }) }, pageSize)
  const partitionOf = (of: Parameters<typeof bucketOf>[0]) => bucketOf(of) % layout.partitions
  const wanted = new Set<number>()
  for (const event of page.events) {
    const progress = progresses[partitionOf(event)]
    if (progress !== undefined && !isDone(progress, event)) wanted.add(partitionOf(event))
  }
  for (const [partition, from] of starts.entries())
    if (Number(page.position ?? beginning) - Number(from) > mostLag) wanted.add(partition)
  if (setsAside(processor))
    for (const { value } of await findDue(core, name, resumes, () => true))
      if (value !== undefined) wanted.add(partitionOf(value))
  return { partitions: [...wanted], page }
}
