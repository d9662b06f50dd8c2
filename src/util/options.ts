import { type CqrsError, DefinitionError, ValidationError } from '../errors.ts'
import { isObject } from './json.ts'
import { kindOf, nameProblem } from './names.ts'

/** The error for an invalid argument: `DefinitionError` for wiring, `ValidationError` in calls. */
export type Failure = new (message: string) => CqrsError

/** The first key of `value` that is not in `known`. */
export function unknownKey(value: object, known: readonly string[]): string | undefined {
  // A list of the keys would be made for each command and each event.
  for (const key in value) if (!known.includes(key) && Object.hasOwn(value, key)) return key
  return undefined
}

/** Refuses a value that is not an object, and misspelt options. */
export function checkOptions(what: string, value: unknown, known: readonly string[], Failure: Failure = DefinitionError): void {
  if (!isObject(value)) throw new Failure(`${what} takes an object of options, not ${kindOf(value)}.`)
  const unknown = unknownKey(value, known)
  if (unknown !== undefined) throw new Failure(`${what} has no option '${unknown}'. Its options: ${known.join(', ')}.`)
}

/** Refuses a value that is not a function. */
export function checkFunction(what: string, value: unknown, Failure: Failure = DefinitionError): void {
  if (typeof value !== 'function') throw new Failure(`${what} must be a function, not ${kindOf(value)}.`)
}

/** Refuses a value that is not a boolean. */
export function checkBoolean(what: string, value: unknown, Failure: Failure = DefinitionError): asserts value is boolean {
  if (typeof value !== 'boolean') throw new Failure(`${what} must be true or false.`)
}

/** Refuses a value that is not a whole number of at least `least`. */
export function checkWholeNumber(what: string, value: unknown, least: number, Failure: Failure = DefinitionError): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return
  const shown = typeof value === 'string' ? `'${value}'` : String(value)
  throw new Failure(`${what} must be a whole number, ${least} or more, not ${shown}.`)
}

/** Refuses a value that cannot be an id, a name or a key. */
export function checkName(what: string, value: unknown, Failure: Failure = DefinitionError): asserts value is string {
  const problem = nameProblem(value)
  if (problem !== undefined) throw new Failure(`${what} ${problem}.`)
}

/** @throws ValidationError */
export function checkId(at: string, id: unknown): asserts id is string {
  checkName(`${at}: the id`, id, ValidationError)
}

/** @throws ValidationError */
export function checkCallOptions(at: string, options: unknown, known: readonly string[]): void {
  checkOptions(at, options, known, ValidationError)
  const { signal } = options as { signal?: unknown }
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.throwIfAborted !== 'function')
    throw new ValidationError(`${at}: signal must be an AbortSignal.`)
}

const maxPage = 1_000

/** @throws ValidationError for an invalid page size or cursor */
export function checkPage(at: string, limit: unknown, after: unknown): void {
  checkWholeNumber(`${at}: limit`, limit, 1, ValidationError)
  if ((limit as number) > maxPage) throw new ValidationError(`${at}: limit must be at most ${maxPage}, not ${String(limit)}.`)
  if (after !== undefined) checkId(`${at}: after`, after)
}
