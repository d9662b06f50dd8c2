import { ValidationError } from '../errors.ts'
import type { Exposed, ExposedAggregate, ExposedView } from './exposed.ts'
import { HttpProblem } from './responses.ts'
import { documentSegment, eventsSegment, viewsSegment } from './segments.ts'

/** The subject of a request. */
export type Route =
  | { readonly kind: 'command'; readonly aggregate: ExposedAggregate; readonly id: string; readonly command: string | undefined }
  | { readonly kind: 'state'; readonly aggregate: ExposedAggregate; readonly id: string }
  | { readonly kind: 'events'; readonly aggregate: ExposedAggregate; readonly id: string }
  | { readonly kind: 'ids'; readonly aggregate: ExposedAggregate }
  | { readonly kind: 'row'; readonly view: ExposedView; readonly id: string }
  | { readonly kind: 'find'; readonly view: ExposedView }
  | { readonly kind: 'openapi' }

/** @throws HttpProblem for an unknown path, ValidationError for a malformed path */
export function routeOf(exposed: Exposed, basePath: string, method: string, path: string): Route {
  const nothing = () => new HttpProblem(404, `Nothing exists at ${path}.`)
  if (!path.startsWith(`${basePath}/`)) throw nothing()
  const at = path
    .slice(basePath.length + 1)
    .split('/')
    .map(decoded)
  const [get, post] = at.includes('') ? [undefined, undefined] : routesAt(exposed, at)
  const isRead = method === 'GET' || method === 'HEAD'
  const route = isRead ? get : method === 'POST' ? post : undefined
  if (route !== undefined) return route
  if (get === undefined && post === undefined) throw nothing()
  const allowed = [...(get === undefined ? [] : ['GET', 'HEAD']), ...(post === undefined ? [] : ['POST'])].join(', ')
  throw new HttpProblem(405, `Only ${allowed} can be used at ${path}.`, { Allow: allowed })
}

/** Returns the routes of GET and POST at a path. */
function routesAt({ aggregates, views }: Exposed, at: readonly string[]): readonly [Route | undefined, Route | undefined] {
  const [first, second, third] = at as [string, string, string]
  if (at.length === 1 && first === documentSegment) return [{ kind: 'openapi' }, undefined]
  if (first === viewsSegment) {
    const view = views.get(second)
    if (view === undefined || at.length > 3) return [undefined, undefined]
    return [at.length === 2 ? { kind: 'find', view } : { kind: 'row', view, id: third }, undefined]
  }
  const aggregate = aggregates.get(first)
  if (aggregate === undefined || at.length > 3) return [undefined, undefined]
  if (at.length === 1) return [aggregate.ids ? { kind: 'ids', aggregate } : undefined, undefined]
  const has = { aggregate, id: second }
  if (at.length === 2)
    return [
      aggregate.state ? { kind: 'state', ...has } : undefined,
      aggregate.commands.size === 0 ? undefined : { kind: 'command', ...has, command: undefined },
    ]
  return [
    aggregate.events && third === eventsSegment ? { kind: 'events', ...has } : undefined,
    aggregate.commands.has(third) ? { kind: 'command', ...has, command: third } : undefined,
  ]
}

function decoded(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new ValidationError('The path is not percent-encoded UTF-8.', undefined, cause)
  }
}
