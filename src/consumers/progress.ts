import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { OnceResults } from '../store/internal-rows.ts'
import { comparePositions } from '../store/order.ts'
import { isObject } from '../util/json.ts'
import { isPosition } from '../util/names.ts'
import { before, laterOf, lowest } from './positions.ts'

/** Progress of a partition of the log. */
export interface LogProgress {
  /** Number of the division into partitions, counted up at each change. */
  readonly epoch: number
  /** Events of the partition's buckets were read up to here. */
  readonly at: Position
  /** Positions of buckets that were read further, in an earlier partition. */
  readonly ahead?: Readonly<Record<number, Position>>
  /** Positions of events that are not done yet, by bucket. */
  readonly open?: Readonly<Record<number, readonly Position[]>>
  /** Results of `once` by bucket and id of an event that is not done yet. */
  readonly once?: Readonly<Record<number, Readonly<Record<string, OnceResults>>>>
  /** The epoch is over: this partition never moves again. */
  readonly sealed?: true
}

/** Buckets of aggregates. The number never changes; partitions consist of buckets. */
export const buckets = 64

/** FNV-1a over UTF-16 units (http://www.isthe.com/chongo/tech/comp/fnv/). */
export function bucketOf({ aggregateType, aggregateId }: Pick<StoredEvent, 'aggregateType' | 'aggregateId'>): number {
  let hash = 0x811c9dc5
  for (const text of [aggregateType, '/', aggregateId])
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % buckets
}

/** Returns the error for data of a newer version of this package, which is left unchanged. */
export const newerFormat = (what: string): StoreError =>
  new StoreError(
    'SCHEMA_TOO_NEW',
    `${what} was written by a newer version of this package. Nothing was changed; update the package.`,
  )

const isFilled = (record: object | undefined): boolean => record !== undefined && Object.keys(record).length > 0

/** Serializes a progress for the checkpoint: just the position if nothing else is set. */
export function writeProgress({ epoch, at, ahead, open, once, sealed }: LogProgress): string {
  const rest = {
    ...(isFilled(ahead) && { ahead }),
    ...(isFilled(open) && { open }),
    ...(isFilled(once) && { once }),
    ...(sealed && { sealed }),
  }
  return epoch <= 1 && !isFilled(rest) ? at : JSON.stringify({ e: epoch, at, ...rest })
}

/**
 * Parses a checkpoint.
 *
 * @throws StoreError `SCHEMA_TOO_NEW`, or `STORE_CORRUPT` for a text that no version writes
 */
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
    // Text that is not JSON is also damaged.
  }
  throw damaged(text)
}

/** Returns the error for a checkpoint that no version of this package writes. */
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

/** Returns the position to read from: before the first open event. */
export const startOf = ({ at, open = {} }: LogProgress): Position =>
  lowest([at, ...Object.values(open).flatMap((positions) => positions.map(before))])

/** Returns whether a position is after another. */
export const isBeyond = (position: Position, reach: Position): boolean => comparePositions(position, reach) > 0

/** Returns the latest position up to which a bucket was read. */
export const reachOf = ({ at, ahead }: LogProgress, bucket: number): Position => laterOf(ahead?.[bucket] ?? at, at)

/** Returns the part of a progress that concerns the buckets of one partition. */
export function ofPartition({ ahead, open, once, ...progress }: LogProgress, partition: number, partitions: number): LogProgress {
  const own = <T>(record: Readonly<Record<number, T>> = {}) =>
    Object.fromEntries(Object.entries(record).filter(([bucket]) => Number(bucket) % partitions === partition))
  return { ...progress, ahead: own(ahead), open: own(open), once: own(once) }
}

/** Combines the progress of all partitions of an epoch, in the order of their numbers. */
export function union(all: readonly LogProgress[]): LogProgress {
  const at = lowest(all.map((one) => one.at))
  const ahead: Record<number, Position> = {}
  for (let bucket = 0; bucket < buckets; bucket++) {
    const reach = reachOf(all[bucket % all.length] as LogProgress, bucket)
    if (isBeyond(reach, at)) ahead[bucket] = reach
  }
  const [{ epoch }] = all as readonly [LogProgress]
  const joined = <K extends 'open' | 'once'>(of: K): NonNullable<LogProgress[K]> =>
    Object.assign({}, ...all.map((one) => one[of] ?? {}))
  return { epoch, at, ahead, open: joined('open'), once: joined('once') }
}
