import { isCqrsError, ValidationError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { isObject, jsonProblem, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import { authorize, authorized, isAllowed, type RequestContext, refusal } from './authorize.ts'
import { readJson } from './body.ts'
import { callHook } from './call-hook.ts'
import { optionsOf } from './conditions.ts'
import { etagOf } from './etags.ts'
import { type ExposedAggregate, uniqueRulesOf } from './exposed.ts'
import { parametersOf } from './query.ts'
import { answer, HttpProblem, problem } from './responses.ts'
import type { Route } from './routes.ts'
import type { HttpSetup } from './setup.ts'

type CommandRoute = Extract<Route, { readonly kind: 'command' }>

/** Sends a command to its aggregate, and makes the response. */
export async function execute(
  setup: HttpSetup,
  context: RequestContext,
  { aggregate, id, command }: CommandRoute,
): Promise<Response> {
  const { name, handle } = aggregate
  const { request } = context
  const inBody = command === undefined ? await commandInBody(setup, context, aggregate) : undefined
  const type = command ?? (inBody as Command).type
  const caller = await authorized(setup, context, { kind: 'command', aggregate: name, id, command: type })
  parametersOf(context.url, [])
  const message = inBody ?? messageOf(type, await readJson(request, setup.maxBodyBytes))
  checkData(name, message)
  const options = optionsOf(request, setup.waitFor)
  const metadata = await metadataOf(setup, context, caller)
  const parts = await readable(setup, context, aggregate, id)
  const accepted = ({ sequence, replayed, events, state }: Accepted, status: 200 | 202) =>
    answer(
      { sequence, replayed, ...(parts.events ? { events } : {}), ...(parts.state ? { state } : {}) },
      status,
      headersOf(aggregate, sequence, options.timeoutMs),
    )
  try {
    const result = await handle.execute(id, message as never, { ...options, ...metadata })
    return result.ok ? accepted(result, 200) : rejected(aggregate, result as unknown as Rejected)
  } catch (error) {
    if (isCqrsError(error, 'NOT_YET') && isObject(error.result) && !setup.isForeign(error))
      return accepted(error.result as Accepted, 202)
    throw error
  }
}

interface Command {
  readonly type: string
  readonly data?: unknown
}

/**
 * Refuses JSON that data cannot hold: numbers beyond JavaScript's, texts that no store keeps.
 *
 * @throws ValidationError
 */
function checkData(aggregate: string, { type, data }: Command): void {
  try {
    if (data !== undefined) toJson(data)
  } catch (error) {
    const issue = notJsonIssue(error)
    throw new ValidationError(`${type} on ${aggregate} is invalid: ${issuesText([issue])}.`, [issue], error)
  }
}

const messageOf = (type: string, data: unknown): Command => (data === undefined ? { type } : { type, data })

/**
 * Reads a command whose type is in the body. Its error lists the types only for callers that may
 * read the document; an unauthenticated caller receives the 401 first.
 */
async function commandInBody(setup: HttpSetup, context: RequestContext, { name, commands }: ExposedAggregate): Promise<Command> {
  let unfit: unknown
  let said = ''
  try {
    const body = await readJson(context.request, setup.maxBodyBytes)
    const type = isObject(body) ? (body as { type?: unknown }).type : undefined
    if (typeof type === 'string' && commands.has(type)) return body as Command
    said = typeof type === 'string' ? `, not '${type}'` : ''
  } catch (error) {
    if (!(error instanceof HttpProblem || isCqrsError(error, 'VALIDATION'))) throw error
    unfit = error
  }
  const verdict = await authorize(setup, context, { kind: 'openapi' })
  if (!verdict.ok && verdict.status === 401) throw refusal(verdict)
  if (unfit !== undefined) throw unfit
  const types = verdict.ok ? `; its types here are ${[...commands.keys()].join(', ')}` : ''
  throw new ValidationError(`A command for ${name} is { type, data }${types}${said}.`)
}

/** Called before the command is executed. An error is a fault of the server. */
async function metadataOf(
  { options: { metadata } }: HttpSetup,
  { request, platform }: RequestContext,
  caller: unknown,
): Promise<{ readonly metadata?: Metadata }> {
  if (metadata === undefined) return {}
  const made = await callHook('metadata', request, async () => jsonObject(await metadata(request, caller, platform)))
  return made === undefined ? {} : { metadata: made }
}

function jsonObject(made: unknown): Metadata | undefined {
  if (made === undefined) return undefined
  if (!isObject(made) || Array.isArray(made)) throw new TypeError('it must return an object.')
  try {
    return toJson(made) as Metadata
  } catch (error) {
    throw refusing(new TypeError(`it must return JSON, but ${jsonProblem(error)}.`, { cause: error }), made)
  }
}

/**
 * Parts of the aggregate that the caller may read: the response holds no more. Checked before the
 * command, because a stored command must not result in an error.
 */
async function readable(
  setup: HttpSetup,
  context: RequestContext,
  { name: aggregate, state, events }: ExposedAggregate,
  id: string,
) {
  const readable = (kind: 'state' | 'events') => isAllowed(setup, context, { kind, aggregate, id })
  const [canState, canEvents] = await Promise.all([state && readable('state'), events && readable('events')])
  return { state: canState, events: canEvents }
}

interface Accepted {
  readonly sequence: number
  readonly events: readonly object[]
  readonly state: unknown
  readonly replayed: boolean
}

const headersOf = ({ definition }: ExposedAggregate, sequence: number, waitedMs: number | undefined) => ({
  ETag: etagOf(sequence, definition.stateVersion),
  ...(waitedMs === undefined ? {} : { 'Preference-Applied': `wait=${waitedMs / 1_000}` }),
})

interface Rejected {
  readonly reason: string
  readonly details: unknown
}

function rejected({ name, definition }: ExposedAggregate, { reason, details }: Rejected): Response {
  const unique = reason === 'taken' && isObject(details) ? (details as { unique?: unknown }).unique : undefined
  if (typeof unique === 'string' && uniqueRulesOf(definition).includes(unique))
    return problem(409, { detail: `Another ${name} has this ${unique}.`, reason, details })
  return problem(422, {
    detail: `The ${name} rejected the command: ${reason}.`,
    reason,
    ...(details === undefined ? {} : { details }),
  })
}
