import type { AggregateDefinition } from '../aggregate-definition.ts'
import { type Issue, ValidationError } from '../errors.ts'
import { issuesText, notJsonIssue } from '../evolution/schema.ts'
import { checkTexts, deepFreeze, NotJson, toJson } from '../json.ts'
import { refusing } from '../refusing.ts'
import type { Call } from './call.ts'

/** The command's data as its schema gives it. @throws ValidationError */
export async function parseCommand(
  definition: AggregateDefinition,
  { command, aggregateId }: Pick<Call, 'command' | 'aggregateId'>,
): Promise<unknown> {
  const parser = definition.commands.get(command.type)
  if (parser === undefined)
    throw new ValidationError(
      `${definition.type} has no command '${command.type}'. Its commands: ${[...definition.commands.keys()].join(', ')}.`,
    )
  const unfit = (issues: readonly Issue[], cause?: unknown) =>
    refusing(
      new ValidationError(
        `${command.type} on ${definition.type} '${aggregateId}' does not fit: ${issuesText(issues)}.`,
        issues,
        cause,
      ),
      command.data,
    )
  const storable = (data: unknown) => {
    try {
      checkTexts(data)
    } catch (error) {
      throw unfit([notJsonIssue(error)], error)
    }
  }
  if (parser.kind === 'schema') storable(command.data)
  const parsed = await parser.parse(command.data)
  if (parsed.issues !== undefined) throw unfit(parsed.issues)
  const data = frozenCopy(parsed.value)
  if (data === parsed.value) storable(data)
  return data
}

/** A command may be decided several times, each time on the same data. What is not JSON (an object with a class) is handed over as it is. */
export function frozenCopy(data: unknown): unknown {
  if (data === undefined) return data
  try {
    return deepFreeze(toJson(data, { dates: true }))
  } catch (error) {
    if (error instanceof NotJson) return data
    throw error
  }
}
