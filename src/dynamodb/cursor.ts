import { StoreError } from '../errors.ts'

/**
 * Progress in a shard.
 *
 * It is `start`, with the time of the last read in milliseconds, until a record is found. Then it
 * is `at` the next record or `after` the last one, with a sequence number. It is `done` at the end
 * of a closed shard.
 */
export type ShardPosition = `start ${number}` | `at ${string}` | `after ${string}` | 'done'

/** Progress in the stream: every shard that is not read yet, the next one first. */
export interface Cursor {
  /** ARN of the stream. */
  readonly stream: string
  readonly shards: readonly (readonly [shard: string, place: ShardPosition])[]
}

export const printCursor = ({ stream, shards }: Cursor): string => JSON.stringify({ stream, shards })

/** @throws StoreError `STORE_BEHIND` unless `printCursor` made the text: readers then start over */
export function parseCursor(text: string): Cursor {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (isCursor(value)) return value
  throw behind('This cursor does not belong to the DynamoDB store.')
}

export const behind = (what: string): StoreError =>
  new StoreError('STORE_BEHIND', `${what} Read all aggregates to find what changed.`)

/** The number in a position. Each has a kind and at most one number. */
export const numberOf = (place: ShardPosition): string => place.slice(place.indexOf(' ') + 1)

function isCursor(value: unknown): value is Cursor {
  if (typeof value !== 'object' || value === null) return false
  const { stream, shards } = value as Partial<Record<'stream' | 'shards', unknown>>
  return typeof stream === 'string' && Array.isArray(shards) && shards.every(isEntry)
}

const isEntry = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.length === 2 &&
  typeof value[0] === 'string' &&
  /^(?:(?:start|at|after) \d{1,60}|done)$/.test(String(value[1]))
