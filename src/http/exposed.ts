import type { AggregateTypes } from '../aggregate.ts'
import type { AggregateHandle } from '../aggregate-handle.ts'
import type { AppParts } from '../app.ts'
import { DefinitionError } from '../errors.ts'
import type { Parser } from '../evolution/schema.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import { checkBoolean, checkOptions } from '../util/options.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import type { ViewTypes } from '../views/view-types.ts'
import type { ViewHandle } from '../views/views.ts'
import { conditionNames, pageNames } from './query.ts'
import { documentSegment, viewsSegment } from './segments.ts'

/** An exposed aggregate, types erased. */
export interface ExposedAggregate {
  /** Name in the app. */
  readonly name: string
  readonly definition: AggregateDefinition
  readonly handle: AggregateHandle<AggregateTypes>
  readonly commands: ReadonlyMap<string, Parser>
  readonly state: boolean
  readonly events: boolean
  readonly ids: boolean
}

/** Returns the names of the unique values of an aggregate. */
export const uniqueRulesOf = ({ rules }: AggregateDefinition): readonly string[] =>
  rules.flatMap(({ kind, functions }) => (kind === 'unique' ? [...functions.keys()] : []))

/** An exposed view, types erased. */
export interface ExposedView {
  /** Name in the app. */
  readonly name: string
  readonly definition: ViewDefinition
  readonly handle: ViewHandle<ViewTypes>
  /** Query parameters of `find`. */
  readonly parameters: readonly string[]
}

/** All exposed aggregates and views. */
export interface Exposed {
  readonly aggregates: ReadonlyMap<string, ExposedAggregate>
  readonly views: ReadonlyMap<string, ExposedView>
}

/** The app, types erased. */
export interface ErasedApp {
  readonly '~parts'?: AppParts
  readonly aggregates: Readonly<Record<string, AggregateHandle<AggregateTypes>>>
  readonly views: Readonly<Record<string, unknown>>
}

/** The option `expose`, types erased. */
export interface ErasedExpose {
  readonly aggregates?: Readonly<Record<string, ErasedPart>> | undefined
  readonly views?: readonly string[] | undefined
}

interface ErasedPart {
  readonly commands?: readonly string[]
  readonly state?: boolean
  readonly events?: boolean
  readonly ids?: boolean
}

const at = 'createHandler'

/** @throws DefinitionError */
export function exposedOf(app: ErasedApp, parts: AppParts, expose: ErasedExpose = {}): Exposed {
  checkOptions(`${at}: expose`, expose, ['aggregates', 'views'])
  return { aggregates: aggregatesOf(app, parts, expose.aggregates), views: viewsOf(app, parts, expose.views) }
}

function aggregatesOf(app: ErasedApp, { aggregates }: AppParts, chosen: ErasedExpose['aggregates']): Exposed['aggregates'] {
  const wanted = chosen ?? Object.fromEntries([...aggregates.keys()].map((name) => [name, {}]))
  checkOptions(`${at}: expose.aggregates`, wanted, [...aggregates.keys()])
  return new Map(
    Object.entries(wanted).map(([name, part]) => {
      if (name === viewsSegment || name === documentSegment)
        throw new DefinitionError(
          `${at}: an aggregate cannot be called '${name}', which has a path of its own. Give it another name in createApp({ aggregates }).`,
        )
      const definition = aggregates.get(name) as AggregateDefinition
      const handle = app.aggregates[name] as AggregateHandle<AggregateTypes>
      return [name, { name, definition, handle, ...partOf(`${at}: expose.aggregates.${name}`, definition, part) }]
    }),
  )
}

function partOf(what: string, { commands: all }: AggregateDefinition, part: ErasedPart) {
  checkOptions(what, part, ['commands', 'state', 'events', 'ids'])
  const { commands = [...all.keys()], state = true, events = true, ids = true } = part
  for (const [name, value] of Object.entries({ state, events, ids })) checkBoolean(`${what}.${name}`, value)
  if (!Array.isArray(commands)) throw new DefinitionError(`${what}.commands must be a list of commands.`)
  const unknown = commands.find((command) => !all.has(command))
  if (unknown !== undefined)
    throw new DefinitionError(`${what}.commands: there is no command '${unknown}'. There are: ${[...all.keys()].join(', ')}.`)
  return { commands: new Map(commands.map((command) => [command, all.get(command) as Parser])), state, events, ids }
}

/** SQL views are not exposed: their tables belong to the user. */
function viewsOf(app: ErasedApp, { views }: AppParts, chosen: ErasedExpose['views']): Exposed['views'] {
  const rows = new Map([...views].filter((entry): entry is [string, ViewDefinition] => 'update' in entry[1]))
  const names = chosen ?? [...rows.keys()]
  if (!Array.isArray(names)) throw new DefinitionError(`${at}: expose.views must be a list of names.`)
  return new Map(
    names.map((name: string) => {
      const definition = rows.get(name)
      if (definition === undefined)
        throw new DefinitionError(
          `${at}: expose.views: there is no view '${name}' with rows. There are: ${[...rows.keys()].join(', ')}.`,
        )
      const parameters = parametersOf(name, definition)
      return [name, { name, definition, handle: app.views[name] as ViewHandle<ViewTypes>, parameters }]
    }),
  )
}

/** Refuses parameters with two meanings. @throws DefinitionError */
function parametersOf(name: string, view: ViewDefinition): readonly string[] {
  const names = [...pageNames, ...conditionNames(view)]
  const double = names.find((one, i) => names.indexOf(one) !== i)
  if (double !== undefined)
    throw new DefinitionError(
      `${at}: the view '${name}' has an index whose parameter '${double}' would mean two things. Rename the field, or leave the view out of expose.views.`,
    )
  return names
}
