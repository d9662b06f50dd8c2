import { type AggregateDefinition, checkJson } from '../aggregate-definition.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { Core, SendWithViews } from '../execution/core.ts'
import { deepFreeze, isObject } from '../json.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { checkFunction, checkName, checkOptions } from '../options.ts'

/** A view as the machinery sees it: checked, types erased. */
export interface ViewDefinition {
  readonly name: string
  readonly aggregateTypes: readonly string[]
  readonly initialView: () => unknown
  /** The ids an event touches; `undefined`: the aggregate's own. */
  readonly id: ((event: EventEnvelope) => unknown) | undefined
  readonly update: ReadonlyMap<string, (view: unknown, event: EventEnvelope) => unknown>
  readonly indexes: readonly string[]
  readonly viewVersion: string
  /** Each row belongs to one aggregate, has its id, and so knows which of its events it has seen. */
  readonly followsOne: boolean
  readonly connect: ConnectViews
}

/** What runs the views of one app. */
export interface ReadSide {
  /** `undefined` for an aggregate that no view follows. */
  sendWithViews(definition: AggregateDefinition): SendWithViews | undefined
  /** What `app.views` has. */
  viewsOf(view: ViewDefinition, lifecycle: Lifecycle): object
}

export type ConnectViews = (core: Core, views: readonly ViewDefinition[], aggregateTypes: readonly string[]) => ReadSide

interface Options {
  readonly name: string
  readonly aggregates: readonly { readonly type: string; readonly eventTypes: ReadonlySet<string> }[]
  readonly initialView: () => unknown
  readonly id?: unknown
  readonly update: object
  readonly indexes?: readonly string[] | undefined
  readonly viewVersion?: number | string | undefined
  readonly connect: ConnectViews
}

/** @throws DefinitionError */
export function buildView(options: Options): ViewDefinition {
  const { name, aggregates, initialView, id, update, indexes = [], viewVersion = 1, connect } = options
  checkName('The name of a view', name)
  const at = `View '${name}'`
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
    name,
    aggregateTypes,
    initialView: () => deepFreeze(initialView()),
    id: id as ViewDefinition['id'],
    update: updates(at, update, aggregates),
    indexes: checkIndexes(at, indexes, first),
    viewVersion: String(viewVersion),
    followsOne: id === undefined && aggregates.length === 1,
    connect,
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
