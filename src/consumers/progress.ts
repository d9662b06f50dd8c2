import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import { comparePositions } from '../store/order.ts'
import { isObject } from '../util/json.ts'
import { isPosition } from '../util/names.ts'
import { before, laterOf, lowest } from './positions.ts'

/** How far a partition of the log has come. */
export interface LogProgress {
  /** Counts the divisions of a processor into partitions. */
  readonly epoch: number
  /** Every event of the partition's buckets up to here was read … */
  readonly at: Position
  /** … in these buckets up to here, since they were in another partition before. */
  readonly ahead?: Readonly<Record<number, Position>>
  /** … and these are not done yet, by bucket. */
  readonly open?: Readonly<Record<number, readonly Position[]>>
  /** The epoch is over: nothing moves this partition any more. */
  readonly sealed?: true
}

/** Aggregates are divided into so many buckets, for ever; partitions are made of buckets. */
export const buckets = 64

/** FNV-1a over UTF-16 units (http://www.isthe.com/chongo/tech/comp/fnv/). */
export function bucketOf({ aggregateType, aggregateId }: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>): number {
  let hash = 0x811c9dc5
  for (const text of [aggregateType, '/', aggregateId])
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % buckets
}

/** What a newer version of this package has written is left to it. */
export const newerFormat = (what: string): StoreError =>
  new StoreError(
    'SCHEMA_TOO_NEW',
    `${what} was written by a newer version of this package. Nothing was changed; update the package.`,
  )

const isFilled = (record: object | undefined): boolean => record !== undefined && Object.keys(record).length > 0

/** As a checkpoint keeps it: the position alone, wherever nothing else is to be said. */
export function writeProgress({ epoch, at, ahead, open, sealed }: LogProgress): string {
  const rest = { ...(isFilled(ahead) && { ahead }), ...(isFilled(open) && { open }), ...(sealed && { sealed }) }
  return epoch <= 1 && !isFilled(rest) ? at : JSON.stringify({ e: epoch, at, ...rest })
}

/** @throws StoreError `SCHEMA_TOO_NEW`, or `STORE_CORRUPT` for what no version writes */
export function readProgress(text: string): LogProgress {
  if (isPosition(text)) return { epoch: 1, at: text }
  const { e: epoch, ...rest } = parsed(text)
  if (typeof epoch !== 'number' || typeof rest.at !== 'string') throw newerFormat('A checkpoint')
  return { epoch, ...rest }
}

function parsed(text: string): { readonly e: number } & Omit<LogProgress, 'epoch'> {
  try {
    const found: unknown = JSON.parse(text)
    if (isObject(found)) return found as ReturnType<typeof parsed>
  } catch {
    // What is no JSON is damaged, too.
  }
  throw damaged(text)
}

/** No version of this package writes such a checkpoint. */
export const damaged = (text: string): StoreError =>
  new StoreError(
    'STORE_CORRUPT',
    `A checkpoint is damaged: ${JSON.stringify(text.slice(0, 100))}. Nothing was changed. Check the store's tables.`,
  )

export function isDone({ at, ahead, open }: LogProgress, event: StoredEvent): boolean {
  const bucket = bucketOf(event)
  const position = event.position as Position
  return comparePositions(position, ahead?.[bucket] ?? at) <= 0 && !open?.[bucket]?.includes(position)
}

/** Where to read on: before the first event that is open. */
export const startOf = ({ at, open = {} }: LogProgress): Position =>
  lowest([at, ...Object.values(open).flatMap((positions) => positions.map(before))])

/** What is beyond a position, of both. */
export const isBeyond = (position: Position, reach: Position): boolean => comparePositions(position, reach) > 0

/** The latest position up to which a bucket was read. */
export const reachOf = ({ at, ahead }: LogProgress, bucket: number): Position => laterOf(ahead?.[bucket] ?? at, at)

/** What a progress says of the buckets of one partition. */
export function ofPartition({ ahead, open, ...progress }: LogProgress, partition: number, partitions: number): LogProgress {
  const own = <T>(record: Readonly<Record<number, T>> = {}) =>
    Object.fromEntries(Object.entries(record).filter(([bucket]) => Number(bucket) % partitions === partition))
  return { ...progress, ahead: own(ahead), open: own(open) }
}

/** What all partitions of an epoch say together, in the order of their numbers. */
export function union(all: readonly LogProgress[]): LogProgress {
  const at = lowest(all.map((one) => one.at))
  const ahead: Record<number, Position> = {}
  for (let bucket = 0; bucket < buckets; bucket++) {
    const reach = reachOf(all[bucket % all.length] as LogProgress, bucket)
    if (isBeyond(reach, at)) ahead[bucket] = reach
  }
  const [{ epoch }] = all as readonly [LogProgress]
  return { epoch, at, ahead, open: Object.assign({}, ...all.map((one) => one.open ?? {})) }
}
