import { DefinitionError } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { checkFunction } from '../util/options.ts'

/** A pure function of an aggregate's state. */
export type StateFunction = (state: unknown) => unknown

/** The rules of one kind of an aggregate, as pure functions of its state. */
export interface StateRules {
  readonly kind: 'unique' | 'deadlines'
  readonly functions: ReadonlyMap<string, StateFunction>
  readonly extension: Extension
}

/** Code behind `unique` or `deadlines`: see `ExtensionParts`. */
export interface Extension {
  readonly option: 'unique' | 'deadlines'
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

function extensionOf(what: string, value: unknown): Extension {
  const parts = (value as { '~extension'?: Extension } | null | undefined)?.['~extension']
  if (parts === undefined) throw new DefinitionError(`${what} takes unique and deadlines of cqrs-es.`)
  return parts
}

function functionsOf(what: string, given: object): ReadonlyMap<string, StateFunction> {
  if (!isObject(given) || Array.isArray(given)) throw new DefinitionError(`${what} must be an object of functions by name.`)
  const entries = Object.entries(given as Record<string, unknown>)
  for (const [name, one] of entries) checkFunction(`${what}.${name}`, one)
  return new Map(entries as [string, StateFunction][])
}
