import { ValidationError } from '../errors.ts'
import { checkCloudEvent } from '../inboxes/check-cloud-event.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import { parseReceived } from '../store/exact-json.ts'
import { isObject } from '../util/json.ts'
import { decodeHeader } from './headers.ts'

/** Functions that read a CloudEvent of one transport, in structured or binary mode. */
export interface CloudEventFrom {
  /** Reads a message of Kafka, such as that of kafkajs. @throws ValidationError */
  kafka(message: { readonly headers?: object | undefined; readonly value: Uint8Array | null }): CloudEvent
  /** Reads a message of NATS. @throws ValidationError */
  nats(message: { readonly data: Uint8Array; readonly headers?: unknown }): CloudEvent
  /** Reads a message of RabbitMQ, such as that of amqplib. @throws ValidationError */
  rabbit(message: {
    readonly content: Uint8Array
    readonly properties: { readonly headers?: object | undefined; readonly contentType?: unknown }
  }): CloudEvent
  /** Reads a message of SQS, also one that SNS or EventBridge delivered. @throws ValidationError */
  sqs(message: { readonly body?: string | undefined; readonly Body?: string | undefined }): CloudEvent
  /** Reads a notification of SNS, such as a record of Lambda. @throws ValidationError */
  sns(record: { readonly Sns: { readonly Message: string } } | { readonly Message: string }): CloudEvent
  /** Reads an event of EventBridge. @throws ValidationError */
  eventBridge(event: { readonly detail: unknown }): CloudEvent
  /** Reads an HTTP request, such as that of a webhook. Verify its signature first. @throws ValidationError */
  request(request: Request): Promise<CloudEvent>
}

/**
 * Reads CloudEvents from messages, for `receive` of an inbox.
 *
 * @example
 * ```ts
 * import { cloudEventFrom } from 'cqrs-es/messaging'
 *
 * const headers = { ce_specversion: '1.0', ce_id: 'e-1', ce_source: '/psp', ce_type: 'captured.v1' }
 * const value = new TextEncoder().encode('{"amount":9}')
 * console.log(cloudEventFrom.kafka({ headers, value }).data) // { amount: 9 }
 * ```
 */
export const cloudEventFrom: CloudEventFrom = {
  kafka: ({ headers = {}, value }) => {
    const all = textsOf(Object.entries(headers))
    return read('The message of Kafka', all.get('content-type'), attributesIn(all, 'ce_'), textOf(value))
  },
  nats: ({ headers, data }) => {
    const all = textsOf(natsEntries(headers))
    return read('The message of NATS', all.get('content-type'), decoded(attributesIn(all, 'ce-')), textOf(data))
  },
  rabbit: ({ content, properties: { headers = {}, contentType } }) => {
    const all = textsOf(Object.entries(headers))
    const attributes = { ...attributesIn(all, 'cloudevents:'), ...attributesIn(all, 'cloudevents_') }
    return read('The message of RabbitMQ', String(contentType ?? ''), attributes, textOf(content))
  },
  sqs: ({ body, Body }) => unwrapped('The message of SQS', parse('The message of SQS', body ?? Body ?? '')),
  sns: (record) => {
    const text = 'Sns' in record ? record.Sns.Message : record.Message
    return unwrapped('The message of SNS', parse('The message of SNS', text))
  },
  eventBridge: ({ detail }) => checked('The event of EventBridge', detail),
  request: async (request) => {
    const found: [string, string][] = []
    request.headers.forEach((value, name) => void found.push([name, value]))
    const all = textsOf(found)
    return read('The request', all.get('content-type'), decoded(attributesIn(all, 'ce-')), await request.text())
  },
}

type Attributes = Readonly<Record<string, string>>

/** Reads a message by its media type: a CloudEvent as a whole, or its data beside the attributes. */
function read(at: string, contentType = '', attributes: Attributes, body: string): CloudEvent {
  const [mediaType = ''] = contentType.toLowerCase().split(';')
  if (mediaType.trim().startsWith('application/cloudevents-batch'))
    throw new ValidationError(`${at} is a batch of CloudEvents. Send them one by one.`)
  // Without attributes only structured mode is left: NATS may have no headers.
  if (mediaType.trim().startsWith('application/cloudevents') || attributes.specversion === undefined)
    return checked(at, parse(at, body))
  const isJson = mediaType === '' || /[/+]json\s*$/.test(mediaType)
  if (!isJson) throw new ValidationError(`${at} has data of the type ${contentType}, not JSON.`)
  const data = body === '' ? {} : { data: parse(at, body) }
  const type = contentType === '' ? {} : { datacontenttype: contentType }
  return checked(at, { ...attributes, ...type, ...data })
}

/** Reads a CloudEvent, or the envelope of SNS or EventBridge around it. */
function unwrapped(at: string, value: unknown): CloudEvent {
  if (isObject(value) && !('specversion' in value)) {
    const { Message, detail } = value as { readonly Message?: unknown; readonly detail?: unknown }
    if (typeof Message === 'string') return unwrapped(at, parse(at, Message))
    if (isObject(detail)) return checked(at, detail)
  }
  return checked(at, value)
}

function checked(at: string, value: unknown): CloudEvent {
  checkCloudEvent(at, value)
  if ('data_base64' in value) throw new ValidationError(`${at} has binary data (data_base64), not JSON.`)
  return value
}

function parse(at: string, text: string): unknown {
  try {
    return parseReceived(text)
  } catch (error) {
    if (error instanceof ValidationError) throw new ValidationError(`${at} is invalid: ${error.message}`, error.issues)
    throw new ValidationError(`${at} is not JSON.`, undefined, error)
  }
}

const textOf = (bytes: Uint8Array | null): string => (bytes === null ? '' : new TextDecoder().decode(bytes))

/** Headers with names in lower case and values as text; of several values the first. */
function textsOf(headers: Iterable<readonly [string, unknown]>): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const [name, value] of headers) {
    const one: unknown = Array.isArray(value) ? value[0] : value
    if (one !== undefined && one !== null) texts.set(name.toLowerCase(), one instanceof Uint8Array ? textOf(one) : String(one))
  }
  return texts
}

/** The package nats iterates over names with lists of values. */
const natsEntries = (headers: unknown): Iterable<readonly [string, unknown]> =>
  isObject(headers) && Symbol.iterator in headers ? (headers as Iterable<readonly [string, unknown]>) : []

const attributesIn = (headers: ReadonlyMap<string, string>, prefix: string): Attributes =>
  Object.fromEntries(
    [...headers].flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [])),
  )

const decoded = (attributes: Attributes): Attributes =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, decodeHeader(value)]))
