import type { Schemas } from '../evolution/json-schemas.ts'
import type { Parser } from '../evolution/schema.ts'
import { type ExposedAggregate, uniqueRulesOf } from './exposed.ts'
import type { OpenApiResponses } from './openapi-responses.ts'
import {
  afterParameter,
  commandParameters,
  conditionParameters,
  etagHeader,
  idParameter,
  json,
  limitParameter,
  operation,
  pageOf,
  queryParameter,
  stateSchema,
  wholeNumber,
} from './parameters.ts'
import { eventsSegment } from './segments.ts'

/** Paths of an aggregate in the OpenAPI document. */
export function pathsOfAggregate(aggregate: ExposedAggregate, schemas: Schemas, answers: OpenApiResponses): [string, object][] {
  const { name, commands } = aggregate
  const at = `/${encodeURIComponent(name)}`
  const event = aggregate.events ? eventSchema(aggregate, schemas) : undefined
  const accepted = acceptedSchema(aggregate, event, answers.isOpen)
  const responses = answers.command(accepted, uniqueRulesOf(aggregate.definition))
  const described = [...commands].map(([command, parser]) => ({
    command,
    isOptional: parser.kind === 'none',
    data: schemas.input(`${name}.${command}`, parser),
  }))
  const paths = new Map<string, Record<string, object>>()
  const add = (path: string, method: 'get' | 'post', one: object) => paths.set(path, { ...paths.get(path), [method]: one })
  if (aggregate.ids) add(at, 'get', readIds(name, answers))
  if (aggregate.state) add(`${at}/{id}`, 'get', readState(name, answers))
  if (aggregate.events) add(`${at}/{id}/${eventsSegment}`, 'get', readEvents(name, event, answers))
  if (described.length > 0) add(`${at}/{id}`, 'post', anyCommand(name, described, responses, answers))
  for (const one of described)
    add(`${at}/{id}/${encodeURIComponent(one.command)}`, 'post', oneCommand(name, one, responses, answers))
  return [...paths]
}

interface DescribedCommand {
  readonly command: string
  /** The command has no data. */
  readonly isOptional: boolean
  readonly data: object
}

const oneCommand = (name: string, { command, data }: DescribedCommand, responses: object, answers: OpenApiResponses): object => ({
  ...operation(`${name}.${command}`, command, name),
  parameters: commandParameters(answers.canWait),
  // Required also for a command without data: a client that sends no body sends no content type.
  requestBody: { required: true, content: json(data) },
  responses,
})

const anyCommand = (
  name: string,
  commands: readonly DescribedCommand[],
  responses: object,
  answers: OpenApiResponses,
): object => ({
  ...operation(`${name}.command`, 'A command', name),
  parameters: commandParameters(answers.canWait),
  requestBody: { required: true, content: json({ oneOf: commands.map(messageSchema) }) },
  responses,
})

const messageSchema = ({ command, isOptional, data }: DescribedCommand): object => ({
  type: 'object',
  required: isOptional ? ['type'] : ['type', 'data'],
  properties: { type: { const: command }, data },
  additionalProperties: false,
})

const readIds = (name: string, answers: OpenApiResponses): object => ({
  ...operation(`${name}.ids`, 'Ids of aggregates with events', name),
  parameters: [limitParameter, afterParameter],
  responses: answers.read(pageOf({ type: 'string' })),
})

const readState = (name: string, answers: OpenApiResponses): object => ({
  ...operation(`${name}.state`, 'The state', name),
  parameters: [idParameter, queryParameter('asOf', wholeNumber, 'The state right after this sequence.'), ...conditionParameters],
  responses: answers.read(stateSchema, { ETag: etagHeader }, true),
})

const readEvents = (name: string, event: object | undefined, answers: OpenApiResponses): object => ({
  ...operation(`${name}.events`, 'The events, in order', name),
  parameters: [
    idParameter,
    queryParameter('after', wholeNumber, 'Only events after this sequence.'),
    queryParameter('limit', { ...wholeNumber, minimum: 1 }, 'Maximum number of events. Default: all.'),
  ],
  responses: answers.read(pageOf(event ?? {}, wholeNumber), {}, true),
})

/** With `authorize`, a caller may not be allowed to read the state and events of its command. */
const acceptedSchema = ({ state }: ExposedAggregate, event: object | undefined, isOpen: boolean): object => ({
  type: 'object',
  required: ['sequence', 'replayed', ...(isOpen && event !== undefined ? ['events'] : []), ...(isOpen && state ? ['state'] : [])],
  properties: {
    sequence: { ...wholeNumber, description: 'Sequence of the last event.' },
    replayed: { type: 'boolean', description: 'The idempotency key was used before: this is the outcome of its first use.' },
    ...(event === undefined ? {} : { events: { type: 'array', items: event } }),
    ...(state ? { state: {} } : {}),
  },
})

function eventSchema({ name, definition }: ExposedAggregate, schemas: Schemas): object {
  const oneOf = [...definition.events.values()].map(({ type, parser }) =>
    envelopeSchema(definition.type, type, dataOf(name, type, parser, schemas)),
  )
  return oneOf.length === 0 ? {} : schemas.add(`${name}.Event`, { oneOf })
}

const dataOf = (name: string, type: string, parser: Parser, schemas: Schemas): object =>
  parser.kind === 'none' ? {} : { data: schemas.output(`${name}.${type}`, parser) }

const envelopeSchema = (aggregateType: string, type: string, data: object): object => ({
  type: 'object',
  required: [
    ...Object.keys(data),
    'id',
    'type',
    'version',
    'aggregateType',
    'aggregateId',
    'sequence',
    'metadata',
    'commitId',
    'recordedAt',
  ],
  properties: {
    id: { type: 'string' },
    type: { const: type },
    ...data,
    version: { type: 'string' },
    aggregateType: { const: aggregateType },
    aggregateId: { type: 'string' },
    sequence: { ...wholeNumber, minimum: 1 },
    position: { type: 'string' },
    metadata: { type: 'object' },
    commitId: { type: 'string' },
    recordedAt: { type: 'string', format: 'date-time' },
  },
})
