import { Schemas } from '../evolution/json-schemas.ts'
import { pathsOfAggregate } from './aggregate-paths.ts'
import type { Exposed } from './exposed.ts'
import { OpenApiResponses, problemSchema } from './openapi-responses.ts'
import type { OpenApiOptions } from './options.ts'
import { documentSegment } from './segments.ts'
import { pathsOfView } from './view-paths.ts'

/** An OpenAPI document, version 3.1.1. */
export interface OpenApiDocument {
  /** OpenAPI version, `'3.1.1'`. */
  readonly openapi: string
  /** Title, version and description of the API. */
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  /** Path → its operations. */
  readonly paths: Readonly<Record<string, object>>
  /** Schemas, responses and security schemes that operations refer to. */
  readonly components: Readonly<Record<string, object>>
  readonly [member: string]: unknown
}

interface Described {
  readonly authorize: unknown
  readonly waitFor?: readonly string[]
  readonly basePath?: string
  readonly openApi?: OpenApiOptions
}

/** Describes the exposed parts, from the definitions alone. */
export function openApiOf({ aggregates, views }: Exposed, described: Described): OpenApiDocument {
  const { basePath = '', openApi = {} } = described
  const { title = 'API', version = '1.0.0', description, securitySchemes } = openApi
  const schemas = new Schemas({ Problem: problemSchema })
  const answers = new OpenApiResponses(schemas, described)
  const paths: [string, object][] = [
    ...[...aggregates.values()].flatMap((aggregate) => pathsOfAggregate(aggregate, schemas, answers)),
    ...[...views.values()].flatMap((view) => pathsOfView(view, answers)),
    [`/${documentSegment}`, { get: { operationId: 'openapi', summary: 'This document', responses: answers.read({}) } }],
  ]
  return {
    openapi: '3.1.1',
    info: { title, version, ...(description === undefined ? {} : { description }) },
    ...(basePath === '' ? {} : { servers: [{ url: basePath }] }),
    ...(securitySchemes === undefined ? {} : { security: Object.keys(securitySchemes).map((name) => ({ [name]: [] })) }),
    paths: withOwnIds(Object.fromEntries(paths)),
    components: {
      schemas: schemas.all(),
      responses: answers.problems(),
      ...(securitySchemes === undefined ? {} : { securitySchemes }),
    },
  }
}

/**
 * Makes operation ids unique: names come from the app, so two operations may have the same name.
 */
function withOwnIds(paths: Readonly<Record<string, object>>): Record<string, object> {
  const taken = new Set<string>()
  const named = (operation: { readonly operationId: string }) => {
    let operationId = operation.operationId
    for (let nth = 2; taken.has(operationId); nth++) operationId = `${operation.operationId}-${nth}`
    taken.add(operationId)
    return { ...operation, operationId }
  }
  return mapped(paths, (item) => mapped(item as Record<string, { operationId: string }>, named))
}

const mapped = <A, B>(values: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]))
