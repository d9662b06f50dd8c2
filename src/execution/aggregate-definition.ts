import { DefinitionError, messageOf } from '../errors.ts'
import { type EventCodec, eventCodec, parseUnchanged } from '../evolution/event-codec.ts'
import { type Parser, parserOf } from '../evolution/schema.ts'
import type { Upcaster } from '../evolution/upcaster.ts'
import { versionsOf } from '../evolution/versions.ts'
import type { Shape, Shapes } from '../message.ts'
import { issuesText } from '../util/issues.ts'
import { deepFreeze, isObject, jsonProblem, NotJson, toJson } from '../util/json.ts'
import { typeProblem } from '../util/names.ts'
import {
  listOf,
  type OptionsOf,
  optional,
  readOptions,
  required,
  unchecked,
  wholeNumberFrom,
  withDefault,
} from '../util/option-table.ts'
import { checkFunction, checkName } from '../util/options.ts'
import { isThenable, refusing } from '../util/refusing.ts'
import { rulesOf, type StateRules } from './state-rules.ts'

export type Handler = (state: unknown, command: unknown, context: object) => unknown
export type Applier = (state: unknown, data: unknown) => unknown
export type SnapshotInterval = 'never' | 'always' | number

/** An aggregate, checked, types erased. Each lookup by a user's text is in a `Map`. */
export interface AggregateDefinition {
  readonly type: string
  readonly events: ReadonlyMap<string, EventCodec>
  readonly commands: ReadonlyMap<string, Parser>
  readonly handle: ReadonlyMap<string, Handler>
  readonly apply: ReadonlyMap<string, Applier>
  /** Event factories by event type. */
  readonly event: Readonly<Record<string, (data?: unknown) => object>>
  readonly needsServices: boolean
  readonly initialState: () => unknown
  readonly snapshots: SnapshotInterval
  readonly stateVersion: string
  /** What is wrong with a state, `undefined` when nothing is. */
  readonly stateProblem: (state: unknown) => string | undefined
  readonly upcasters: readonly Upcaster[]
  /** Of `unique` and `deadlines`. */
  readonly rules: readonly StateRules[]
}

/** Of `implement`. Their functions are checked one by one. */
const optionsOfImplement = () => ({ handle: required<object>(unchecked), apply: required<object>(unchecked) })

/**
 * Made when an aggregate is defined, so that a bundle without `defineAggregate` does without it.
 */
const optionsOfAggregate = () => ({
  type: required<string>(checkType),
  events: required<Shapes>((what, shapes) => checkShapes(what, shapes, { versioned: true })),
  commands: required<Shapes>((what, shapes) => checkShapes(what, shapes, { versioned: false })),
  services: optional<unknown>(checkServices),
  initialState: required<() => unknown>(checkFunction),
  snapshots: withDefault<'never' | 'always' | { readonly every: number }>('never', checkSnapshots),
  stateVersion: withDefault<string | number>(1, (what, version, Failure) => checkName(what, String(version), Failure)),
  stateSchema: optional<unknown>(unchecked),
  upcasters: withDefault<readonly Upcaster[]>([], listOf('a list')),
  unique: optional<object>(unchecked),
  deadlines: optional<object>(unchecked),
  with: withDefault<readonly unknown[]>([], listOf('a list')),
})

export type AggregateOptions = OptionsOf<ReturnType<typeof optionsOfAggregate>>

/** @throws DefinitionError */
export function readAggregateOptions(given: object): AggregateOptions {
  const options = readOptions('defineAggregate', given, optionsOfAggregate(), {
    at: ({ type }: { type?: unknown }) => `Aggregate '${type}'`,
  })
  const at = `Aggregate '${options.type}'`
  const first = options.initialState()
  checkJson(`${at}: initialState()`, first)
  checkStateSchema(at, options.stateSchema, first)
  return options
}

function checkType(_: string, type: unknown): void {
  const problem = typeProblem(type)
  if (problem !== undefined) throw new DefinitionError(`The type of an aggregate ${problem}.`)
}

function checkServices(what: string, services: unknown): void {
  if (parserOf(services)?.kind !== 'typed')
    throw new DefinitionError(`${what} must be typed<Services>(). Pass the services themselves to createApp.`)
}

/** @throws DefinitionError */
export function buildDefinition(
  options: AggregateOptions,
  implementation: { readonly handle: object; readonly apply: object },
): AggregateDefinition {
  const at = `Aggregate '${options.type}'`
  const { handle, apply } = readOptions(`${at}: implement`, implementation, optionsOfImplement())
  const events = new Map(Object.entries(options.events).map(([type, shape]) => [type, eventCodec(type, shape)]))
  const upcasters = [...options.upcasters]
  checkUpcasters(at, upcasters, events)
  const { snapshots } = options
  return {
    type: options.type,
    events,
    commands: new Map(Object.entries(options.commands).map(([type, shape]) => [type, parserOf(shape) as Parser])),
    handle: functions<Handler>(at, 'handle', 'command', handle, options.commands),
    apply: functions<Applier>(at, 'apply', 'event', apply, options.events),
    event: Object.freeze(
      Object.fromEntries(
        [...events.keys()].map((type) => [type, (data?: unknown) => (data === undefined ? { type } : { type, data })]),
      ),
    ),
    needsServices: options.services !== undefined,
    initialState: () => deepFreeze(checkReturned(`${at}: initialState()`, options.initialState())),
    snapshots: typeof snapshots === 'object' ? snapshots.every : snapshots,
    stateVersion: String(options.stateVersion),
    stateProblem: stateProblemBy(options.stateSchema),
    upcasters,
    rules: rulesOf(at, options),
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
 * Refuses an asynchronous schema: one that returns a promise for `undefined` does so for all data.
 *
 * Zod is not called. It is synchronous unless a check of the user is not, and a call would break a
 * `z.lazy` whose schema is declared later.
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
      `${what} is asynchronous: it returns a promise. Use a synchronous schema. Only schemas of commands may be asynchronous.`,
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

/**
 * Passes on the value that a synchronous function returned.
 *
 * @throws DefinitionError for a promise
 */
export function checkReturned<T>(what: string, value: T): T {
  if (isThenable(value))
    throw refusing(new DefinitionError(`${what} returned a promise; it must return its value at once.`), value)
  return value
}

function checkSnapshots(what: string, policy: unknown): void {
  if (policy === 'never' || policy === 'always') return
  if (!isObject(policy)) throw new DefinitionError(`${what} must be 'never', 'always' or { every: n }.`)
  readOptions(what, policy, { every: required<number>(wholeNumberFrom(1)) })
}

/**
 * An upcaster that changes new events would make a later read differ from the answer of `execute`.
 */
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

/**
 * Never throws, though a schema may fail on a state of another shape. Other code checks that the
 * state is JSON.
 */
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
