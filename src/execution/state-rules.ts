import type { ConsumerDefinition } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import type { ViewWrite } from '../store/commit.ts'
import { isObject } from '../util/json.ts'
import { checkFunction } from '../util/options.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { Core, InlineViews } from './core.ts'
import type { Loaded } from './loaded.ts'

/** A pure function of an aggregate's state. */
export type StateFunction = (state: unknown) => unknown

/** The rules of one kind of an aggregate, as pure functions of its state. */
export interface StateRules {
  readonly kind: 'unique' | 'deadlines'
  readonly functions: ReadonlyMap<string, StateFunction>
  readonly extension: ExtensionParts
}

/**
 * Code behind `unique` or `deadlines`. The definition of an aggregate brings it along, so that
 * bundles contain only what they use.
 */
export interface ExtensionParts {
  readonly option: 'unique' | 'deadlines'
  /** Returns the rows that a commit writes because the state changes. */
  readonly rows: (core: Core, definition: AggregateDefinition, rules: StateRules) => InlineViews
  /** Combines rows of two kinds. */
  readonly combine: (one: InlineViews | undefined, other: InlineViews) => InlineViews
  readonly adopt: (core: Core, definition: AggregateDefinition, signal: AbortSignal) => Promise<Adopted>
  /** Returns the rows that an aggregate from before the rules lacks. */
  readonly missing: (core: Core, adopting: Adopting) => Promise<readonly ViewWrite[]>
  /** Returns what runs the rules of an app. Absent if nothing has to run. */
  readonly consumer?: (aggregateTypes: readonly string[]) => ConsumerDefinition
}

/** An aggregate whose rows `app.adopt` completes. */
export interface Adopting {
  readonly definition: AggregateDefinition
  readonly aggregateId: string
  readonly rules: StateRules
  readonly state: Loaded
  /** Reads the current state of any aggregate of the type. */
  readonly readState: (aggregateId: string) => Promise<Loaded>
  /** Values that several aggregates have, by a text of their own: the owner first. */
  readonly doubles: Map<string, { readonly unique: string; readonly ids: Set<string> }>
}

/** Result of `app.adopt`. */
export interface Adopted {
  /** Rows that were stored. */
  readonly written: number
  /** Values that several aggregates have. The first of `ids` owns the value. */
  readonly doubles: readonly { readonly unique: string; readonly ids: readonly string[] }[]
}

interface RuleOptions {
  readonly unique: object | undefined
  readonly deadlines: object | undefined
  readonly with: readonly unknown[]
  readonly commands: object
}

const noRules: readonly StateRules[] = []

/** @throws DefinitionError */
export function rulesOf(at: string, options: RuleOptions): readonly StateRules[] {
  const { unique, deadlines } = options
  if (unique === undefined && deadlines === undefined && options.with.length === 0) return noRules
  const given = { unique, deadlines }
  const extensions = options.with.map((one) => extensionOf(`${at}: with`, one))
  for (const { option } of extensions)
    if (given[option] === undefined) throw new DefinitionError(`${at}: with has ${option}, but there is no option ${option}.`)
  return (['unique', 'deadlines'] as const).flatMap((kind) => {
    const functions = given[kind]
    if (functions === undefined) return []
    const extension = extensions.find(({ option }) => option === kind)
    if (extension === undefined)
      throw new DefinitionError(`${at}: ${kind} needs its code. Import ${kind} from cqrs-es, and add with: [${kind}].`)
    const rules = functionsOf(`${at}: ${kind}`, functions)
    for (const type of kind === 'deadlines' ? rules.keys() : [])
      if (!Object.hasOwn(options.commands, type))
        throw new DefinitionError(`${at}: deadlines has '${type}', but there is no such command.`)
    return [{ kind, functions: rules, extension }]
  })
}

function extensionOf(what: string, value: unknown): ExtensionParts {
  const parts = (value as { '~extension'?: ExtensionParts } | null | undefined)?.['~extension']
  if (parts === undefined) throw new DefinitionError(`${what} takes unique and deadlines of cqrs-es.`)
  return parts
}

function functionsOf(what: string, given: object): ReadonlyMap<string, StateFunction> {
  if (!isObject(given) || Array.isArray(given)) throw new DefinitionError(`${what} must be an object of functions by name.`)
  const entries = Object.entries(given as Record<string, unknown>)
  for (const [name, one] of entries) checkFunction(`${what}.${name}`, one)
  return new Map(entries as [string, StateFunction][])
}

/** Returns the rows of an aggregate's inline views, unique values and deadlines. */
export const rowsOf = (core: Core, definition: AggregateDefinition, inlineViews: InlineViews | undefined) =>
  definition.rules.reduce<InlineViews | undefined>(
    (rows, rules) => rules.extension.combine(rows, rules.extension.rows(core, definition, rules)),
    inlineViews,
  )

/** Returns what sends the deadlines of an app, under its key in `app.health`; empty without deadlines. */
export function deadlinesOf(definitions: readonly AggregateDefinition[]): ReadonlyMap<string, ConsumerDefinition> {
  const own = definitions.flatMap(({ type, rules }) =>
    rules.flatMap(({ extension: { consumer } }) => (consumer === undefined ? [] : [{ type, consumer }])),
  )
  const [first] = own
  return new Map(first === undefined ? [] : [['deadlines', first.consumer(own.map(({ type }) => type))]])
}
