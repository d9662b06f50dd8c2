import { ValidationError } from '../errors.ts'
import { authorized, type RequestContext } from './authorize.ts'
import { execute } from './command.ts'
import { hasAlready } from './conditions.ts'
import { etagOf } from './etags.ts'
import { showChanges, wantsEvents } from './event-stream.ts'
import { eventsAnswer, hasEvents } from './history.ts'
import { findQueryOf, flag, parametersOf, wholeNumber } from './query.ts'
import { answer, HttpProblem, notModified } from './responses.ts'
import type { Route } from './routes.ts'
import type { HttpSetup } from './setup.ts'

/** Responds to a request if the caller is allowed to make it. */
export function respond(setup: HttpSetup, context: RequestContext, route: Route): Promise<Response> {
  switch (route.kind) {
    case 'command':
      return execute(setup, context, route)
    case 'state':
      return showState(setup, context, route)
    case 'events':
      return showEvents(setup, context, route)
    case 'ids':
      return showIds(setup, context, route)
    case 'row':
      return showRow(setup, context, route)
    case 'find':
      return wantsEvents(context.request) ? showChanges(setup, context, route.view) : find(setup, context, route)
    case 'openapi':
      return showDocument(setup, context)
  }
}

type RouteOf<K extends Route['kind']> = Extract<Route, { readonly kind: K }>

async function showState(setup: HttpSetup, context: RequestContext, { aggregate, id }: RouteOf<'state'>) {
  await authorized(setup, context, { kind: 'state', aggregate: aggregate.name, id })
  const { headers, signal } = context.request
  const asOf = wholeNumber(parametersOf(context.url, ['asOf']), 'asOf')
  const { state, sequence } = await aggregate.handle.load(id, { asOf, signal })
  if (sequence === 0) throw nothing(aggregate.name, id)
  const etag = etagOf(sequence, aggregate.definition.stateVersion)
  return hasAlready(headers, etag) ? notModified(etag) : answer({ id, sequence, state }, 200, { ETag: etag })
}

async function showEvents(setup: HttpSetup, context: RequestContext, { aggregate, id }: RouteOf<'events'>) {
  await authorized(setup, context, { kind: 'events', aggregate: aggregate.name, id })
  const parameters = parametersOf(context.url, ['after', 'limit'])
  const after = wholeNumber(parameters, 'after') ?? 0
  const limit = wholeNumber(parameters, 'limit')
  if (limit === 0) throw new ValidationError('The parameter limit must be a whole number, 1 or more.')
  const { request } = context
  const { signal } = request
  const eventsAfter = (sequence: number) => aggregate.handle.events(id, { after: sequence, signal })
  const response = await eventsAnswer(eventsAfter(after), limit, (error) => {
    // An abort of the client is not worth a report.
    if (error !== signal.reason) setup.report(error, request)
  })
  if (response !== undefined) return response
  if (!(await hasEvents(eventsAfter, after))) throw nothing(aggregate.name, id)
  return answer({ items: [] })
}

async function showIds(setup: HttpSetup, context: RequestContext, { aggregate }: RouteOf<'ids'>) {
  await authorized(setup, context, { kind: 'ids', aggregate: aggregate.name })
  const parameters = parametersOf(context.url, ['limit', 'after'])
  return answer(await aggregate.handle.ids({ limit: wholeNumber(parameters, 'limit'), after: parameters.get('after') }))
}

async function showRow(setup: HttpSetup, context: RequestContext, { view, id }: RouteOf<'row'>) {
  await authorized(setup, context, { kind: 'row', view: view.name, id })
  const row = await view.handle.load(id, { fresh: flag(parametersOf(context.url, ['fresh']), 'fresh') })
  if (row === undefined) throw nothing(view.name, id)
  return answer(row)
}

async function find(setup: HttpSetup, context: RequestContext, { view }: RouteOf<'find'>) {
  const { parameters, where, problem } = findQueryOf(view.definition, context.url, view.parameters)
  await authorized(setup, context, { kind: 'find', view: view.name, where })
  if (problem !== undefined) throw problem
  return answer(
    await view.handle.find(where as never, {
      limit: wholeNumber(parameters, 'limit'),
      after: parameters.get('after'),
      orderBy: parameters.get('orderBy') as never,
      descending: flag(parameters, 'descending'),
    }),
  )
}

async function showDocument(setup: HttpSetup, context: RequestContext): Promise<Response> {
  await authorized(setup, context, { kind: 'openapi' })
  parametersOf(context.url, [])
  return answer(setup.document())
}

const nothing = (name: string, id: string) => new HttpProblem(404, `There is no '${id}' in ${name}.`)
