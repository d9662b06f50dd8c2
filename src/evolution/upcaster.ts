import { DefinitionError, messageOf } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import { isObject, jsonProblem, toJson } from '../util/json.ts'
import { kindOf, nameProblem } from '../util/names.ts'
import { isThenable } from '../util/refusing.ts'
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
  /** One event, several (a split: all share the stored sequence) or none (dropped), as JSON. Synchronous and pure. Anything else is a `DeserializationError` for the reader. */
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

/** An event on its way to its current form. */
export interface Upcasted extends StoredForm {
  /** The upcaster that made it, by its place in the list; left out where none took the event. */
  readonly madeBy?: number
}

/** Runs all upcasters over one stored event, in list order, each on the results of the one before. @throws EvolutionError */
export function upcast(upcasters: readonly Upcaster[], event: StoredForm): readonly Upcasted[] {
  let forms: readonly Upcasted[] = [event]
  for (const [i, upcaster] of upcasters.entries())
    forms = forms.flatMap((form) =>
      blaming(i, () => isTaken(upcaster, form)) ? blaming(i, () => made(upcaster, form, i)) : form,
    )
  return forms
}

/** An upcaster, or a function of `versions()`, has thrown or returned what no event can be. */
export class EvolutionError extends Error {
  /** The returned value: promises in it must be caught. */
  readonly refused: unknown
  constructor(message: string, { cause, refused }: { readonly cause?: unknown; readonly refused?: unknown }) {
    super(message, cause === undefined ? undefined : { cause })
    this.refused = refused
  }
}

function blaming<T>(nth: number, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof EvolutionError) throw new EvolutionError(`upcasters[${nth}].${error.message}`, error)
    throw new EvolutionError(`upcasters[${nth}] threw: ${messageOf(error)}`, { cause: error })
  }
}

function isTaken(upcaster: Upcaster, { type, version }: StoredForm): boolean {
  const answer: unknown = upcaster.canUpcast(type, version)
  if (isThenable(answer)) throw new EvolutionError(`canUpcast ${waits}`, { refused: answer })
  return Boolean(answer)
}

const waits = 'returned a promise; it must return its value at once'

function made(upcaster: Upcaster, form: StoredForm, madeBy: number): readonly Upcasted[] {
  const answer: unknown = upcaster.upcast({ ...form })
  // `Array.from` also shows what a list leaves out, which `flatMap` would pass over.
  const all: readonly unknown[] = Array.isArray(answer) ? Array.from(answer) : [answer]
  return all.map((one) => {
    const refuse = (problem: string): never => {
      throw new EvolutionError(`upcast ${problem}`, { refused: answer })
    }
    return { ...checkedForm(one, refuse), madeBy }
  })
}

function checkedForm(form: unknown, refuse: (problem: string) => never): StoredForm {
  if (isThenable(form) || isThenable((form as Partial<StoredForm> | null | undefined)?.data)) return refuse(waits)
  if (!isObject(form) || Array.isArray(form))
    return refuse(`returned ${kindOf(form)} where an event { type, version, data, metadata } is expected`)
  const { type, version, data, metadata } = form as Record<keyof StoredForm, unknown>
  const typeIs = nameProblem(type)
  if (typeIs !== undefined) return refuse(`returned an event whose type ${typeIs}`)
  if (typeof version !== 'string')
    return refuse(`returned ${type} whose version must be a text such as '1.0', not ${kindOf(version)}`)
  if (!isObject(metadata) || Array.isArray(metadata))
    return refuse(`returned ${type} without metadata; keep it with { ...event }`)
  const json = (what: string, value: unknown, options?: { readonly dates: boolean }): unknown => {
    try {
      return toJson(value, options)
    } catch (error) {
      return refuse(`returned ${what} of ${type} that is not JSON: ${jsonProblem(error)}`)
    }
  }
  return {
    type: type as string,
    version,
    // A `Date` may be in it, for a schema that reads one.
    data: data === undefined ? undefined : json('data', data, { dates: true }),
    metadata: json('metadata', metadata) as Metadata,
  }
}
