import { DefinitionError, messageOf } from '../errors.ts'
import type { Metadata } from '../event-envelope.ts'
import { isObject, jsonProblem, toJson } from '../util/json.ts'
import { kindOf, nameProblem } from '../util/names.ts'
import { isThenable } from '../util/refusing.ts'
import { compareVersions, parseVersion, versionText } from './semantic-version.ts'

/** An event in stored form, as an upcaster receives and returns it. */
export interface StoredForm {
  /** Event type. */
  readonly type: string
  /** Version of the event's form, `'1.0'` unless declared otherwise. */
  readonly version: string
  /** Data of the event, JSON; `{}` for an event without data. */
  readonly data: unknown
  /** Metadata that the caller of the command passed. */
  readonly metadata: Metadata
}

/** Converts events of an older form to a newer one at each read. Stored events never change. */
export interface Upcaster {
  /** Called with the type and version that the earlier upcasters returned. */
  canUpcast(type: string, version: string): boolean
  /**
   * Returns one event, several (a split: all have the stored sequence) or none (a drop), as JSON.
   *
   * Must be synchronous and pure. Anything else fails the read with a `DeserializationError`.
   */
  upcast(event: StoredForm): StoredForm | readonly StoredForm[]
}

/**
 * Makes an upcaster of `type` from any version older than `version`.
 *
 * The data becomes `change(data)`, the version becomes `version` in three parts. Versions are
 * compared by major, minor and patch; missing parts are 0.
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
  /** Index of the upcaster that made it; absent if no upcaster changed the event. */
  readonly madeBy?: number
}

/**
 * Runs all upcasters on one stored event, in list order, each on the results of the one before.
 *
 * @throws EvolutionError
 */
export function upcast(upcasters: readonly Upcaster[], event: StoredForm): readonly Upcasted[] {
  let forms: readonly Upcasted[] = [event]
  for (const [i, upcaster] of upcasters.entries())
    forms = forms.flatMap((form) =>
      blaming(i, () => isTaken(upcaster, form)) ? blaming(i, () => made(upcaster, form, i)) : form,
    )
  return forms
}

/**
 * The failure of an upcaster or a function of `versions()`: it threw or returned no valid event.
 */
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
  // Unlike `flatMap`, `Array.from` also visits the holes of a list.
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
    return refuse(`returned ${kindOf(form)}; expected an event { type, version, data, metadata }`)
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
    // The data may hold a `Date`, for a schema that expects one.
    data: data === undefined ? undefined : json('data', data, { dates: true }),
    metadata: json('metadata', metadata) as Metadata,
  }
}
