import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { digitsOf, digitsOrNull, oneOf, type Row, text, whole } from '../sql/columns.ts'
import type { EventRow } from '../sql/rows.ts'
import type { StoredEvent } from '../store/commit.ts'
import { feedStart, feedWindow, lastOf } from '../store/feed-start.ts'
import type { FeedPage, FeedRequest } from '../store/store.ts'
import type { Connection } from './connection.ts'
import { followed } from './fragments.ts'
import type { Statements } from './statements.ts'

/** Reach of a page without a filter: above all possible positions. */
const everything = '8000000000000000000'

export async function readFeed(
  connection: Connection,
  statements: Statements,
  { after, confirm, only, limit }: FeedRequest,
  most: { readonly events: number; readonly bytes: number },
  toStoredEvent: (row: EventRow) => StoredEvent,
): Promise<FeedPage> {
  const filter = only && filterOf(only)
  const [head, ...rows] = await connection.all(
    statements.readFeed,
    startOf(after),
    filter ? JSON.stringify(filter.types) : null,
    filter ? JSON.stringify(filter.eventTypes) : null,
    filter ? feedWindow : everything,
    Math.min(limit, most.events),
    most.bytes,
    confirm?.position ?? null,
    confirm?.commitId ?? null,
  )
  if (head === undefined) throw noAnswer()
  const start = feedStart(after, whole(head, 'log_end'))
  const end = whole(head, 'page_end')
  const events = rows.map(toStoredEvent)
  if (isFollowed(rows.at(-1))) return { events, position: events.at(-1)?.position, ...lastOf(events.at(-1)), more: true }
  // A slow writer that has just taken its lock can move the horizon to before `after`.
  if (end <= start) return { events: [], position: after, more: false }
  const position = digitsOrNull(head, 'position') as Position | null
  const last = position === null ? undefined : { position, commitId: text(head, 'commit_id') }
  return { events, position: String(end) as Position, ...lastOf(last), more: filter !== undefined && end === start + feedWindow }
}

/** Text that is no position of this store counts as past the end of the log. */
const startOf = (after: Position | undefined): string =>
  after === undefined ? '0' : /^\d{1,18}$/.test(after) ? after : '999999999999999999'

export const lastPosition = (connection: Connection, statements: Statements) => position(connection, statements, 'horizon')

/** The last position that was drawn, even if its event is not committed yet. */
export const endPosition = (connection: Connection, statements: Statements) => position(connection, statements, 'last')

async function position(connection: Connection, { readPositions }: Statements, which: 'horizon' | 'last') {
  const row = await connection.first(readPositions)
  if (row === undefined) throw noAnswer()
  const found = digitsOf(row, which) as Position
  return found === '0' ? undefined : found
}

/** Whether the page was cut off. */
const isFollowed = (last: Row | undefined): boolean => last !== undefined && oneOf(last, 'followed', followed) === followed[0]

const noAnswer = (): StoreError =>
  new StoreError('STORE_FAILED', 'The Postgres client returned no row for a statement that always returns one.')

/**
 * Splits the filter into aggregate types without a limit, and `aggregate type/event type` pairs.
 */
function filterOf(only: NonNullable<FeedRequest['only']>) {
  const types: string[] = []
  const eventTypes: string[] = []
  for (const wanted of only) {
    if (wanted.eventTypes === undefined) types.push(wanted.aggregateType)
    else eventTypes.push(...wanted.eventTypes.map((type) => `${wanted.aggregateType}/${type}`))
  }
  return { types, eventTypes }
}
