import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { EventRow } from '../sql/rows.ts'
import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import { feedStart, feedWindow, lastOf, lostEvent } from '../store/feed-start.ts'
import type { FeedPage, FeedRequest } from '../store/store.ts'
import type { Row, Run, Value } from './connection.ts'
import { collation } from './fragments.ts'
import type { Statements } from './statements.ts'

/** Reach of a page without a filter: above all possible positions. */
const everything = '9000000000000000000'

/**
 * Reads a page of the log.
 *
 * Positions are drawn and committed under the one lock of the sequencer, so no position can appear
 * below one that a reader has seen.
 */
export async function readFeed(
  run: Run,
  statements: Statements,
  toStoredEvent: (row: EventRow) => StoredEvent,
  request: FeedRequest,
  most: number,
): Promise<FeedPage> {
  const { after, confirm, only, limit } = request
  const start = after === undefined ? 0 : Number(after)
  const wanted = Math.min(limit, most)
  const from = Number.isSafeInteger(start) && start >= 0 ? start : 0
  const reach = only === undefined ? everything : from + feedWindow
  const filter = only && filterOf(only)
  const sql = filter ? statements.readFeedOnly(filter.sql) : statements.readFeed
  const seen = [confirm?.position ?? 0, confirm?.commitId ?? '']
  const { rows } = await run(sql, ...seen, reach, reach, from, reach, ...(filter?.values ?? []), wanted + 1)
  const head = rows.find(({ log_end }) => log_end !== null)
  const last = Number(head?.log_end ?? 0)
  feedStart(after, last)
  if (confirm !== undefined && Number(head?.kept) !== 1) throw lostEvent(confirm)
  if (head !== undefined && head.aggregate_id !== null) throw unplaced(head)
  const placed = rows.filter((row) => row !== head).sort((a, b) => Number(a.position) - Number(b.position))
  const events = (placed.slice(0, wanted) as unknown as EventRow[]).map(toStoredEvent)
  if (Number(placed[0]?.found ?? 0) > events.length)
    return { events, position: events.at(-1)?.position, ...lastOf(events.at(-1)), more: true }
  const end = only === undefined ? last : Math.min(last, from + feedWindow)
  if (end === from) return { events: [], position: after, more: false }
  const position = head?.position ?? undefined
  const seenLast =
    position === undefined ? undefined : { position: String(position) as Position, commitId: String(head?.commit_id) }
  return { events, position: String(end) as Position, ...lastOf(seenLast), more: end < last }
}

/** The error for an event of another program: a reader that skipped it would lose it. */
export function unplaced(row: Row): StoreError {
  const event = eventId(String(row.aggregate_type), String(row.aggregate_id), Number(row.sequence))
  return new StoreError(
    'STORE_FAILED',
    `Event '${event}' was inserted by another program and has no position. Call createSchema() to number it. ` +
      'If that program still writes, set foreignWriters: true.',
  )
}

/** A condition per aggregate type, with the requested event types. */
function filterOf(only: NonNullable<FeedRequest['only']>): { sql: string; values: Value[] } {
  const conditions = ['FALSE']
  const values: Value[] = []
  const marks = (texts: readonly string[]) => texts.map(() => '?').join(', ')
  for (const { aggregateType, eventTypes } of only) {
    if (eventTypes?.length === 0) continue
    values.push(aggregateType, ...(eventTypes ?? []))
    const ofTypes = eventTypes ? ` AND event_type COLLATE ${collation} IN (${marks(eventTypes)})` : ''
    conditions.push(`type_key = ?${ofTypes}`)
  }
  return { sql: `AND (${conditions.join(' OR ')})`, values }
}
