import { DeserializationError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'

/** A row of the table `events`, as a driver hands it out: integers may be numbers, bigints or digits. */
export interface EventRow {
  readonly position: unknown
  readonly aggregate_type: string
  readonly aggregate_id: string
  readonly sequence: unknown
  readonly event_type: string
  readonly event_version: string
  readonly payload: string
  readonly metadata: string
  readonly recorded_at: string
  readonly commit_id: string
}

/** @throws DeserializationError when the row's JSON is corrupt */
export function toStoredEvent(row: EventRow): StoredEvent {
  const aggregateType = row.aggregate_type
  const aggregateId = row.aggregate_id
  const sequence = Number(row.sequence)
  return {
    id: eventId(aggregateType, aggregateId, sequence),
    type: row.event_type,
    version: row.event_version,
    data: parse(row, 'payload'),
    aggregateType,
    aggregateId,
    sequence,
    position: String(row.position) as Position,
    metadata: parse(row, 'metadata') as StoredEvent['metadata'],
    commitId: row.commit_id,
    recordedAt: row.recorded_at,
  }
}

function parse(row: EventRow, column: 'payload' | 'metadata'): unknown {
  try {
    return JSON.parse(row[column])
  } catch (cause) {
    const at = { aggregateType: row.aggregate_type, aggregateId: row.aggregate_id, sequence: Number(row.sequence) }
    const event = eventId(at.aggregateType, at.aggregateId, at.sequence)
    throw new DeserializationError(`The ${column} of the stored event ${event} is not JSON.`, at, cause)
  }
}
