import { DefinitionError, messageOf } from '../errors.ts'
import { type EventCodec, eventCodec, parseUnchanged } from '../evolution/event-codec.ts'
import { type Parser, parserOf } from '../evolution/schema.ts'
import type { Upcaster } from '../evolution/upcaster.ts'
import { versionsOf } from '../evolution/versions.ts'
import type { Shape, Shapes } from '../message.ts'
import { issuesText } from '../util/issues.ts'
import { deepFreeze, isObject, jsonProblem, NotJson, toJson } from '../util/json.ts'
import { typeProblem } from '../util/names.ts'
import { checkFunction, checkName, checkOptions, checkWholeNumber } from '../util/options.ts'
import { isThenable, refusing } from '../util/refusing.ts'

export type Handler = (state: unknown, command: unknown, context: object) => unknown
export type Applier = (state: unknown, data: unknown) => unknown
export type SnapshotInterval = 'never' | 'always' | number

/** An aggregate as the machinery sees it: checked, types erased, every lookup by a user's text a `Map`. */
export interface AggregateDefinition {
  readonly type: string
  readonly events: ReadonlyMap<string, EventCodec>
  readonly commands: ReadonlyMap<string, Parser>
  readonly handle: ReadonlyMap<string, Handler>
  readonly apply: ReadonlyMap<string, Applier>
  /** Maker of events by their type. */
  readonly event: Readonly<Record<string, (data?: unknown) => object>>
  readonly needsServices: boolean
  readonly initialState: () => unknown
  readonly snapshots: SnapshotInterval
  readonly stateVersion: string
  /** What is wrong with a state, `undefined` when nothing is. */
  readonly stateProblem: (state: unknown) => string | undefined
  readonly upcasters: readonly Upcaster[]
}

interface Options {
  readonly type: string
  readonly events: Shapes
  readonly commands: Shapes
  readonly services?: unknown
  readonly initialState: () => unknown
  readonly snapshots?: 'never' | 'always' | { readonly every: number }
  readonly stateVersion?: string | number
  readonly stateSchema?: unknown
  readonly upcasters?: readonly Upcaster[]
}

const optionNames = [
  'type',
  'events',
  'commands',
  'services',
  'initialState',
  'snapshots',
  'stateVersion',
  'stateSchema',
  'upcasters',
]

/** @throws DefinitionError */
export function checkDefinition(options: Options): void {
  checkOptions('defineAggregate', options, optionNames)
  const problem = typeProblem(options.type)
  if (problem !== undefined) throw new DefinitionError(`The type of an aggregate ${problem}.`)
  const at = `Aggregate '${options.type}'`
  checkShapes(`${at}: events`, options.events, { versioned: true })
  checkShapes(`${at}: commands`, options.commands, { versioned: false })
  if (options.services !== undefined && parserOf(options.services)?.kind !== 'typed')
    throw new DefinitionError(`${at}: services must be typed<Services>(); the services themselves are given to createApp.`)
  checkFunction(`${at}: initialState`, options.initialState)
  const first = options.initialState()
  checkJson(`${at}: initialState()`, first)
  checkStateSchema(at, options.stateSchema, first)
  checkSnapshots(at, options.snapshots)
  const { stateVersion, upcasters } = options
  if (stateVersion !== undefined) checkName(`${at}: stateVersion`, String(stateVersion))
  if (upcasters !== undefined && !Array.isArray(upcasters)) throw new DefinitionError(`${at}: upcasters must be a list.`)
}

/** @throws DefinitionError */
export function buildDefinition(
  options: Options,
  implementation: { readonly handle: object; readonly apply: object },
): AggregateDefinition {
  const at = `Aggregate '${options.type}'`
  checkOptions(`${at}: implement`, implementation, ['handle', 'apply'])
  const events = new Map(Object.entries(options.events).map(([type, shape]) => [type, eventCodec(type, shape)]))
  const upcasters = [...(options.upcasters ?? [])]
  checkUpcasters(at, upcasters, events)
  const snapshots = options.snapshots ?? 'never'
  return {
    type: options.type,
    events,
    commands: new Map(Object.entries(options.commands).map(([type, shape]) => [type, parserOf(shape) as Parser])),
    handle: functions<Handler>(at, 'handle', 'command', implementation.handle, options.commands),
    apply: functions<Applier>(at, 'apply', 'event', implementation.apply, options.events),
    event: Object.freeze(
      Object.fromEntries(
        [...events.keys()].map((type) => [type, (data?: unknown) => (data === undefined ? { type } : { type, data })]),
      ),
    ),
    needsServices: options.services !== undefined,
    initialState: () => deepFreeze(checkReturned(`${at}: initialState()`, options.initialState())),
    snapshots: typeof snapshots === 'object' ? snapshots.every : snapshots,
    stateVersion: String(options.stateVersion ?? 1),
    stateProblem: stateProblemBy(options.stateSchema),
    upcasters,
  }
}

function checkShapes(what: string, shapes: unknown, { versioned }: { versioned: boolean }): void {
  if (!isObject(shapes)) throw new DefinitionError(`${what} must be an object of schemas by their type.`)
  for (const [type, shape] of Object.entries(shapes as Record<string, Shape>)) {
    if (type === '__proto__')
      throw new DefinitionError(`${what} must not have the type '__proto__': the name is reserved by JavaScript.`)
    checkName(`${what}: a type`, type)
    const parser = parserOf(versioned ? versionsOf(shape).shape : shape)
    if (parser === undefined)
      throw new DefinitionError(
        `${what}: '${type}' needs a schema (any Standard Schema), typed<…>() or noData${versioned ? '' : '; versions(…) are for events'}.`,
      )
    if (versioned) checkSynchronous(`${what}: the schema of '${type}'`, parser)
  }
}

/**
 * A schema that gives a promise even for `undefined` gives one for all data. Zod is not called: it is synchronous unless a check of the user's is not, and a `z.lazy` whose schema is declared
 * later would stay broken.
 *
 * @throws DefinitionError
 */
function checkSynchronous(what: string, { schema, parse }: Parser): void {
  if (schema === undefined || schema['~standard'].vendor === 'zod') return
  let parsed: unknown
  try {
    parsed = parse(undefined)
  } catch {
    // A schema may throw for `undefined`; its answer to data is checked when there is data.
    return
  }
  if (!isThenable(parsed)) return
  throw refusing(
    new DefinitionError(
      `${what} is asynchronous: it answers with a promise. Use a synchronous schema. Only schemas of commands may be asynchronous.`,
    ),
    parsed,
  )
}

/** @throws DefinitionError when `value` is not JSON */
export function checkJson(what: string, value: unknown): void {
  checkReturned(what, value)
  try {
    if (value === undefined) throw new NotJson('undefined', [])
    toJson(value)
  } catch (error) {
    throw refusing(new DefinitionError(`${what} must be JSON, but ${jsonProblem(error)}.`, error), value)
  }
}

/** Passes on the value that a synchronous function returned. @throws DefinitionError for a promise */
export function checkReturned<T>(what: string, value: T): T {
  if (isThenable(value))
    throw refusing(new DefinitionError(`${what} returned a promise; it must return its value at once.`), value)
  return value
}

function checkSnapshots(at: string, policy: unknown): void {
  if (policy === undefined || policy === 'never' || policy === 'always') return
  const wanted = `'never', 'always' or { every: n }`
  if (!isObject(policy)) throw new DefinitionError(`${at}: snapshots must be ${wanted}.`)
  checkOptions(`${at}: snapshots`, policy, ['every'])
  checkWholeNumber(`${at}: snapshots: every`, (policy as { every: unknown }).every, 1)
}

/** Upcasting a new event would make `execute` answer something else than a later read. */
function checkUpcasters(at: string, upcasters: readonly Upcaster[], events: ReadonlyMap<string, EventCodec>): void {
  upcasters.forEach((upcaster, i) => {
    checkFunction(`${at}: upcasters[${i}].canUpcast`, upcaster?.canUpcast)
    checkFunction(`${at}: upcasters[${i}].upcast`, upcaster.upcast)
    for (const { type, version } of events.values())
      if (checkReturned(`${at}: upcasters[${i}].canUpcast`, upcaster.canUpcast(type, version)))
        throw new DefinitionError(
          `${at}: upcasters[${i}] would change new events of type '${type}': they are stored with version ${version}. Declare the newer version: versions('…', schema, {}).`,
        )
  })
}

function checkStateSchema(at: string, stateSchema: unknown, first: unknown): void {
  if (stateSchema === undefined) return
  const parser = parserOf(stateSchema)
  if (parser?.kind !== 'schema') throw new DefinitionError(`${at}: stateSchema must be a schema (any Standard Schema).`)
  checkSynchronous(`${at}: stateSchema`, parser)
  const problem = stateProblemBy(stateSchema)(first)
  if (problem !== undefined) throw new DefinitionError(`${at}: initialState() does not fit stateSchema: ${problem}.`)
}

/** Never throws: a schema may be surprised by a state of another shape. That the state is JSON is checked elsewhere. */
function stateProblemBy(stateSchema: unknown): AggregateDefinition['stateProblem'] {
  const parser = stateSchema === undefined ? undefined : parserOf(stateSchema)
  if (parser === undefined) return () => undefined
  return (state) => {
    try {
      const parsed = parseUnchanged(parser, toJson(state), state, { as: 'it', in: 'initialState or apply' })
      if (parsed.issues === undefined) return undefined
      const problem = issuesText(parsed.issues)
      refusing(new Error(problem), parsed.refused)
      return problem
    } catch (error) {
      return error instanceof NotJson ? undefined : messageOf(error)
    }
  }
}

/** One function for each declared type, and no other. */
function functions<F>(
  at: string,
  part: 'handle' | 'apply',
  kind: string,
  given: object,
  declared: object,
): ReadonlyMap<string, F> {
  if (!isObject(given)) throw new DefinitionError(`${at}: ${part} must be an object of functions by ${kind} type.`)
  for (const type of Object.keys(given))
    if (!Object.hasOwn(declared, type))
      throw new DefinitionError(
        `${at}: ${part} has '${type}', but there is no such ${kind}. Its ${kind}s: ${Object.keys(declared).join(', ')}.`,
      )
  return new Map(
    Object.keys(declared).map((type) => {
      const found = Object.hasOwn(given, type) ? (given as Record<string, unknown>)[type] : undefined
      if (typeof found !== 'function') throw new DefinitionError(`${at}: ${part} lacks a function for the ${kind} '${type}'.`)
      return [type, found as F]
    }),
  )
}

/** @throws DefinitionError when `value` is not an implemented aggregate */
export function definitionOf(what: string, value: unknown): AggregateDefinition {
  const definition = (value as { '~definition'?: AggregateDefinition } | null | undefined)?.['~definition']
  if (definition !== undefined) return definition
  const hint =
    typeof (value as { implement?: unknown } | null | undefined)?.implement === 'function'
      ? ' Call .implement({ handle, apply }) on it.'
      : ''
  throw new DefinitionError(`${what} must be an aggregate made by defineAggregate(…).implement(…).${hint}`)
}
