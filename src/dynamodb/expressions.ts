import type { AttributeValue, Expressions } from './client.ts'

/** The names in expressions, all as `#Name`: any attribute could be a reserved word of DynamoDB. */
export function namesIn(...expressions: readonly string[]): Record<string, string> {
  const names: Record<string, string> = {}
  for (const expression of expressions) for (const [place, name] of expression.matchAll(/#(\w+)/g)) names[place] = name as string
  return names
}

/** A condition that returns the existing item when it fails. */
export const condition = (
  expression: string,
  values: Record<string, AttributeValue> = {},
): Expressions & { ConditionExpression: string } => ({
  ConditionExpression: expression,
  ExpressionAttributeNames: namesIn(expression),
  ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values }),
  ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
})

/** An update, with an optional condition. */
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
