import type { ConsumerDefinition } from '../consumers/definitions.ts'
import type { ViewWrite } from '../store/commit.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { Core, InlineViews } from './core.ts'
import type { Loaded } from './loaded.ts'
import type { Extension, StateRules } from './state-rules.ts'

/**
 * Code behind `unique` or `deadlines`. The definition of an aggregate brings it along, so that
 * bundles contain only what they use.
 */
export interface ExtensionParts extends Extension {
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

/** Definitions know no more than the option of an extension, whose types build on theirs. */
export const partsOf = ({ extension }: StateRules): ExtensionParts => extension as ExtensionParts

/** Returns the rows of an aggregate's inline views, unique values and deadlines. */
export const rowsOf = (core: Core, definition: AggregateDefinition, inlineViews: InlineViews | undefined) =>
  definition.rules.reduce<InlineViews | undefined>(
    (rows, rules) => partsOf(rules).combine(rows, partsOf(rules).rows(core, definition, rules)),
    inlineViews,
  )

/** Returns what sends the deadlines of an app, under its key in `app.health`; empty without deadlines. */
export function deadlinesOf(definitions: readonly AggregateDefinition[]): ReadonlyMap<string, ConsumerDefinition> {
  const own = definitions.flatMap(({ type, rules }) =>
    rules.map(partsOf).flatMap(({ consumer }) => (consumer === undefined ? [] : [{ type, consumer }])),
  )
  const [first] = own
  return new Map(first === undefined ? [] : [['deadlines', first.consumer(own.map(({ type }) => type))]])
}
