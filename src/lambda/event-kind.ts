import { isObject } from '../util/json.ts'
import { kindOf } from '../util/names.ts'

/** Describes an event, for a function that is connected to the wrong source. */
export function kindOfEvent(event: unknown): string {
  if (!isObject(event)) return kindOf(event)
  const { version, httpMethod, requestContext, Records, 'detail-type': detailType } = event as Readonly<Record<string, unknown>>
  const context = isObject(requestContext) ? requestContext : {}
  if ('elb' in context) return 'a request of an Application Load Balancer'
  if ('connectionId' in context) return 'a message of a WebSocket API'
  if (version === '2.0' && 'http' in context) return 'a request of an HTTP API or a Function URL'
  if (version === '1.0') return 'a request of an HTTP API in the payload format 1.0'
  if (httpMethod !== undefined) return 'a request of a REST API'
  if (Array.isArray(Records)) return kindOfRecords(Records)
  if (typeof detailType === 'string') return `an event of EventBridge ('${detailType}')`
  return `an object with ${Object.keys(event).slice(0, 10).join(', ') || 'nothing in it'}`
}

function kindOfRecords([first]: readonly unknown[]): string {
  const { eventSource, EventSource = eventSource } = (isObject(first) ? first : {}) as Readonly<Record<string, unknown>>
  return typeof EventSource === 'string' ? `records of '${EventSource}'` : 'records that do not say where they are from'
}
