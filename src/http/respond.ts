import { ValidationError } from '../errors.ts'
import { answer, HttpProblem, notModified } from './answers.ts'
import { type Asked, authorized } from './authorized.ts'
import { execute } from './command.ts'
import { hasAlready } from './conditions.ts'
import { etagOf } from './etags.ts'
import { showChanges, wantsEvents } from './event-stream.ts'
import { eventsAnswer, hasEvents } from './history.ts'
import { askedOf, flag, parametersOf, wholeNumber } from './query.ts'
import type { Route } from './routes.ts'
import type { HttpSetup } from './setup.ts'

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
      return wantsEvents(asked.request) ? showChanges(setup, asked, route.view) : find(setup, asked, route)
    case 'openapi':
      return showDocument(setup, asked)
  }
}

type RouteOf<K extends Route['kind']> = Extract<Route, { readonly kind: K }>

async function showState(setup: HttpSetup, asked: Asked, { aggregate, id }: RouteOf<'state'>) {
  await authorized(setup, asked, { kind: 'state', aggregate: aggregate.name, id })
  const { headers, signal } = asked.request
  const asOf = wholeNumber(parametersOf(asked.url, ['asOf']), 'asOf')
  const { state, sequence } = await aggregate.handle.load(id, { asOf, signal })
  if (sequence === 0) throw nothing(aggregate.name, id)
  const etag = etagOf(sequence, aggregate.definition.stateVersion)
  return hasAlready(headers, etag) ? notModified(etag) : answer({ id, sequence, state }, 200, { ETag: etag })
}

async function showEvents(setup: HttpSetup, asked: Asked, { aggregate, id }: RouteOf<'events'>) {
  await authorized(setup, asked, { kind: 'events', aggregate: aggregate.name, id })
  const parameters = parametersOf(asked.url, ['after', 'limit'])
  const after = wholeNumber(parameters, 'after') ?? 0
  const limit = wholeNumber(parameters, 'limit')
  if (limit === 0) throw new ValidationError('The parameter limit must be a whole number from 1 on.')
  const { request } = asked
  const { signal } = request
  const eventsAfter = (sequence: number) => aggregate.handle.events(id, { after: sequence, signal })
  const response = await eventsAnswer(eventsAfter(after), limit, (error) => {
    // Of one that has gone away there is nothing to tell.
    if (error !== signal.reason) setup.report(error, request)
  })
  if (response !== undefined) return response
  if (!(await hasEvents(eventsAfter, after))) throw nothing(aggregate.name, id)
  return answer({ items: [] })
}

async function showIds(setup: HttpSetup, asked: Asked, { aggregate }: RouteOf<'ids'>) {
  await authorized(setup, asked, { kind: 'ids', aggregate: aggregate.name })
  const parameters = parametersOf(asked.url, ['limit', 'after'])
  return answer(await aggregate.handle.ids({ limit: wholeNumber(parameters, 'limit'), after: parameters.get('after') }))
}

async function showRow(setup: HttpSetup, asked: Asked, { view, id }: RouteOf<'row'>) {
  await authorized(setup, asked, { kind: 'row', view: view.name, id })
  const row = await view.handle.load(id, { fresh: flag(parametersOf(asked.url, ['fresh']), 'fresh') })
  if (row === undefined) throw nothing(view.name, id)
  return answer(row)
}

async function find(setup: HttpSetup, asked: Asked, { view }: RouteOf<'find'>) {
  const { parameters, where, problem } = askedOf(view.definition, asked.url, view.parameters)
  await authorized(setup, asked, { kind: 'find', view: view.name, where })
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

async function showDocument(setup: HttpSetup, asked: Asked): Promise<Response> {
  await authorized(setup, asked, { kind: 'openapi' })
  parametersOf(asked.url, [])
  return answer(setup.document())
}

const nothing = (name: string, id: string) => new HttpProblem(404, `There is no '${id}' in ${name}.`)
