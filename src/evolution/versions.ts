import { DefinitionError } from '../errors.ts'
import type { ReadonlyData, SchemaInput, SchemaOutput, Shape, StandardSchema, Typed } from '../message.ts'
import { compareVersions, parseVersion, versionText } from './semantic-version.ts'

/** What `versions` makes: the shape of the current version, with the way from each older one. */
export type Versioned<S extends Shape> = S extends StandardSchema
  ? StandardSchema<SchemaInput<S>, SchemaOutput<S>>
  : Typed<SchemaOutput<S>>

/** Makes current data of an older version's. */
export type Migrate = (old: unknown) => unknown

interface VersionedShape {
  readonly '~versions': { readonly current: string; readonly shape: Shape; readonly older: ReadonlyMap<string, Migrate> }
}

/**
 * Declares the current version of an event and how the data of each older version becomes input of the current schema.
 * New events are stored with `current`; older ones are read through their function, then the schema.
 *
 * Versions are compared by major, minor, patch; missing parts are 0, so `'1.1'` is `'1.1.0'`.
 *
 * @throws DefinitionError for text that is no version, two functions for one version, or an older one that is not older
 *
 * @example
 * ```ts
 * import { typed, versions } from 'cqrs-es'
 *
 * const moneyDeposited = versions('2.0', typed<{ cents: number }>(), {
 *   '1.0': (old: { euros: number }) => ({ cents: old.euros * 100 }),
 * })
 * ```
 */
export function versions<S extends Shape>(
  current: string,
  shape: S,
  // biome-ignore lint/suspicious/noExplicitAny: each function names the form of its own version
  older: Readonly<Record<string, (old: any) => ReadonlyData<SchemaInput<S>>>>,
): Versioned<S> {
  const target = parseVersion(current)
  if (target === undefined) throw new DefinitionError(`versions('${current}', …): '${current}' is not a version such as '2.0'.`)
  const steps = new Map<string, Migrate>()
  for (const [text, migrate] of Object.entries(older)) {
    const version = parseVersion(text)
    if (version === undefined) throw new DefinitionError(`versions('${current}', …): '${text}' is not a version such as '1.0'.`)
    if (typeof migrate !== 'function')
      throw new DefinitionError(`versions('${current}', …): '${text}' needs a function from its data to current data.`)
    const key = versionText(version)
    if (steps.has(key)) throw new DefinitionError(`versions('${current}', …) has two functions for version ${key}.`)
    if (compareVersions(version, target) >= 0)
      throw new DefinitionError(`versions('${current}', …): '${text}' is not older than '${current}'.`)
    steps.set(key, migrate)
  }
  const versioned: VersionedShape = { '~versions': { current, shape, older: steps } }
  return versioned as unknown as Versioned<S>
}

/** The parts of an event's declaration: what it looks like now, its version, and the older ones. */
export function versionsOf(shape: Shape): { shape: Shape; current: string; older: ReadonlyMap<string, Migrate> } {
  const versioned = (shape as unknown as Partial<VersionedShape> | null | undefined)?.['~versions']
  return versioned ?? { shape, current: defaultVersion, older: none }
}

const defaultVersion = '1.0'
const none: ReadonlyMap<string, Migrate> = new Map()
