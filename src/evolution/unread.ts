import type { DeserializationError } from '../errors.ts'
import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'

/** An event with corrupt JSON, of which the store returns only the place. */
export interface UnreadEvent extends StoredEvent {
  readonly unread: DeserializationError
}

export const isUnread = (stored: StoredEvent): stored is UnreadEvent => 'unread' in stored

export function toUnread(unread: DeserializationError): UnreadEvent {
  const { aggregateType, aggregateId, sequence, position } = unread
  const place = { id: eventId(aggregateType, aggregateId, sequence), aggregateType, aggregateId, sequence }
  const unknown = { type: '', version: '', data: undefined, metadata: {}, commitId: '', recordedAt: '' }
  return { ...unknown, ...place, ...(position === undefined ? {} : { position }), unread }
}
