import type { ExposedView } from './exposed.ts'
import type { OpenApiResponses } from './openapi-responses.ts'
import {
  afterParameter,
  headerParameter,
  idParameter,
  limitParameter,
  operation,
  pageOf,
  queryParameter,
  wholeNumber,
} from './parameters.ts'
import { conditionNames, kindOfIndex } from './query.ts'
import { viewsSegment } from './segments.ts'

/** Paths of a view in the OpenAPI document. */
export function pathsOfView({ name, definition }: ExposedView, answers: OpenApiResponses): [string, object][] {
  const at = `/${viewsSegment}/${encodeURIComponent(name)}`
  const row = {
    type: 'object',
    required: ['id', 'view', 'version'],
    properties: { id: { type: 'string' }, view: {}, version: { ...wholeNumber, description: 'Number of saves.' } },
  }
  const fresh = queryParameter('fresh', { type: 'boolean' }, 'Include everything stored by now, if the view is async.')
  const load = {
    ...operation(`${viewsSegment}.${name}.load`, 'One row', viewsSegment),
    parameters: [idParameter, ...(definition.followsOne ? [fresh] : [])],
    responses: answers.read(row, {}, true),
  }
  const orders = [
    queryParameter('orderBy', { enum: definition.indexes }, 'Order of the rows, then by id. Default: by id.'),
    queryParameter('descending', { type: 'boolean' }, 'Greatest value first; needs orderBy.'),
  ]
  const find = {
    ...operation(`${viewsSegment}.${name}.find`, 'The rows that meet all conditions', viewsSegment),
    parameters: [
      ...conditionNames(definition).map((condition) => conditionParameter(definition, condition)),
      limitParameter,
      afterParameter,
      ...(definition.indexes.length > 0 ? orders : []),
      lastEventParameter,
    ],
    responses: answers.stream(pageOf(row), eventsDescription),
  }
  return [
    [at, { get: find }],
    [`${at}/{id}`, { get: load }],
  ]
}

const lastEventParameter = headerParameter(
  'Last-Event-ID',
  { type: 'string' },
  'With `Accept: text/event-stream`: the `id` of the last received event.',
)
const eventsDescription =
  'With `Accept: text/event-stream`, live changes as server-sent events: `changed` (`id`, `view`, `version`), `gone` (`id`), `reload` (`because`).'

function conditionParameter(view: ExposedView['definition'], condition: string) {
  const index = view.indexes.includes(condition) ? condition : condition.slice(0, condition.lastIndexOf('.'))
  const kind = kindOfIndex(view, index)
  return queryParameter(condition, kind === 'null' ? { type: 'string' } : { type: kind })
}
