import { DefinitionError } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import { isThenable } from '../refusing.ts'
import { compareVersions, parseVersion, versionText } from './semantic-version.ts'

/** An event as it is stored: what an upcaster sees and gives. */
export interface StoredForm {
  /** Event type. */
  readonly type: string
  /** Version of its form, `'1.0'` unless it was declared otherwise. */
  readonly version: string
  /** JSON; `{}` where there is none. */
  readonly data: unknown
  /** As the caller of the command passed it. */
  readonly metadata: Metadata
}

/** Turns events of an older form into a newer one while they are read. What is stored never changes. */
export interface Upcaster {
  /** Asked with the type and version that the upcasters before it made. */
  canUpcast(type: string, version: string): boolean
  /** One event, several (a split: all share the stored sequence) or none (dropped). Synchronous and pure. */
  upcast(event: StoredForm): StoredForm | readonly StoredForm[]
}

/**
 * Upcasts `type` from any version older than `version` (compared by major, minor, patch; missing parts are 0): the data becomes
 * `change(data)`, the version becomes `version`, written in three parts.
 *
 * @throws DefinitionError when `version` is not a version
 *
 * @example
 * ```ts
 * import { semanticVersionUpcaster } from 'cqrs-es'
 *
 * const withCurrency = semanticVersionUpcaster('MoneyDeposited', '1.1', (data) => ({ ...data, currency: 'EUR' }))
 * withCurrency.canUpcast('MoneyDeposited', '1.0') // true
 * ```
 */
// biome-ignore lint/suspicious/noExplicitAny: the data has a form that only the upcaster's author knows
export function semanticVersionUpcaster(type: string, version: string, change: (data: any) => unknown): Upcaster {
  const target = parseVersion(version)
  if (target === undefined)
    throw new DefinitionError(`'${version}' is not a version; an upcaster of '${type}' needs one such as '1.2' or '1.2.0'.`)
  return {
    canUpcast: (candidate, from) => {
      const stored = parseVersion(from)
      return candidate === type && stored !== undefined && compareVersions(stored, target) < 0
    },
    upcast: (event) => ({ ...event, version: versionText(target), data: change(event.data) }),
  }
}

/** Runs all upcasters over one stored event, in list order, each on the results of the one before. `refuse` throws. */
export function upcast(
  upcasters: readonly Upcaster[],
  event: StoredForm,
  refuse: (problem: string, value: unknown) => never,
): readonly StoredForm[] {
  let forms: readonly StoredForm[] = [event]
  for (const [i, upcaster] of upcasters.entries()) {
    const returned = <T>(method: string, value: T, isWaiting: boolean): T =>
      isWaiting ? refuse(`upcasters[${i}].${method} returned a promise; it must return its value at once`, value) : value
    forms = forms.flatMap((form) => {
      const can = upcaster.canUpcast(form.type, form.version)
      if (!returned('canUpcast', can, isThenable(can))) return form
      const made = upcaster.upcast(form)
      return returned('upcast', made, [made].flat().some(isWaiting))
    })
  }
  return forms
}

/** It is a promise, or its data is one. */
const isWaiting = (form: StoredForm | undefined): boolean => isThenable(form) || isThenable(form?.data)
