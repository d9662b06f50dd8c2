import { DefinitionError } from '../errors.ts'
import { isObject } from '../util/json.ts'
import { checkFunction, checkOptions, checkWholeNumber } from '../util/options.ts'

/**
 * Checks the client and the options of a target. `method`: what the target calls of the client.
 *
 * @throws DefinitionError
 */
export function checkTargetOptions(
  target: string,
  client: unknown,
  method: string,
  options: object,
  known: readonly string[],
  mostBytes: number,
): { readonly name: string | undefined; readonly mostBytes: number } {
  const found = isObject(client) || typeof client === 'function' ? (client as Record<string, unknown>)[method] : undefined
  if (typeof found !== 'function')
    throw new DefinitionError(`${target}: the first argument must be a client with the method ${method}().`)
  checkOptions(target, options, [...known, 'name', 'mostBytes'])
  return commonOf(target, options, mostBytes)
}

/** @throws DefinitionError */
export function commonOf(target: string, options: object, mostBytes: number) {
  const { name, mostBytes: chosen = mostBytes } = options as { readonly name?: unknown; readonly mostBytes?: unknown }
  if (name !== undefined) checkText(`${target}: name`, name)
  checkWholeNumber(`${target}: mostBytes`, chosen, 1)
  return { name: name as string | undefined, mostBytes: chosen as number }
}

/** @throws DefinitionError */
export function checkText(what: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '') throw new DefinitionError(`${what} must be a text that is not empty.`)
}

/** For an option that is a text or a function of the message. @throws DefinitionError */
export function checkTextOrFunction(what: string, value: unknown): void {
  if (typeof value !== 'string') checkFunction(what, value)
  else checkText(what, value)
}
