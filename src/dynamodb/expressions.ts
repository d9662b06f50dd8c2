import type { AttributeValue, Expressions } from './client.ts'

/**
 * The names of a condition, a key condition or an update. All attributes are written as `#Name`, since any could be one of DynamoDB's several hundred
 * reserved words.
 */
export function namesIn(...expressions: readonly string[]): Record<string, string> {
  const names: Record<string, string> = {}
  for (const expression of expressions) for (const [place, name] of expression.matchAll(/#(\w+)/g)) names[place] = name as string
  return names
}

/** A condition whose item comes back when it does not hold. */
export const condition = (
  expression: string,
  values: Record<string, AttributeValue> = {},
): Expressions & { ConditionExpression: string } => ({
  ConditionExpression: expression,
  ExpressionAttributeNames: namesIn(expression),
  ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
  ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
})

/** An update, with a condition where one is given. */
export const update = (
  expression: string,
  values: Record<string, AttributeValue>,
  conditionExpression?: string,
): Expressions & { UpdateExpression: string } => ({
  UpdateExpression: expression,
  ExpressionAttributeNames: namesIn(expression, conditionExpression ?? ''),
  ExpressionAttributeValues: values,
  ...(conditionExpression !== undefined && {
    ConditionExpression: conditionExpression,
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  }),
})
