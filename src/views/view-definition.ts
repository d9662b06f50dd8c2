import { type ConsumerDefinition, checkStoredAs, type Machinery } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { type AggregateDefinition, checkJson, checkReturned, definitionOf } from '../execution/aggregate-definition.ts'
import { deepFreeze, isObject } from '../util/json.ts'
import { listOf, oneOf, optional, readOptions, required, unchecked, withDefault } from '../util/option-table.ts'
import { checkFunction, checkName } from '../util/options.ts'

/** A checked view of rows with erased types. */
export interface ViewDefinition extends ConsumerDefinition {
  readonly kind: 'view'
  readonly initialView: () => unknown
  /** The ids that an event touches; `undefined`: the id of its aggregate. */
  readonly id: ((event: EventEnvelope) => unknown) | undefined
  readonly update: ReadonlyMap<string, (view: unknown, event: EventEnvelope) => unknown>
  readonly indexes: readonly string[]
  readonly viewVersion: string
  readonly consistency: 'inline' | 'async'
  /** Each row belongs to one aggregate and has its id, so it knows which events it contains. */
  readonly followsOne: boolean
  readonly machinery: Machinery<ViewDefinition>
}

/** A view that consists of the user's own tables, with erased types. */
export interface SqlViewDefinition extends ConsumerDefinition {
  readonly kind: 'sqlView'
  readonly apply: (client: unknown, event: EventEnvelope) => unknown
  readonly reset: (client: unknown) => unknown
  readonly machinery: Machinery<SqlViewDefinition>
}

/** A function, so that bundles without `defineView` drop the options. */
const optionsOfView = () => ({
  name: required<string>(checkViewName),
  storedAs: optional<string>(checkViewStoredAs),
  aggregates: required<readonly unknown[]>(listOf('a list')),
  initialView: required<() => unknown>(checkFunction),
  id: optional<NonNullable<ViewDefinition['id']>>(checkFunction),
  update: required<object>(unchecked),
  indexes: withDefault<readonly string[]>([], listOf("a list of the view's fields")),
  consistency: withDefault<ViewDefinition['consistency']>('inline', oneOf('inline', 'async')),
  viewVersion: withDefault<number | string>(1, (what, version, Failure) => checkName(what, String(version), Failure)),
})

/** @throws DefinitionError */
export function buildView(given: object, machinery: Machinery<ViewDefinition>): ViewDefinition {
  const options = readOptions('defineView', given, optionsOfView(), { at: ({ name }: { name?: unknown }) => `View '${name}'` })
  const { name, storedAs = name, initialView, id, update, indexes, consistency, viewVersion } = options
  const at = `View '${name}'`
  const aggregates = options.aggregates.map((aggregate, i) => definitionOf(`${at}: aggregates[${i}]`, aggregate))
  if (aggregates.length === 0) throw new DefinitionError(`${at} needs at least one aggregate.`)
  const aggregateTypes = aggregates.map(({ type }) => type)
  if (new Set(aggregateTypes).size < aggregateTypes.length) throw new DefinitionError(`${at} names an aggregate twice.`)
  const first = initialView()
  checkJson(`${at}: initialView()`, first)
  return {
    kind: 'view',
    name,
    storedAs,
    aggregateTypes,
    initialView: () => deepFreeze(checkReturned(`${at}: initialView()`, initialView())),
    id,
    update: updates(at, update, aggregates),
    indexes: checkIndexes(at, indexes, first),
    viewVersion: String(viewVersion),
    consistency,
    followsOne: id === undefined && aggregates.length === 1,
    machinery,
  }
}

function checkViewName(_: string, name: unknown): void {
  checkName('The name of a view', name)
  checkViewStoredAs(`View '${name}'`, name)
}

function checkViewStoredAs(what: string, name: unknown): void {
  checkStoredAs(what, name)
  if (name.startsWith('~')) throw new DefinitionError(`${what}: names that begin with '~' are reserved.`)
}

function updates(at: string, update: unknown, aggregates: readonly AggregateDefinition[]): ViewDefinition['update'] {
  if (!isObject(update)) throw new DefinitionError(`${at}: update must be an object of functions by event type.`)
  return new Map(
    Object.entries(update).map(([type, fold]) => {
      if (!aggregates.some(({ events }) => events.has(type)))
        throw new DefinitionError(
          `${at}: update has '${type}', but no aggregate of the view has such an event. Its events: ${aggregates.flatMap(({ events }) => [...events.keys()]).join(', ')}.`,
        )
      checkFunction(`${at}: update.${type}`, fold)
      return [type, fold]
    }),
  )
}

function checkIndexes(at: string, indexes: readonly string[], first: unknown): readonly string[] {
  if (indexes.length > 0 && (!isObject(first) || Array.isArray(first)))
    throw new DefinitionError(`${at}: only a view that is an object can have indexes.`)
  for (const index of indexes) {
    checkName(`${at}: an index`, index)
    if (!Object.hasOwn(first as object, index))
      throw new DefinitionError(
        `${at}: the index '${index}' is not a field of initialView(). Its fields: ${Object.keys(first as object).join(', ')}. Start an optional field as null.`,
      )
  }
  if (new Set(indexes).size < indexes.length) throw new DefinitionError(`${at} names an index twice.`)
  return [...indexes]
}

/** Returns the definition of a view of rows. @throws DefinitionError when `value` is not a view */
export function viewDefinitionOf(what: string, value: unknown): ViewDefinition {
  const definition = (value as { '~definition'?: ViewDefinition } | null | undefined)?.['~definition']
  if (definition === undefined) throw new DefinitionError(`${what} must be a view made by defineView(…).`)
  return definition
}

/**
 * Returns the definition of a view of either kind.
 *
 * @throws DefinitionError when `value` is not a view
 */
export function anyViewDefinitionOf(what: string, value: unknown): ViewDefinition | SqlViewDefinition {
  const sql = (value as { '~sql'?: SqlViewDefinition } | null | undefined)?.['~sql']
  return sql ?? viewDefinitionOf(what, value)
}
