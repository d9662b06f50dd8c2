import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import { feedStart, feedWindow, lastOf, lostEvent } from '../store/feed-start.ts'
import type { FeedPage, FeedRequest } from '../store/store.ts'
import type { EventRow } from './tables.ts'

export function readFeed(log: readonly EventRow[], { after, confirm, only, limit }: FeedRequest): FeedPage {
  const start = feedStart(after, log.length)
  if (confirm !== undefined && log[Number(confirm.position) - 1]?.commitId !== confirm.commitId) throw lostEvent(confirm)
  const end = Math.min(log.length, only === undefined ? start + limit : start + feedWindow)
  const wanted = toFilter(only)
  const events: StoredEvent[] = []
  let at = start
  for (; at < end && events.length < limit; at++) {
    const row = log[at] as EventRow
    if (wanted(row)) events.push(toStoredEvent(row))
  }
  const last = log[at - 1]
  return { events, position: last?.position ?? after, ...lastOf(last), more: at < log.length }
}

export function toStoredEvent(row: EventRow): StoredEvent {
  return {
    id: eventId(row.aggregateType, row.aggregateId, row.sequence),
    type: row.type,
    version: row.version,
    data: JSON.parse(row.data),
    aggregateType: row.aggregateType,
    aggregateId: row.aggregateId,
    sequence: row.sequence,
    position: row.position,
    metadata: JSON.parse(row.metadata),
    commitId: row.commitId,
    recordedAt: row.recordedAt,
  }
}

function toFilter(only: FeedRequest['only']): (row: EventRow) => boolean {
  if (only === undefined) return () => true
  const types = new Map<string, Set<string> | 'all'>()
  for (const { aggregateType, eventTypes } of only) {
    const known = types.get(aggregateType)
    if (eventTypes === undefined || known === 'all') types.set(aggregateType, 'all')
    else types.set(aggregateType, new Set([...(known ?? []), ...eventTypes]))
  }
  return (row) => {
    const wanted = types.get(row.aggregateType)
    return wanted === 'all' || wanted?.has(row.type) === true
  }
}
