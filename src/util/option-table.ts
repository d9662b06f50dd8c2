import { DefinitionError, ValidationError } from '../errors.ts'
import { checkOptions, checkWholeNumber, type Failure } from './options.ts'

/** Throws a `Failure` that names the option when its value does not fit. */
export type Check = (what: string, value: unknown, Failure: Failure) => void

/** One option of a call. A table of them has the names, checks and defaults. */
export interface Option<T> {
  readonly check: Check
  readonly isRequired: boolean
  readonly fallback: T
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>

/** The options of a table, each with its value or default. */
export type OptionsOf<O extends OptionTable> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never }

/** An option that must be there; its check also gets `undefined`. */
export const required = <T>(check: Check): Option<T> => ({ check, isRequired: true, fallback: undefined as T })

export const optional = <T>(check: Check): Option<T | undefined> => ({ check, isRequired: false, fallback: undefined })

export const withDefault = <T>(fallback: T, check: Check): Option<T> => ({ check, isRequired: false, fallback })

/**
 * Refuses misspelt options and values that do not fit, and fills in defaults.
 *
 * Messages about values begin with `at`.
 */
export function readOptions<O extends OptionTable>(
  call: string,
  given: unknown,
  table: O,
  { at = () => call, Failure = DefinitionError }: { at?: (given: object) => string; Failure?: Failure } = {},
): OptionsOf<O> {
  checkOptions(call, given, Object.keys(table), Failure)
  const values: Record<string, unknown> = {}
  for (const name of Object.keys(table)) {
    const { check, isRequired, fallback } = table[name] as Option<unknown>
    const value = (given as Record<string, unknown>)[name]
    if (isRequired || value !== undefined) check(`${at(given as object)}: ${name}`, value, Failure)
    values[name] = value === undefined ? fallback : value
  }
  return values as OptionsOf<O>
}

/** The same for a method of an app. @throws ValidationError */
export const readCallOptions = <O extends OptionTable>(call: string, given: unknown, table: O, at = call): OptionsOf<O> =>
  readOptions(call, given, table, { at: () => at, Failure: ValidationError })

export const wholeNumberFrom =
  (least: number): Check =>
  (what, value, Failure) =>
    checkWholeNumber(what, value, least, Failure)

export const oneOf =
  (...choices: readonly string[]): Check =>
  (what, value, Failure) => {
    if (choices.includes(value as string)) return
    const shown = choices.map((choice) => `'${choice}'`)
    throw new Failure(`${what} must be ${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}.`)
  }

/** `what` says what the list is of: `a list of functions`. */
export const listOf =
  (what: string): Check =>
  (at, value, Failure) => {
    if (!Array.isArray(value)) throw new Failure(`${at} must be ${what}.`)
  }

/** For an option that is checked where it is used. */
export const unchecked: Check = () => {}

export const signalOption = optional<AbortSignal>((what, value, Failure) => {
  if (typeof (value as AbortSignal | null)?.throwIfAborted !== 'function') throw new Failure(`${what} must be an AbortSignal.`)
})
