import type { ConsumerDefinition, Machinery } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import { type Parser, parserOf } from '../evolution/schema.ts'
import { type AggregateDefinition, checkJson, checkReturned } from '../execution/aggregate-definition.ts'
import { deepFreeze, isObject } from '../util/json.ts'
import { isPosition } from '../util/names.ts'
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
import type { CallContext } from './types.ts'

/** A function that decides on one input. */
export type StepHandler = (state: unknown, input: unknown, context: object) => unknown

/** An external call with its parsers. */
export interface CallDefinition {
  readonly input: Parser
  readonly output: Parser
  /** Absent until `with` adds it. */
  readonly make?: (input: unknown, context: CallContext) => unknown
}

/** A checked process with erased types. Each lookup by a user's text is in a `Map`. */
export interface ProcessDefinition extends ConsumerDefinition {
  readonly kind: 'process'
  /** Aggregate type → its commands. */
  readonly sends: ReadonlyMap<string, ReadonlySet<string>>
  readonly calls: ReadonlyMap<string, CallDefinition>
  readonly timers: ReadonlyMap<string, StepHandler>
  readonly initialState: () => unknown
  readonly stateVersion: number
  readonly upgrade: ((state: unknown, from: number) => unknown) | undefined
  readonly from: 'beginning' | 'now' | Position
  readonly attempts: number
  readonly timeoutMs: number
  readonly starts: ReadonlySet<string>
  /** Types of the aggregates that have an event in `starts`. */
  readonly startTypes: readonly string[]
  readonly correlate: ReadonlyMap<string, (event: EventEnvelope) => unknown>
  readonly on: ReadonlyMap<string, StepHandler>
  readonly replies: ReadonlyMap<string, StepHandler>
  readonly failed: StepHandler | undefined
  readonly machinery: Machinery<ProcessDefinition>
}

/** The longest name: it is part of the name of the rows. */
const longestName = 180

const optionsOfProcess = () => ({
  name: required<string>(checkProcessName),
  aggregates: required<readonly unknown[]>(listOf('a list of aggregates')),
  sends: withDefault<readonly unknown[]>([], listOf('a list of aggregates')),
  calls: withDefault<object>({}, checkCalls),
  timers: withDefault<readonly string[]>([], checkTimers),
  initialState: required<() => unknown>(checkFunction),
  stateVersion: withDefault(1, wholeNumberFrom(1)),
  upgrade: optional<(state: unknown, from: number) => unknown>(checkFunction),
  from: required<ProcessDefinition['from']>(checkFrom),
  attempts: withDefault(10, wholeNumberFrom(1)),
  timeoutMs: withDefault(30_000, wholeNumberFrom(1)),
})
const optionsOfImplement = () => ({
  starts: required<readonly string[]>(listOf('a list of event types')),
  correlate: withDefault<object>({}, unchecked),
  on: required<object>(unchecked),
  replies: withDefault<object>({}, unchecked),
  timers: withDefault<object>({}, unchecked),
  failed: optional<StepHandler>(checkFunction),
})

export type ProcessOptionValues = OptionsOf<ReturnType<typeof optionsOfProcess>>

/** @throws DefinitionError */
export function readProcessOptions(given: object): ProcessOptionValues {
  const options = readOptions('defineProcess', given, optionsOfProcess(), {
    at: ({ name }: { name?: unknown }) => `Process '${name}'`,
  })
  checkJson(`Process '${options.name}': initialState()`, options.initialState())
  return options
}

interface Parts {
  readonly aggregates: readonly AggregateDefinition[]
  readonly sends: readonly AggregateDefinition[]
  readonly machinery: Machinery<ProcessDefinition>
}

/** @throws DefinitionError */
export function buildProcess(options: ProcessOptionValues, behavior: unknown, parts: Parts): ProcessDefinition {
  const { name, initialState } = options
  const at = `Process '${name}'`
  const { aggregates, sends, machinery } = parts
  checkDifferent(`${at}: aggregates`, aggregates)
  checkDifferent(`${at}: sends`, sends)
  if (aggregates.length === 0) throw new DefinitionError(`${at} needs at least one aggregate.`)
  const given = readOptions(`${at}: implement`, behavior, optionsOfImplement())
  const eventTypes = new Set(aggregates.flatMap(({ events }) => [...events.keys()]))
  const commands = new Map(sends.map((one) => [one.type, new Set(one.commands.keys())]))
  const commandTypes = new Set([...commands.values()].flatMap((types) => [...types]))
  const calls = callsOf(options.calls)
  for (const call of calls.keys())
    if (commandTypes.has(call)) throw new DefinitionError(`${at}: the call '${call}' has the name of a command. Rename the call.`)
  const on = functionsOf<StepHandler>(`${at}: on`, 'event', given.on, eventTypes)
  const starts = new Set(given.starts)
  if (starts.size === 0) throw new DefinitionError(`${at}: starts must name at least one event of on.`)
  for (const type of starts)
    if (!on.has(type)) throw new DefinitionError(`${at}: starts has '${String(type)}', but on has no function for it.`)
  const timers = functionsOf<StepHandler>(`${at}: timers`, 'timer', given.timers, new Set(options.timers))
  for (const timer of options.timers)
    if (!timers.has(timer)) throw new DefinitionError(`${at}: timers lacks a function for the timer '${timer}'.`)
  return {
    kind: 'process',
    name,
    storedAs: name,
    aggregateTypes: aggregates.map(({ type }) => type),
    sends: commands,
    calls,
    timers,
    initialState: () => deepFreeze(checkReturned(`${at}: initialState()`, initialState())),
    stateVersion: options.stateVersion,
    upgrade: options.upgrade,
    from: options.from,
    attempts: options.attempts,
    timeoutMs: options.timeoutMs,
    starts,
    startTypes: aggregates.filter(({ events }) => [...starts].some((type) => events.has(type))).map(({ type }) => type),
    correlate: functionsOf(`${at}: correlate`, 'event of on', given.correlate, new Set(on.keys())),
    on,
    replies: functionsOf(`${at}: replies`, 'command or call', given.replies, new Set([...commandTypes, ...calls.keys()])),
    failed: given.failed,
    machinery,
  }
}

/** Adds the functions of the calls. @throws DefinitionError */
export function withCalls(definition: ProcessDefinition, given: unknown): ProcessDefinition {
  const at = `Process '${definition.name}': with`
  const makes = functionsOf<NonNullable<CallDefinition['make']>>(at, 'call', given, new Set(definition.calls.keys()))
  const calls = [...definition.calls].map(([name, call]) => {
    const make = makes.get(name)
    if (make === undefined) throw new DefinitionError(`${at} lacks a function for the call '${name}'.`)
    return [name, { ...call, make }] as const
  })
  return { ...definition, calls: new Map(calls) }
}

/** Returns the definition of a process, also of one whose calls have no functions. @throws DefinitionError if `value` is none */
export function anyProcessDefinitionOf(what: string, value: unknown): ProcessDefinition {
  const definition = (value as { '~definition'?: Partial<ProcessDefinition> } | null | undefined)?.['~definition']
  if (definition?.kind === 'process') return definition as ProcessDefinition
  const isDeclared = typeof (value as { implement?: unknown } | null | undefined)?.implement === 'function'
  const hint = isDeclared ? ' Call .implement({ starts, on, … }) on it.' : ''
  throw new DefinitionError(`${what} must be a process made by defineProcess(…).implement(…).${hint}`)
}

/** Returns the definition of a process that can run. @throws DefinitionError */
export function processDefinitionOf(what: string, value: unknown): ProcessDefinition {
  const process = anyProcessDefinitionOf(what, value)
  for (const [name, { make }] of process.calls)
    if (make === undefined)
      throw new DefinitionError(`${what}: the call '${name}' has no function. Pass the process as process.with({ ${name}: … }).`)
  return process
}

function checkProcessName(_: string, name: unknown): void {
  checkName('The name of a process', name)
  if (name.length > longestName)
    throw new DefinitionError(`Process '${name}': its name is ${name.length} characters long; the limit is ${longestName}.`)
}

function checkFrom(what: string, from: unknown): void {
  if (from !== 'beginning' && from !== 'now' && !isPosition(from))
    throw new DefinitionError(`${what} must be 'beginning', 'now' or the position of an event. It has no default.`)
}

function checkTimers(what: string, timers: unknown): void {
  listOf('a list of names')(what, timers, DefinitionError)
  const names = timers as readonly unknown[]
  for (const name of names) {
    checkName(`${what}: a timer`, name)
    if (name === '__proto__') throw new DefinitionError(`${what}: '__proto__' is reserved by JavaScript.`)
  }
  if (new Set(names).size < names.length) throw new DefinitionError(`${what} names a timer twice.`)
}

function checkCalls(what: string, calls: unknown): void {
  if (!isObject(calls)) throw new DefinitionError(`${what} must be an object of { input, output } by name.`)
  for (const [name, shapes] of Object.entries(calls as Record<string, unknown>)) {
    checkName(`${what}: a call`, name)
    const { input, output } = readOptions(`${what}: ${name}`, shapes, { input: required(unchecked), output: required(unchecked) })
    if (parserOf(input) === undefined || parserOf(output) === undefined)
      throw new DefinitionError(
        `${what}: '${name}' needs input and output: each a schema (any Standard Schema), typed<…>() or noData.`,
      )
  }
}

const callsOf = (calls: object): ReadonlyMap<string, CallDefinition> =>
  new Map(
    Object.entries(calls as Record<string, { readonly input: unknown; readonly output: unknown }>).map(([name, shapes]) => [
      name,
      { input: parserOf(shapes.input) as Parser, output: parserOf(shapes.output) as Parser },
    ]),
  )

function checkDifferent(what: string, aggregates: readonly AggregateDefinition[]): void {
  if (new Set(aggregates.map(({ type }) => type)).size < aggregates.length)
    throw new DefinitionError(`${what} names an aggregate twice.`)
}

/** Returns functions by names, all of which must be known. */
function functionsOf<F>(what: string, kind: string, given: unknown, known: ReadonlySet<string>): ReadonlyMap<string, F> {
  if (!isObject(given) || Array.isArray(given)) throw new DefinitionError(`${what} must be an object of functions by ${kind}.`)
  const entries = Object.entries(given as Record<string, unknown>).filter(([, one]) => one !== undefined)
  for (const [name, one] of entries) {
    if (!known.has(name))
      throw new DefinitionError(`${what} has '${name}', but there is no such ${kind}. Known: ${[...known].join(', ') || 'none'}.`)
    checkFunction(`${what}.${name}`, one)
  }
  return new Map(entries as [string, F][])
}
