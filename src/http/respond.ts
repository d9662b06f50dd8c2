import { isCqrsError, ValidationError } from '../errors.ts'
import { isObject } from '../json.ts'
import { answer, HttpProblem, notModified, problem } from './answers.ts'
import { readJson } from './body.ts'
import { etagOf, has, optionsOf } from './conditions.ts'
import type { ExposedAggregate } from './exposed.ts'
import { eventsAnswer } from './history.ts'
import type { Authorization, HttpAction } from './options.ts'
import { flag, parametersOf, whereOf, wholeNumber } from './query.ts'
import type { Route } from './routes.ts'
import type { HttpSetup } from './setup.ts'

/** One request. */
interface Asked {
  readonly request: Request
  readonly url: URL
  /** What the handler was called with besides. */
  readonly platform: unknown
}

/** Does what is asked for, if the caller may. */
export function respond(setup: HttpSetup, asked: Asked, route: Route): Promise<Response> {
  switch (route.kind) {
    case 'command':
      return execute(setup, asked, route)
    case 'state':
      return showState(setup, asked, route)
    case 'events':
      return showEvents(setup, asked, route)
    case 'ids':
      return showIds(setup, asked, route)
    case 'row':
      return showRow(setup, asked, route)
    case 'find':
      return find(setup, asked, route)
    case 'openapi':
      return showDocument(setup, asked)
  }
}

type RouteOf<K extends Route['kind']> = Extract<Route, { readonly kind: K }>

/** Who asks. @throws HttpProblem when he may not */
async function authorized(
  { options: { authorize } }: HttpSetup,
  { request, platform }: Asked,
  action: HttpAction,
): Promise<unknown> {
  if (authorize === 'none') return undefined
  const verdict: Authorization<unknown> = await authorize(request, action, platform)
  if (verdict?.ok === true) return verdict.caller
  if (verdict?.ok !== false)
    throw new TypeError('authorize must answer { ok: true, caller } or { ok: false, status: 401 | 403 }.')
  const { status, detail, challenge = 'Bearer' } = verdict
  if (status === 401) throw new HttpProblem(401, detail ?? 'Say who you are.', { 'WWW-Authenticate': challenge })
  throw new HttpProblem(403, detail ?? 'You may not do this.')
}

async function execute(setup: HttpSetup, asked: Asked, { aggregate, id, command }: RouteOf<'command'>): Promise<Response> {
  const { name, handle } = aggregate
  const { options, maxBodyBytes, waitFor } = setup
  const { request, platform } = asked
  const body = command === undefined ? await readJson(request, maxBodyBytes) : undefined
  const type = command ?? typeOf(aggregate, body)
  const caller = await authorized(setup, asked, { kind: 'command', aggregate: name, id, command: type })
  const message = command === undefined ? body : messageOf(type, await readJson(request, maxBodyBytes))
  const metadata = options.metadata?.(request, caller, platform)
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

async function showState(setup: HttpSetup, asked: Asked, { aggregate, id }: RouteOf<'state'>) {
  await authorized(setup, asked, { kind: 'state', aggregate: aggregate.name, id })
  const asOf = wholeNumber(parametersOf(asked.url.searchParams, ['asOf']), 'asOf')
  const { state, sequence } = await aggregate.handle.load(id, { asOf, signal: asked.request.signal })
  if (sequence === 0) throw nothing(aggregate.name, id)
  const etag = etagOf(sequence)
  return has(asked.request.headers, etag) ? notModified(etag) : answer({ id, sequence, state }, 200, { ETag: etag })
}

async function showEvents(setup: HttpSetup, asked: Asked, { aggregate, id }: RouteOf<'events'>) {
  await authorized(setup, asked, { kind: 'events', aggregate: aggregate.name, id })
  const parameters = parametersOf(asked.url.searchParams, ['after', 'limit'])
  const after = wholeNumber(parameters, 'after') ?? 0
  const limit = wholeNumber(parameters, 'limit')
  if (limit === 0) throw new ValidationError('The parameter limit must be a whole number from 1 on.')
  const events = aggregate.handle.events(id, { after, signal: asked.request.signal })
  const { request } = asked
  const response = await eventsAnswer(events, limit, (error) => {
    // Of one that has gone away there is nothing to tell.
    if (error !== request.signal.reason) setup.report(error, request)
  })
  if (response !== undefined) return response
  if (after === 0) throw nothing(aggregate.name, id)
  return answer({ items: [] })
}

async function showIds(setup: HttpSetup, asked: Asked, { aggregate }: RouteOf<'ids'>) {
  await authorized(setup, asked, { kind: 'ids', aggregate: aggregate.name })
  const parameters = parametersOf(asked.url.searchParams, ['limit', 'after'])
  return answer(await aggregate.handle.ids({ limit: wholeNumber(parameters, 'limit'), after: parameters.get('after') }))
}

async function showRow(setup: HttpSetup, asked: Asked, { view, id }: RouteOf<'row'>) {
  await authorized(setup, asked, { kind: 'row', view: view.name, id })
  const row = await view.handle.load(id, { fresh: flag(parametersOf(asked.url.searchParams, ['fresh']), 'fresh') })
  if (row === undefined) throw nothing(view.name, id)
  return answer(row)
}

async function find(setup: HttpSetup, asked: Asked, { view }: RouteOf<'find'>) {
  const parameters = parametersOf(asked.url.searchParams, view.parameters)
  const where = whereOf(view.definition, parameters)
  await authorized(setup, asked, { kind: 'find', view: view.name, where })
  return answer(
    await view.handle.find(where as never, {
      limit: wholeNumber(parameters, 'limit'),
      after: parameters.get('after'),
      orderBy: parameters.get('orderBy') as never,
      descending: flag(parameters, 'descending'),
    }),
  )
}

async function showDocument(setup: HttpSetup, asked: Asked): Promise<Response> {
  await authorized(setup, asked, { kind: 'openapi' })
  return answer(setup.document())
}

const nothing = (name: string, id: string) => new HttpProblem(404, `There is no '${id}' in ${name}.`)
