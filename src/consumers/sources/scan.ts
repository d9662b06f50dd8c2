import type { AggregateChange } from '../change.ts'
import type { RunResult } from '../core.ts'
import type { Processor } from '../processor.ts'

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
