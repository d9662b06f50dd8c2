import type { Position } from '../event-envelope.ts'
import { digitsOf, type Row, text, whole, wholeOrNull } from '../sql/columns.ts'
import type { EventRow } from '../sql/rows.ts'
import type { StoredEvent } from '../store/commit.ts'
import { feedStart, feedWindow, lastOf, lostEvent } from '../store/feed-start.ts'
import type { FeedPage, FeedRequest, LogEvent } from '../store/store.ts'
import type { Connection } from './connection.ts'
import { readPage } from './page.ts'
import * as statements from './statements.ts'

/**
 * Reads a page of the log.
 *
 * Positions are drawn and committed under the one write lock, so no position can appear below one
 * that a reader has seen.
 */
export function readFeed(
  connection: Connection,
  { after, confirm, only, limit }: FeedRequest,
  toStoredEvent: (row: EventRow) => StoredEvent,
): FeedPage {
  const last = lastPosition(connection) ?? 0
  const start = feedStart(after, last)
  if (confirm !== undefined && !hasEvent(connection, confirm)) throw lostEvent(confirm)
  if (start === last) return { events: [], position: after, more: false }
  const end = only === undefined ? last : Math.min(last, start + feedWindow)
  const { rows, more } = readPage(connection, limit, (row, most) =>
    readRows(connection, row === undefined ? start : whole(row, 'position'), end, only, most),
  )
  const events = rows.map(toStoredEvent)
  if (more) return { events, position: events.at(-1)?.position, ...lastOf(events.at(-1)), more }
  return { events, position: String(end) as Position, ...lastOf(lastUpTo(connection, end)), more: end < last }
}

function hasEvent(connection: Connection, { position, commitId }: LogEvent): boolean {
  const row = connection.first(statements.readCommitAt, position)
  return row !== undefined && text(row, 'commit_id') === commitId
}

function lastUpTo(connection: Connection, end: number) {
  const row = connection.first(statements.readLastUpTo, end)
  return row && { position: digitsOf(row, 'position') as Position, commitId: text(row, 'commit_id') }
}

export function lastPosition(connection: Connection): number | undefined {
  return wholeOrNull(connection.always(statements.readLastPosition), 'position') ?? undefined
}

function readRows(connection: Connection, start: number, end: number, only: FeedRequest['only'], limit: number): Row[] {
  if (only === undefined) return connection.all(statements.readFeed, start, end, limit)
  const types: string[] = []
  const eventTypes: string[] = []
  for (const wanted of only) {
    if (wanted.eventTypes === undefined) types.push(wanted.aggregateType)
    else eventTypes.push(...wanted.eventTypes.map((type) => `${wanted.aggregateType}/${type}`))
  }
  return connection.all(statements.readFeedOnly, start, end, JSON.stringify(types), JSON.stringify(eventTypes), limit)
}
