import type { Position } from '../event-envelope.ts'
import { type ProcessorRow, processorRows } from '../store/internal-rows.ts'
import type { ConsumerCore } from './core.ts'
import { beginning } from './positions.ts'
import type { Processor } from './processor.ts'
import { type LogProgress, newerFormat, ofPartition, readProgress, writeProgress } from './progress.ts'
import { rowsOf } from './rows.ts'

/** Format of processor rows and checkpoints that this version writes. */
const format = 1

/** Division of a processor into partitions. */
export interface Layout {
  readonly epoch: number
  readonly partitions: number
  /** Progress at the start of the epoch. */
  readonly from: LogProgress
  /** In milliseconds since 1970. */
  readonly changedAt: number
}

/** The layout with one partition that never changes. */
export const undivided: Layout = { epoch: 1, partitions: 1, from: { epoch: 1, at: beginning }, changedAt: 0 }

/** Returns the name of a partition's lease and checkpoint. */
export const partitionName = (name: string, partition: number): string => (partition === 0 ? name : `${partition}/${name}`)

export const partitionNames = (name: string, { partitions }: Pick<Layout, 'partitions'>): readonly string[] =>
  Array.from({ length: partitions }, (_, partition) => partitionName(name, partition))

/** Returns the layout in a processor row. @throws StoreError `SCHEMA_TOO_NEW` */
export function layoutOf(name: string, row: ProcessorRow | undefined): Layout {
  if (row === undefined) return undivided
  if (row.format > format) throw newerFormat(`The state of '${name}'`)
  const { epoch, partitions, from, changedAt } = row
  return { epoch, partitions, from: { ...readProgress(from), epoch }, changedAt: Date.parse(changedAt) }
}

/** Returns the row of a processor that one process reads from the beginning. */
export const undividedRow = (kind: ProcessorRow['kind'], now: Date): ProcessorRow => ({
  format,
  kind,
  epoch: 1,
  partitions: 1,
  from: beginning,
  changedAt: now.toISOString(),
  ranAt: now.toISOString(),
  resumes: 0,
  touched: 0,
})

/** Returns the row of a processor that never ran. */
export async function firstRow(core: ConsumerCore, { kind, partitions, from }: Processor): Promise<ProcessorRow> {
  const at = core.store.capabilities.globalOrder ? await startOf(core, from) : beginning
  return { ...undividedRow(kind, core.runtime.now()), partitions, from: writeProgress({ epoch: 1, at }) }
}

/**
 * Returns the start position. For `now`, it is the end of what the feed can read: commits in flight
 * come later and must not be skipped.
 */
const startOf = async ({ store }: ConsumerCore, from: Processor['from']): Promise<Position> =>
  from === 'beginning' ? beginning : from === 'now' ? ((await store.lastPosition()) ?? beginning) : from

/** Returns the row of a processor, which its first run writes. */
export async function readOrBegin(core: ConsumerCore, processor: Processor, found: ProcessorRow | undefined) {
  if (found !== undefined && found.removed === undefined && !isLongAgo(core, found.ranAt)) return found
  return processorRows.update(rowsOf(core), processor.name, async (row): Promise<ProcessorRow | undefined> => {
    if (row === undefined) return firstRow(core, processor)
    // No process has run in the epoch that the removal began.
    if (row.removed !== undefined)
      return { ...(await firstRow(core, processor)), epoch: row.epoch, ...(row.reset && { reset: row.reset }) }
    return isLongAgo(core, row.ranAt) ? { ...row, ranAt: core.runtime.now().toISOString() } : undefined
  })
}

/** Interval of notes that a consumer is in use. */
const everyMs = 600_000

export const isLongAgo = ({ runtime }: ConsumerCore, ranAt: string | undefined, ms = everyMs): boolean =>
  ranAt === undefined || Math.abs(runtime.now().getTime() - Date.parse(ranAt)) >= ms

/** Notes that a view is in use. Returns true if it is the first time, also after a removal. */
export async function noteRun(core: ConsumerCore, id: string, kind: ProcessorRow['kind']): Promise<boolean> {
  let isFirst = false
  await processorRows.update(rowsOf(core), id, (row) => {
    const now = core.runtime.now()
    isFirst = row === undefined
    if (row === undefined) return undividedRow(kind, now)
    return isLongAgo(core, row.ranAt) ? { ...row, ranAt: now.toISOString() } : undefined
  })
  return isFirst
}

/** Returns the progress of a partition, according to its checkpoint. */
export function progressIn({ epoch, from, partitions }: Layout, partition: number, text: string | undefined): LogProgress {
  const stored = text === undefined ? undefined : readProgress(text)
  return stored !== undefined && stored.epoch >= epoch ? stored : ofPartition({ ...from, epoch }, partition, partitions)
}

/** Returns the progress of all partitions, in the order of their numbers. */
export async function readProgresses({ store }: ConsumerCore, name: string, layout: Layout): Promise<readonly LogProgress[]> {
  const names = partitionNames(name, layout)
  const stored =
    store.readConsumers === undefined || names.length === 1
      ? await Promise.all(names.map((one) => store.readCheckpoint(one)))
      : (await store.readConsumers(names)).map(({ checkpoint }) => checkpoint)
  return stored.map((checkpoint, partition) => progressIn(layout, partition, checkpoint?.position))
}
