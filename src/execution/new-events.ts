import { InvalidEventError } from '../errors.ts'
import type { EnvelopeContext, EventEnvelope, Position } from '../event-envelope.ts'
import { envelopeOf } from '../evolution/envelope.ts'
import { messageKeys } from '../message.ts'
import { isRejection } from '../reject.ts'
import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import { issuesText } from '../util/issues.ts'
import { isObject } from '../util/json.ts'
import { unknownKey } from '../util/options.ts'
import { refusing } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import { applyEvent } from './apply-event.ts'
import type { Loaded } from './loaded.ts'

/** Decided events, ready for a commit. */
export interface NewEvents {
  /** As they will be stored. */
  readonly stored: readonly Omit<StoredEvent, 'position'>[]
  /** The data of each as a later read gives it, frozen. */
  readonly data: readonly unknown[]
  /** After these events. */
  readonly state: unknown
  readonly sequence: number
}

type Context = Pick<EnvelopeContext, 'aggregateId' | 'metadata' | 'commitId' | 'recordedAt'>

/**
 * Checks events, numbers them after `base`, and applies them to its state.
 *
 * Messages about an invalid event start with the text that `by` returns: it names the author.
 *
 * @throws InvalidEventError, ApplyError
 */
export function newEvents(
  definition: AggregateDefinition,
  context: Context,
  by: () => string,
  base: Loaded,
  events: readonly unknown[],
): NewEvents {
  const aggregateType = definition.type
  const { aggregateId, metadata, commitId, recordedAt } = context
  const encoded = encodeEvents(definition, by, events)
  let { state, sequence } = base
  const stored = encoded.map(({ type, version, storedData, data, noData }) => {
    sequence++
    const id = eventId(aggregateType, aggregateId, sequence)
    const event = { id, type, data: storedData, version, aggregateType, aggregateId, sequence, metadata, commitId, recordedAt }
    state = applyEvent(definition, state, { type, data, aggregateId, sequence })
    return noData ? { ...event, noData } : event
  })
  return { stored, data: encoded.map(({ data }) => data), state, sequence }
}

/** The events as a later read returns them, with their positions if those are known. */
export const envelopesOf = ({ stored, data }: NewEvents, positions?: readonly Position[]): readonly EventEnvelope[] =>
  stored.map((event, i) => envelopeOf(event, data[i], event, positions?.[i]))

/** @throws InvalidEventError */
export function encodeEvents(definition: AggregateDefinition, by: () => string, events: readonly unknown[]) {
  try {
    return events.map((event) => encodeEvent(definition, by, event))
  } catch (error) {
    throw error instanceof InvalidEventError ? refusing(error, events) : error
  }
}

function encodeEvent(definition: AggregateDefinition, by: () => string, event: unknown) {
  if (!isObject(event) || typeof (event as { type?: unknown }).type !== 'string')
    throw new InvalidEventError(
      `${by()} ${shown(event)}. Expected an event { type, data }, a list of events, reject(…) or nothing.`,
    )
  const { type, data } = event as { type: string; data?: unknown }
  const codec = definition.events.get(type)
  if (codec === undefined)
    throw new InvalidEventError(
      `${by()} an event of the unknown type '${type}'. Its events: ${[...definition.events.keys()].join(', ')}.`,
    )
  const surplus = unknownKey(event, messageKeys)
  if (surplus !== undefined)
    throw new InvalidEventError(`${by()} ${type} with the extra property '${surplus}'. An event has only type and data.`)
  const encoded = codec.encode(data)
  if (encoded.issues !== undefined)
    throw refusing(
      new InvalidEventError(`${by()} ${type} with data that cannot be stored: ${issuesText(encoded.issues)}.`, encoded.issues),
      encoded.refused,
    )
  const noData = codec.parser.kind === 'none'
  return { type, version: codec.version, storedData: encoded.stored, data: encoded.data, noData }
}

function shown(value: unknown): string {
  if (isRejection(value)) return 'a rejection inside a list'
  if (value === null) return 'null'
  if (typeof value === 'object') return 'an object without a type'
  return typeof value === 'string' ? `'${value}'` : String(value)
}
