import { StoreError } from '../errors.ts'

/**
 * How far a shard was read. `start` when nothing was found in it yet, with the time of the look (in milliseconds); `at` a record that is still to be
 * given, `after` one that was; `done` when it is closed and was read to its end.
 */
export type ShardPosition = `start ${number}` | `at ${string}` | `after ${string}` | 'done'

/** Where a reader of the stream stands: every shard that is not behind it, the one to be read next first. */
export interface Cursor {
  /** The stream's ARN. */
  readonly stream: string
  readonly shards: readonly (readonly [shard: string, place: ShardPosition])[]
}

export const printCursor = ({ stream, shards }: Cursor): string => JSON.stringify({ stream, shards })

/** @throws StoreError `STORE_BEHIND` for anything that `printCursor` has not made: who gets it can only start again */
export function parseCursor(text: string): Cursor {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (isCursor(value)) return value
  throw behind('The cursor is none of the DynamoDB store.')
}

export const behind = (what: string): StoreError =>
  new StoreError('STORE_BEHIND', `${what} What has changed since can only be found by reading all aggregates.`)

/** Every place has a kind and at most one number. */
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
