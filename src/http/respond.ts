import type { AggregateHandle } from '../aggregate-handle.ts'
import { isCqrsError, ValidationError } from '../errors.ts'
import { isObject } from '../json.ts'
import { answer, HttpProblem, notModified, problem } from './answers.ts'
import { readJson } from './body.ts'
import { etagOf, has, optionsOf } from './conditions.ts'
import type { ExposedAggregate } from './exposed.ts'
import { eventsAnswer } from './history.ts'
import type { Authorization, HttpAction } from './options.ts'
import { conditionNames, flag, pageNames, parametersOf, whereOf, wholeNumber } from './query.ts'
import type { Route } from './routes.ts'
import type { HttpSetup } from './setup.ts'

/** Does what is asked for, if the caller may. */
export function respond(setup: HttpSetup, request: Request, route: Route, search: URLSearchParams): Promise<Response> {
  switch (route.kind) {
    case 'command':
      return execute(setup, request, route)
    case 'state':
      return showState(setup, request, route, search)
    case 'events':
      return showEvents(setup, request, route, search)
    case 'ids':
      return showIds(setup, request, route, search)
    case 'row':
      return showRow(setup, request, route, search)
    case 'find':
      return find(setup, request, route, search)
    case 'openapi':
      return showDocument(setup, request)
  }
}

type RouteOf<K extends Route['kind']> = Extract<Route, { readonly kind: K }>

/** Who asks. @throws HttpProblem when he may not */
async function authorized({ options: { authorize } }: HttpSetup, request: Request, action: HttpAction): Promise<unknown> {
  if (authorize === 'none') return undefined
  const verdict: Authorization<unknown> = await authorize(request, action)
  if (verdict?.ok === true) return verdict.caller
  if (verdict?.ok !== false)
    throw new TypeError('authorize must answer { ok: true, caller } or { ok: false, status: 401 | 403 }.')
  const { status, detail, challenge = 'Bearer' } = verdict
  if (status === 401) throw new HttpProblem(401, detail ?? 'Say who you are.', { 'WWW-Authenticate': challenge })
  throw new HttpProblem(403, detail ?? 'You may not do this.')
}

async function execute(setup: HttpSetup, request: Request, { aggregate, id, command }: RouteOf<'command'>): Promise<Response> {
  const { name, handle } = aggregate
  const { options, maxBodyBytes, waitFor } = setup
  const body = command === undefined ? await readJson(request, maxBodyBytes) : undefined
  const type = command ?? typeOf(aggregate, body)
  const caller = await authorized(setup, request, { kind: 'command', aggregate: name, id, command: type })
  const message = command === undefined ? body : messageOf(type, await readJson(request, maxBodyBytes))
  const metadata = options.metadata?.(request, caller)
  try {
    const result = await handle.execute(id, message as never, {
      ...optionsOf(request, waitFor),
      ...(metadata === undefined ? {} : { metadata }),
    })
    return result.ok ? accepted(aggregate, result, 200) : rejected(name, result as unknown as Rejected)
  } catch (error) {
    if (isCqrsError(error, 'NOT_YET') && error.result !== undefined) return accepted(aggregate, error.result as Accepted, 202)
    throw error
  }
}

/** @throws ValidationError */
function typeOf({ name, commands }: ExposedAggregate, body: unknown): string {
  const type = isObject(body) ? (body as { type?: unknown }).type : undefined
  if (typeof type === 'string' && commands.has(type)) return type
  const said = typeof type === 'string' ? `, not '${type}'` : ''
  throw new ValidationError(
    `A command for ${name} is { type, data }; its types here are ${[...commands.keys()].join(', ')}${said}.`,
  )
}

const messageOf = (type: string, data: unknown) => (data === undefined ? { type } : { type, data })

interface Accepted {
  readonly sequence: number
  readonly events: readonly object[]
  readonly state: unknown
  readonly replayed: boolean
}

/** No more than the caller could read by itself. */
function accepted(aggregate: ExposedAggregate, { sequence, events, state, replayed }: Accepted, status: 200 | 202): Response {
  const shown = { ...(aggregate.events ? { events } : {}), ...(aggregate.state ? { state } : {}) }
  return answer({ sequence, replayed, ...shown }, status, { ETag: etagOf(sequence) })
}

interface Rejected {
  readonly reason: string
  readonly details: unknown
}

const rejected = (name: string, { reason, details }: Rejected): Response =>
  problem(422, { detail: `The ${name} refused: ${reason}.`, reason, ...(details === undefined ? {} : { details }) })

async function showState(setup: HttpSetup, request: Request, { aggregate, id }: RouteOf<'state'>, search: URLSearchParams) {
  await authorized(setup, request, { kind: 'state', aggregate: aggregate.name, id })
  const asOf = wholeNumber(parametersOf(search, ['asOf']), 'asOf')
  const { state, sequence } = await aggregate.handle.load(id, { asOf, signal: request.signal })
  if (sequence === 0) throw nothing(aggregate.name, id)
  const etag = etagOf(sequence)
  return has(request.headers, etag) ? notModified(etag) : answer({ id, sequence, state }, 200, { ETag: etag })
}

async function showEvents(setup: HttpSetup, request: Request, { aggregate, id }: RouteOf<'events'>, search: URLSearchParams) {
  await authorized(setup, request, { kind: 'events', aggregate: aggregate.name, id })
  const parameters = parametersOf(search, ['after', 'limit'])
  const after = wholeNumber(parameters, 'after') ?? 0
  const limit = wholeNumber(parameters, 'limit')
  if (limit === 0) throw new ValidationError('The parameter limit must be a whole number from 1 on.')
  const events = aggregate.handle.events(id, { after, signal: request.signal })
  const response = await eventsAnswer(events, limit)
  if (response !== undefined) return response
  if (after === 0) throw nothing(aggregate.name, id)
  return answer({ items: [] })
}

async function showIds(setup: HttpSetup, request: Request, { aggregate }: RouteOf<'ids'>, search: URLSearchParams) {
  await authorized(setup, request, { kind: 'ids', aggregate: aggregate.name })
  const parameters = parametersOf(search, ['limit', 'after'])
  const ids: AggregateHandle<never>['ids'] = aggregate.handle.ids
  return answer(await ids({ limit: wholeNumber(parameters, 'limit'), after: parameters.get('after') }))
}

async function showRow(setup: HttpSetup, request: Request, { view, id }: RouteOf<'row'>, search: URLSearchParams) {
  await authorized(setup, request, { kind: 'row', view: view.name, id })
  const row = await view.handle.load(id, { fresh: flag(parametersOf(search, ['fresh']), 'fresh') })
  if (row === undefined) throw nothing(view.name, id)
  return answer(row)
}

async function find(setup: HttpSetup, request: Request, { view }: RouteOf<'find'>, search: URLSearchParams) {
  const parameters = parametersOf(search, [...pageNames, ...conditionNames(view.definition)])
  const where = whereOf(view.definition, parameters)
  await authorized(setup, request, { kind: 'find', view: view.name, where })
  return answer(
    await view.handle.find(where as never, {
      limit: wholeNumber(parameters, 'limit'),
      after: parameters.get('after'),
      orderBy: parameters.get('orderBy') as never,
      descending: flag(parameters, 'descending'),
    }),
  )
}

async function showDocument(setup: HttpSetup, request: Request): Promise<Response> {
  await authorized(setup, request, { kind: 'openapi' })
  return answer(setup.document())
}

const nothing = (name: string, id: string) => new HttpProblem(404, `There is no '${id}' in ${name}.`)
