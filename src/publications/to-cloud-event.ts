import { ValidationError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { toJson } from '../util/json.ts'
import type { CloudEvent } from './cloud-event.ts'
import type { Contract, PublicationDefinition } from './publication-definition.ts'

/**
 * Returns the public form of an event, `undefined` if its contract keeps it private.
 *
 * @throws ValidationError when `map` returns data that its schema refuses, and errors of `map`
 */
export async function toCloudEvent(
  { name, source }: PublicationDefinition,
  contract: Contract,
  event: EventEnvelope,
): Promise<CloudEvent | undefined> {
  const mapped = contract.map(event)
  if (mapped === undefined && contract.parser.kind !== 'none') return undefined
  const at = `The publication '${name}' cannot publish ${event.type} on ${event.aggregateType} '${event.aggregateId}'`
  const data = await dataOf(contract, mapped, `${at} as ${contract.type}`)
  const { aggregateType, aggregateId, recordedAt, metadata } = event
  const subject: unknown = contract.subject === undefined ? aggregateId : contract.subject(event)
  if (typeof subject !== 'string' || subject === '')
    throw new ValidationError(`${at}: subject must return a text that is not empty, not ${JSON.stringify(subject)}.`)
  return {
    specversion: '1.0',
    id: event.id,
    source,
    type: contract.type,
    subject,
    time: recordedAt,
    datacontenttype: 'application/json',
    data,
    partitionkey: `${aggregateType}/${aggregateId}`,
    sequence: String(event.sequence).padStart(16, '0'),
    ...textIn('correlationid', metadata.correlationId),
    ...textIn('causationid', metadata.causationId),
    ...textIn('traceparent', metadata.traceparent),
  }
}

async function dataOf({ parser }: Contract, mapped: unknown, at: string): Promise<unknown> {
  const parsed = await parser.parse(mapped)
  if (parsed.issues !== undefined)
    throw new ValidationError(`${at}: ${issuesText(parsed.issues)}. Fix map or the schema, then call resume().`, parsed.issues)
  if (parsed.value === undefined) return {}
  try {
    return toJson(parsed.value)
  } catch (error) {
    const issue = notJsonIssue(error)
    throw new ValidationError(`${at}: ${issuesText([issue])}. Return JSON from map or the schema, then call resume().`, [issue])
  }
}

/** Other metadata stays private. */
const textIn = (name: string, value: unknown): object => (typeof value === 'string' && value !== '' ? { [name]: value } : {})
