import { DefinitionError } from '../errors.ts'

/** Refuses an options object that is none, or that holds a name which `known` does not have. */
export function checkOptions(factory: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new DefinitionError(`${factory}: the options must be an object with ${known.join(', ')}.`)
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new DefinitionError(`${factory} has no option "${name}"; it has ${known.join(', ')}.`)
    }
  }
}
