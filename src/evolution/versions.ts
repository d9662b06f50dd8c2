import { DefinitionError } from '../errors.ts'
import type { ReadonlyData, SchemaInput, SchemaOutput, Shape, StandardSchema, Typed } from '../message.ts'
import { compareVersions, parseVersion, versionText } from './semantic-version.ts'

/** The result of `versions`: the shape of the current version, with migrations from older ones. */
export type Versioned<S extends Shape> = S extends StandardSchema
  ? StandardSchema<SchemaInput<S>, SchemaOutput<S>>
  : Typed<SchemaOutput<S>>

/** Converts data of an older version to current data. */
export type Migrate = (old: unknown) => unknown

interface VersionedShape {
  readonly '~versions': { readonly current: string; readonly shape: Shape; readonly older: ReadonlyMap<string, Migrate> }
}

/**
 * Declares the current version of an event, and how to migrate the data of each older version.
 *
 * New events are stored with `current`. The data of an older event passes its function, then the
 * current schema. Versions are compared by major, minor and patch. Missing parts are 0, so `'1.1'`
 * is `'1.1.0'`.
 *
 * @throws DefinitionError for an invalid version, two functions for one version, or a version that
 * is not older than `current`
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

/** The parts of an event's declaration: current shape, current version and older versions. */
export function versionsOf(shape: Shape): { shape: Shape; current: string; older: ReadonlyMap<string, Migrate> } {
  const versioned = (shape as unknown as Partial<VersionedShape> | null | undefined)?.['~versions']
  return versioned ?? { shape, current: defaultVersion, older: none }
}

const defaultVersion = '1.0'
const none: ReadonlyMap<string, Migrate> = new Map()
