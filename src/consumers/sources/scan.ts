import { isObject } from '../../util/json.ts'
import type { AggregateChange } from '../change.ts'
import type { RunResult } from '../core.ts'
import type { Processor } from '../processor.ts'
import { damaged } from '../progress.ts'

/** A scan of all aggregates. */
export interface Scan {
  readonly type: string
  readonly after?: string | undefined
  /** Existing events are not delivered. */
  readonly marks: boolean
  /** Earliest start, in milliseconds since 1970. */
  readonly at: number
}

/**
 * The stored checkpoint: progress in the changes, and in the scan of all aggregates that precedes
 * them.
 */
export interface ScanCursor {
  /**
   * Epoch of its consumer; absent for the first. With an earlier epoch, all aggregates are scanned
   * again.
   */
  readonly epoch?: number
  readonly changes?: string
  readonly scan?: Scan | undefined
  /** A scan has been completed. */
  readonly scanned?: true
  /** Skipped aggregates that wait for a retry: types and ids. */
  readonly left?: readonly (readonly [string, string])[]
}

/** Parses a checkpoint. @throws StoreError `STORE_CORRUPT` for a text that no version writes */
export function readCursor(text: string | null): ScanCursor {
  if (text === null) return {}
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    // Text that is not JSON is also damaged.
  }
  if (!isCursor(found)) throw damaged(text)
  return found
}

function isCursor(value: unknown): value is ScanCursor {
  if (!isObject(value) || Array.isArray(value)) return false
  const { epoch, changes, scan, scanned, left = [] } = value as Readonly<Record<keyof ScanCursor, unknown>>
  return (
    isOptional('number', epoch) &&
    isOptional('string', changes) &&
    (scan === undefined || isScan(scan)) &&
    (scanned === undefined || scanned === true) &&
    Array.isArray(left) &&
    left.every((one) => Array.isArray(one) && one.length === 2 && one.every((text) => typeof text === 'string'))
  )
}

function isScan(value: unknown): value is Scan {
  if (!isObject(value)) return false
  const { type, after, marks, at } = value as Readonly<Record<keyof Scan, unknown>>
  return typeof type === 'string' && isOptional('string', after) && typeof marks === 'boolean' && typeof at === 'number'
}

const isOptional = (kind: 'string' | 'number', value: unknown): boolean => value === undefined || typeof value === kind

/** Returns the next step of a scan; `undefined` at its end. */
export function afterPage({ aggregateTypes }: Processor, { type, marks, at }: Scan, last: string | undefined): Scan | undefined {
  if (last !== undefined) return { type, after: last, marks, at }
  const next = aggregateTypes[aggregateTypes.indexOf(type) + 1]
  return next === undefined ? undefined : { type: next, marks, at }
}

/** Returns a change that covers an aggregate up to its end. */
export const toChange = ([aggregateType, aggregateId]: readonly [string, string]): AggregateChange => ({
  aggregateType,
  aggregateId,
  sequence: Number.POSITIVE_INFINITY,
})

/** Returns whether the aggregate is skipped with its later events, while others continue. */
export const isLeft = ({ state }: RunResult): boolean => state === 'waiting' || state === 'outdated'

export const withoutLeft = ({ left: _, ...cursor }: ScanCursor): ScanCursor => cursor
