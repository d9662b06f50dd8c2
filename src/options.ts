import { DefinitionError } from './errors.ts'

/** The first of `value`'s keys that `known` does not have. */
export const unknownKey = (value: object, known: readonly string[]): string | undefined =>
  Object.keys(value).find((key) => !known.includes(key))

/** Refuses what is no object, and misspelt options. @throws DefinitionError */
export function checkOptions(what: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null)
    throw new DefinitionError(`${what} takes an object of options, not ${value === null ? 'null' : typeof value}.`)
  const unknown = unknownKey(value, known)
  if (unknown !== undefined) throw new DefinitionError(`${what} has no option '${unknown}'. Its options: ${known.join(', ')}.`)
}

/** @throws DefinitionError when `value` is no function */
export function checkFunction(what: string, value: unknown): void {
  if (typeof value !== 'function')
    throw new DefinitionError(`${what} must be a function, not ${value === null ? 'null' : typeof value}.`)
}
