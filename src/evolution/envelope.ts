import type { EnvelopeContext, EventEnvelope, Position } from '../event-envelope.ts'

type Form = Pick<EventEnvelope, 'id' | 'type' | 'version' | 'metadata'>
type Place = Pick<EnvelopeContext, 'aggregateType' | 'aggregateId' | 'sequence' | 'commitId' | 'recordedAt'>

/**
 * Makes the frozen envelope that programs receive.
 *
 * Its `data` and `metadata` must be frozen already; `undefined` properties are omitted.
 */
export function envelopeOf(form: Form, data: unknown, place: Place, position: Position | undefined): EventEnvelope {
  const { id, type, version, metadata } = form
  const { aggregateType, aggregateId, sequence, commitId, recordedAt } = place
  const envelope: { -readonly [K in keyof EventEnvelope]: EventEnvelope[K] } = {
    id,
    type,
    version,
    aggregateType,
    aggregateId,
    sequence,
    metadata,
    commitId,
    recordedAt,
  }
  if (data !== undefined) envelope.data = data
  if (position !== undefined) envelope.position = position
  return Object.freeze(envelope)
}
