import { DefinitionError, StoreError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'

/**
 * How the data of an event is kept.
 * - `'json'`: as it is.
 * - `'serde-enum'`: as the Rust crate `cqrs-es` keeps an enum, tagged with the event's type: `{"AccountOpened":{"owner":"ann"}}`, and the type alone, `"AccountClosed"`, for
 *   an event without data. Rust and TypeScript programs can then read and write the same rows. Metadata must be texts, since the crate reads no other.
 *
 * @example
 * ```ts
 * import type { PayloadFormat } from 'cqrs-es/store'
 *
 * export const formatOf = (sharedWithRust: boolean): PayloadFormat => (sharedWithRust ? 'serde-enum' : 'json')
 * ```
 */
export type PayloadFormat = 'json' | 'serde-enum'

/** @throws DefinitionError for a format there is not */
export function checkPayloadFormat(store: string, format: unknown): asserts format is PayloadFormat {
  if (format === 'json' || format === 'serde-enum') return
  throw new DefinitionError(`${store}: "payloadFormat" must be 'json' or 'serde-enum', not ${JSON.stringify(format)}.`)
}

/** The text that is stored for an event's data. `{}` is what an event without data has, in Rust a unit variant. */
export function encodePayload(format: PayloadFormat, type: string, data: string): string {
  if (format === 'json') return data
  return data === '{}' ? JSON.stringify(type) : `{${JSON.stringify(type)}:${data}}`
}

/** An event's data from what is stored. @throws Error when it is not of this format */
export function decodePayload(format: PayloadFormat, payload: unknown): unknown {
  if (format === 'json') return payload
  if (typeof payload === 'string') return {}
  const fields = typeof payload === 'object' && payload !== null && !Array.isArray(payload) ? Object.values(payload) : []
  if (fields.length === 1) return fields[0]
  throw new Error('With payloadFormat \'serde-enum\' a payload is {"EventType": data} or "EventType".')
}

/** @throws StoreError for metadata that the other reader of the rows could not read */
export function checkMetadata(format: PayloadFormat, eventId: string, metadata: Metadata): void {
  if (format === 'json') return
  const odd = Object.entries(metadata).find(([, value]) => typeof value !== 'string')
  if (odd === undefined) return
  throw new StoreError(
    'STORE_FAILED',
    `The event ${eventId} cannot be stored: its metadata has "${odd[0]}", which is no text. With payloadFormat 'serde-enum' metadata must be texts, since the Rust crate reads no other.`,
  )
}
