import { messageOf } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { isThenable } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'

/**
 * The same definition, whose handlers and command schemas add the errors they throw to `foreign`.
 *
 * Errors of user code pass through `execute` unchanged. The HTTP layer must not mistake one for the
 * outcome of this command, even if it is an error of another command.
 */
export function notingErrors(definition: AggregateDefinition, foreign: WeakSet<object>): AggregateDefinition {
  const note = (error: unknown): never => {
    if (isObject(error)) foreign.add(error)
    throw error
  }
  const noting =
    <A extends readonly unknown[], R>(call: (...of: A) => R): ((...of: A) => R) =>
    (...of) => {
      try {
        const made = call(...of)
        return isThenable(made) ? (Promise.resolve(made).catch(note) as R) : made
      } catch (error) {
        return note(error)
      }
    }
  return {
    ...definition,
    commands: new Map([...definition.commands].map(([type, parser]) => [type, { ...parser, parse: noting(parser.parse) }])),
    handle: new Map([...definition.handle].map(([type, handle]) => [type, noting(handle)])),
  }
}

/**
 * The message of an error that a function of the user threw, with advice where it changed a frozen
 * value.
 */
export const whyThrown = (error: unknown, what: 'state' | 'view'): string =>
  `it threw: ${messageOf(error)}${
    error instanceof TypeError && /read only|not extensible|object is not writable|delete property/i.test(error.message)
      ? ` (it must return a new ${what}, not change the one it receives)`
      : ''
  }`
