import type { CloudEvent } from '../publications/cloud-event.ts'

/** Attributes of an event that become headers in binary mode: all but the data and its media type. */
export function attributesOf({
  data: _,
  datacontenttype: __,
  ...attributes
}: CloudEvent): readonly (readonly [string, string])[] {
  return Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const]))
}

const encoder = new TextEncoder()

/** Encodes a header value of HTTP and NATS: CloudEvents asks for percent encoding. */
export const encodeHeader = (value: string): string =>
  value.replace(/[^!#$&-~]/gu, (character) =>
    [...encoder.encode(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )

/** Decodes a header value; one that is not encoded correctly stays as it is. */
export function decodeHeader(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** Media type of an event as one JSON document. */
export const structuredType = 'application/cloudevents+json'
