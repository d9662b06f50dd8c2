import { isObject } from '../../util/json.ts'
import type { AggregateChange } from '../change.ts'
import type { RunResult } from '../core.ts'
import type { Processor } from '../processor.ts'
import { damaged } from '../progress.ts'

/** A look at every aggregate. */
export interface Scan {
  readonly type: string
  readonly after?: string | undefined
  /** What is there already is not delivered. */
  readonly marks: boolean
  /** Not before, in milliseconds since 1970. */
  readonly at: number
}

/** What the checkpoint says: where to go on in the changes, and in the scan of all aggregates that comes first. */
export interface ScanCursor {
  /** Of its consumer; left out for the first. One of an earlier epoch is over: all aggregates are looked at again. */
  readonly epoch?: number
  readonly changes?: string
  readonly scan?: Scan | undefined
  /** All aggregates were looked at once. */
  readonly scanned?: true
  /** Aggregates behind it that wait for another try: types and ids. */
  readonly left?: readonly (readonly [string, string])[]
}

/** @throws StoreError `STORE_CORRUPT` for what no version writes */
export function readCursor(text: string | null): ScanCursor {
  if (text === null) return {}
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    // What is no JSON is damaged, too.
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

/** Where a look at every aggregate goes on; `undefined` at its end. */
export function afterPage({ aggregateTypes }: Processor, { type, marks, at }: Scan, last: string | undefined): Scan | undefined {
  if (last !== undefined) return { type, after: last, marks, at }
  const next = aggregateTypes[aggregateTypes.indexOf(type) + 1]
  return next === undefined ? undefined : { type: next, marks, at }
}

/** To the end of an aggregate, wherever that is. */
export const toChange = ([aggregateType, aggregateId]: readonly [string, string]): AggregateChange => ({
  aggregateType,
  aggregateId,
  sequence: Number.POSITIVE_INFINITY,
})

/** It is left behind, with what comes after it, and others go on. */
export const isLeft = ({ state }: RunResult): boolean => state === 'waiting' || state === 'outdated'

export const withoutLeft = ({ left: _, ...cursor }: ScanCursor): ScanCursor => cursor
