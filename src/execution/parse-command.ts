import { type Issue, ValidationError } from '../errors.ts'
import type { Parsed } from '../evolution/schema.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { checkTexts, deepFreeze, NotJson, toJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { Call } from './call.ts'

/**
 * The data of the command as its schema returns it; a promise if the schema is asynchronous.
 *
 * @throws ValidationError
 */
export function parseCommand(definition: AggregateDefinition, call: Sent): unknown {
  const { command } = call
  const parser = definition.commands.get(command.type)
  if (parser === undefined)
    throw new ValidationError(
      `${definition.type} has no command '${command.type}'. Its commands: ${[...definition.commands.keys()].join(', ')}.`,
    )
  if (parser.kind === 'schema') checkStorable(definition.type, call, command.data)
  const parsed = parser.parse(command.data)
  return parsed instanceof Promise ? parsed.then((one) => dataOf(definition, call, one)) : dataOf(definition, call, parsed)
}

function dataOf(definition: AggregateDefinition, call: Sent, parsed: Parsed): unknown {
  if (parsed.issues !== undefined) throw unfit(definition.type, call, parsed.issues)
  const data = frozenCopy(parsed.value)
  // It was copied where it is JSON.
  if (data === parsed.value) checkStorable(definition.type, call, data)
  return data
}

type Sent = Pick<Call, 'command' | 'aggregateId'>

/**
 * Refuses texts and keys that no store can hold, in the data of a command or in the result of its
 * schema.
 *
 * @throws ValidationError
 */
export function checkStorable(aggregateType: string, call: Sent, data: unknown): void {
  try {
    checkTexts(data)
  } catch (error) {
    throw unfit(aggregateType, call, [notJsonIssue(error)], error)
  }
}

const unfit = (aggregateType: string, { command, aggregateId }: Sent, issues: readonly Issue[], cause?: unknown) =>
  refusing(
    new ValidationError(`${command.type} on ${aggregateType} '${aggregateId}' is invalid: ${issuesText(issues)}.`, issues, cause),
    command.data,
  )

/**
 * A frozen copy, because a command may be decided several times on the same data. Data that is not
 * JSON, such as a class instance, is passed on as it is.
 */
export function frozenCopy(data: unknown): unknown {
  if (data === undefined) return data
  try {
    return deepFreeze(toJson(data, { dates: true }))
  } catch (error) {
    if (error instanceof NotJson) return data
    throw error
  }
}
