import { DefinitionError, StoreError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'

/**
 * Stored form of the data of an event.
 *
 * With `'json'`, the data is stored as it is. With `'serde-enum'`, it is stored as serde stores an
 * enum in the Rust crate `cqrs-es`, tagged with the event type:
 * `{"AccountOpened":{"owner":"ann"}}`. An event declared with `noData` is the unit variant
 * `"AccountClosed"`. Any other event has data: `{}` is stored as `{"AccountNoted":{}}`.
 *
 * With `{ serdeEnum: names }`, variants may have other names than their `event_type()`. The object
 * maps event types to variant names; any other event type is its own variant name.
 *
 * Rust and TypeScript programs can then read and write the same rows. All metadata values must be
 * texts, because the crate reads no others.
 *
 * @example
 * ```ts
 * import type { PayloadFormat } from 'cqrs-es/store'
 *
 * export const payloadFormat: PayloadFormat = { serdeEnum: { 'order.opened': 'Opened' } }
 * ```
 */
export type PayloadFormat = 'json' | 'serde-enum' | { readonly serdeEnum: Readonly<Record<string, string>> }

/** @throws DefinitionError for an unknown format */
export function checkPayloadFormat(store: string, format: unknown): asserts format is PayloadFormat {
  if (format === 'json' || format === 'serde-enum' || isSerdeEnum(format)) return
  throw new DefinitionError(
    `${store}: "payloadFormat" must be 'json', 'serde-enum' or { serdeEnum: { eventType: 'VariantName' } }, not ${JSON.stringify(format)}.`,
  )
}

function isSerdeEnum(format: unknown): boolean {
  if (!isObject(format) || Object.keys(format).join() !== 'serdeEnum') return false
  const names = (format as { readonly serdeEnum: unknown }).serdeEnum
  return isObject(names) && Object.values(names).every((name) => typeof name === 'string' && name !== '')
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value)

function variantOf(format: Exclude<PayloadFormat, 'json'>, type: string): string {
  return typeof format === 'object' && Object.hasOwn(format.serdeEnum, type) ? (format.serdeEnum[type] as string) : type
}

/** Returns the stored text of an event's data. */
export function encodePayload(
  format: PayloadFormat,
  event: { readonly type: string; readonly noData?: true },
  data: string,
): string {
  if (format === 'json') return data
  const variant = JSON.stringify(variantOf(format, event.type))
  return event.noData === true ? variant : `{${variant}:${data}}`
}

/**
 * Returns the data of an event from its stored form.
 *
 * @throws Error if it is not a variant of this type
 */
export function decodePayload(format: PayloadFormat, type: string, payload: unknown): unknown {
  if (format === 'json') return payload
  const variant = variantOf(format, type)
  if (payload === variant) return {}
  const [only, ...others] = isObject(payload) ? Object.entries(payload) : []
  if (only !== undefined && others.length === 0 && only[0] === variant) return only[1]
  throw new Error(
    `payloadFormat 'serde-enum' expects {"${variant}": data} or "${variant}". If the variant has another name, set payloadFormat: { serdeEnum: { '${type}': '…' } }`,
  )
}

/** Returns metadata from its stored form. @throws Error if it is not an object */
export function decodeMetadata(metadata: unknown): Metadata {
  if (isObject(metadata)) return metadata as Metadata
  throw new Error('metadata must be a JSON object')
}

/** @throws StoreError for metadata that the crate cannot read */
export function checkMetadata(format: PayloadFormat, eventId: string, metadata: Metadata): void {
  if (format === 'json') return
  const odd = Object.entries(metadata).find(([, value]) => typeof value !== 'string')
  if (odd === undefined) return
  throw new StoreError(
    'STORE_FAILED',
    `The event ${eventId} cannot be stored: "${odd[0]}" in its metadata is not a text. With payloadFormat 'serde-enum' all metadata must be texts, because the Rust crate reads no others.`,
  )
}
