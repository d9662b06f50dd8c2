import type { AggregateDefinition } from '../aggregate-definition.ts'
import { InvalidEventError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { issuesText } from '../evolution/schema.ts'
import { deepFreeze } from '../json.ts'
import { unknownKeys } from '../options.ts'
import { isRejection, type Rejection } from '../reject.ts'
import type { StoredEvent } from '../store/commit.ts'
import { eventId } from '../store/event-id.ts'
import type { Loaded } from './cache.ts'
import type { Call } from './call.ts'
import type { Core, WiredAggregate } from './core.ts'
import { evolve } from './evolve.ts'

/** What a handler decided on one state. */
export type Decision =
  | { readonly kind: 'rejected'; readonly rejection: Rejection }
  | { readonly kind: 'nothing' }
  | {
      readonly kind: 'events'
      readonly commitId: string
      /** As they will be stored. */
      readonly stored: readonly Omit<StoredEvent, 'position'>[]
      /** The same as a later read gives them, but for their positions; frozen. */
      readonly envelopes: readonly EventEnvelope[]
      /** After these events. */
      readonly state: unknown
      readonly sequence: number
    }

/** Runs the handler and checks what it returns. Its own exceptions pass through. @throws InvalidEventError, ApplyError */
export async function decide(
  core: Core,
  aggregate: WiredAggregate,
  call: Call,
  data: unknown,
  commandId: string,
  base: Loaded,
): Promise<Decision> {
  const { definition, services } = aggregate
  const { aggregateId, command, metadata } = call
  const now = core.runtime.now()
  const handle = definition.handle.get(command.type)
  const decided = await handle?.(base.state, data, {
    services,
    aggregateId,
    commandId,
    sequence: base.sequence,
    metadata,
    now,
    signal: call.signal ?? core.neverAborts,
    event: definition.event,
    apply: (state: unknown, ...events: readonly unknown[]) =>
      events.reduce((current, event, i) => {
        const encoded = encode(definition, call, event)
        return evolve(definition, current, {
          type: encoded.type,
          data: encoded.data,
          aggregateId,
          sequence: base.sequence + i + 1,
        })
      }, state),
  })
  if (isRejection(decided)) return { kind: 'rejected', rejection: decided }
  const events = decided === undefined ? [] : Array.isArray(decided) ? decided : [decided]
  if (events.length === 0) return { kind: 'nothing' }
  return commitOf(core, definition, call, base, now.toISOString(), events)
}

function commitOf(
  core: Core,
  definition: AggregateDefinition,
  call: Call,
  base: Loaded,
  recordedAt: string,
  events: readonly unknown[],
): Decision {
  const { aggregateId, metadata } = call
  const commitId = core.runtime.randomUUID()
  const stored: Omit<StoredEvent, 'position'>[] = []
  const envelopes: EventEnvelope[] = []
  let { state, sequence } = base
  for (const event of events) {
    const { type, version, storedData, data } = encode(definition, call, event)
    sequence++
    const aggregateType = definition.type
    const context = { version, aggregateType, aggregateId, sequence, metadata, commitId, recordedAt }
    const id = eventId(aggregateType, aggregateId, sequence)
    stored.push({ id, type, data: storedData, ...context })
    const envelope = deepFreeze(data === undefined ? { id, type, ...context } : { id, type, data, ...context })
    envelopes.push(envelope)
    state = evolve(definition, state, envelope)
  }
  return { kind: 'events', commitId, stored, envelopes, state, sequence }
}

/** @throws InvalidEventError */
function encode(definition: AggregateDefinition, call: Call, event: unknown) {
  const at = `${call.command.type} on ${definition.type} '${call.aggregateId}'`
  if (typeof event !== 'object' || event === null || typeof (event as { type?: unknown }).type !== 'string')
    throw new InvalidEventError(
      `${at} returned ${shown(event)} where an event { type, data }, a list of events, reject(…) or nothing is expected.`,
    )
  const { type, data } = event as { type: string; data?: unknown }
  const codec = definition.events.get(type)
  if (codec === undefined)
    throw new InvalidEventError(
      `${at} returned an event of the unknown type '${type}'. Its events: ${[...definition.events.keys()].join(', ')}.`,
    )
  const [surplus] = unknownKeys(event, ['type', 'data'])
  if (surplus !== undefined) throw new InvalidEventError(`${at} returned ${type} with '${surplus}' beside type and data.`)
  const encoded = codec.encode(data)
  if (encoded.issues !== undefined)
    throw new InvalidEventError(
      `${at} returned ${type} with data that cannot be stored: ${issuesText(encoded.issues)}.`,
      encoded.issues,
    )
  return { type, version: codec.version, storedData: encoded.stored, data: encoded.data }
}

const shown = (value: unknown): string =>
  isRejection(value)
    ? 'a rejection inside a list'
    : value === null
      ? 'null'
      : typeof value === 'object'
        ? 'an object without a type'
        : `${typeof value === 'string' ? `'${value}'` : String(value)}`
