import { type ConsumerDefinition, checkConsumerName, type Machinery } from '../consumers/definitions.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { checkJson, checkReturned } from '../execution/aggregate-definition.ts'
import { deepFreeze, isObject } from '../util/json.ts'
import { checkFunction, checkName, checkOptions } from '../util/options.ts'

/** A view of rows, checked, types erased. */
export interface ViewDefinition extends ConsumerDefinition {
  readonly kind: 'view'
  readonly initialView: () => unknown
  /** The ids an event touches; `undefined`: the aggregate's own. */
  readonly id: ((event: EventEnvelope) => unknown) | undefined
  readonly update: ReadonlyMap<string, (view: unknown, event: EventEnvelope) => unknown>
  readonly indexes: readonly string[]
  readonly viewVersion: string
  readonly consistency: 'inline' | 'async'
  /** Each row belongs to one aggregate, has its id, and so knows which of its events it has seen. */
  readonly followsOne: boolean
  readonly machinery: Machinery<ViewDefinition>
}

/** A view that is tables of the user's own, types erased. */
export interface SqlViewDefinition extends ConsumerDefinition {
  readonly kind: 'sqlView'
  readonly apply: (client: unknown, event: EventEnvelope) => unknown
  readonly reset: (client: unknown) => unknown
  readonly machinery: Machinery<SqlViewDefinition>
}

interface Options {
  readonly name: string
  readonly aggregates: readonly { readonly type: string; readonly eventTypes: ReadonlySet<string> }[]
  readonly initialView: () => unknown
  readonly id?: unknown
  readonly update: object
  readonly indexes?: readonly string[] | undefined
  readonly consistency?: unknown
  readonly viewVersion?: number | string | undefined
  readonly machinery: Machinery<ViewDefinition>
}

/** @throws DefinitionError */
export function buildView(options: Options): ViewDefinition {
  const { name, aggregates, initialView, id, update, indexes = [], consistency = 'inline', viewVersion = 1, machinery } = options
  checkName('The name of a view', name)
  const at = `View '${name}'`
  checkConsumerName(at, name)
  if (consistency !== 'inline' && consistency !== 'async')
    throw new DefinitionError(`${at}: consistency must be 'inline' or 'async'.`)
  if (name.startsWith('~')) throw new DefinitionError(`${at}: names that begin with '~' are reserved.`)
  if (aggregates.length === 0) throw new DefinitionError(`${at} needs at least one aggregate.`)
  const aggregateTypes = aggregates.map(({ type }) => type)
  if (new Set(aggregateTypes).size < aggregateTypes.length) throw new DefinitionError(`${at} names an aggregate twice.`)
  checkFunction(`${at}: initialView`, initialView)
  const first = initialView()
  checkJson(`${at}: initialView()`, first)
  if (id !== undefined) checkFunction(`${at}: id`, id)
  checkName(`${at}: viewVersion`, String(viewVersion))
  return {
    kind: 'view',
    name,
    aggregateTypes,
    initialView: () => deepFreeze(checkReturned(`${at}: initialView()`, initialView())),
    id: id as ViewDefinition['id'],
    update: updates(at, update, aggregates),
    indexes: checkIndexes(at, indexes, first),
    viewVersion: String(viewVersion),
    consistency,
    followsOne: id === undefined && aggregates.length === 1,
    machinery,
  }
}

function updates(at: string, update: unknown, aggregates: Options['aggregates']): ViewDefinition['update'] {
  if (!isObject(update)) throw new DefinitionError(`${at}: update must be an object of functions by event type.`)
  return new Map(
    Object.entries(update).map(([type, fold]) => {
      if (!aggregates.some(({ eventTypes }) => eventTypes.has(type)))
        throw new DefinitionError(
          `${at}: update has '${type}', but no aggregate of the view has such an event. Its events: ${aggregates.flatMap(({ eventTypes }) => [...eventTypes]).join(', ')}.`,
        )
      checkFunction(`${at}: update.${type}`, fold)
      return [type, fold]
    }),
  )
}

function checkIndexes(at: string, indexes: unknown, first: unknown): readonly string[] {
  if (!Array.isArray(indexes)) throw new DefinitionError(`${at}: indexes must be a list of the view's fields.`)
  if (indexes.length > 0 && (!isObject(first) || Array.isArray(first)))
    throw new DefinitionError(`${at}: only a view that is an object can have indexes.`)
  for (const index of indexes) {
    checkName(`${at}: an index`, index)
    if (!Object.hasOwn(first as object, index))
      throw new DefinitionError(
        `${at}: the index '${index}' is no field of initialView(). Its fields: ${Object.keys(first as object).join(', ')}. One that may be absent starts as null.`,
      )
  }
  if (new Set(indexes).size < indexes.length) throw new DefinitionError(`${at} names an index twice.`)
  return [...indexes]
}

const viewOptionNames = ['name', 'aggregates', 'initialView', 'id', 'update', 'indexes', 'consistency', 'viewVersion']

/** @throws DefinitionError */
export const checkViewOptions = (options: unknown): void => checkOptions('defineView', options, viewOptionNames)

/** @throws DefinitionError when `value` is no view */
export function viewDefinitionOf(what: string, value: unknown): ViewDefinition {
  const definition = (value as { '~definition'?: ViewDefinition } | null | undefined)?.['~definition']
  if (definition === undefined) throw new DefinitionError(`${what} must be a view made by defineView(…).`)
  return definition
}

/** The same for a view of either kind. */
export function anyViewDefinitionOf(what: string, value: unknown): ViewDefinition | SqlViewDefinition {
  const sql = (value as { '~sql'?: SqlViewDefinition } | null | undefined)?.['~sql']
  return sql ?? viewDefinitionOf(what, value)
}
