/** An attribute as a stream record has it: the SDK hands out bytes, a Lambda function gets them as text. */
export interface StreamAttribute {
  readonly S?: string | undefined
  readonly N?: string | undefined
  readonly B?: unknown
}

/**
 * A record of a DynamoDB stream as far as the store looks: that of the AWS SDK and that of a Lambda event both fit.
 *
 * @example
 * ```ts
 * import type { DynamoDbStreamRecord } from 'cqrs-es/dynamodb'
 *
 * export const isInsert = (record: DynamoDbStreamRecord) => record.eventName === 'INSERT'
 * ```
 */
export interface DynamoDbStreamRecord {
  readonly eventName?: string | undefined
  readonly dynamodb?:
    | {
        readonly Keys?: Readonly<Record<string, StreamAttribute>> | undefined
        readonly NewImage?: Readonly<Record<string, StreamAttribute>> | undefined
        readonly SequenceNumber?: string | undefined
      }
    | undefined
}

/**
 * An aggregate that has a new event, as a record of the stream tells.
 *
 * @example
 * ```ts
 * import type { DynamoDbChange } from 'cqrs-es/dynamodb'
 *
 * export const nameOf = ({ aggregateType, aggregateId }: DynamoDbChange) => `${aggregateType}/${aggregateId}`
 * ```
 */
export interface DynamoDbChange {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Of the event in the record. */
  readonly sequence: number
}

/**
 * What the records of a Lambda function's DynamoDB event say: for each, in order, which aggregate has a new event, `undefined` for a record that is no
 * new event (an item changed or removed, or an item of another kind). One answer per record, so that a function can report by record which of them failed. Knows
 * the events of this package and those of the Rust crate, in streams of every view type.
 *
 * @example
 * ```ts
 * import { dynamoDbChanges } from 'cqrs-es/dynamodb'
 *
 * const event = {
 *   Records: [
 *     {
 *       eventName: 'INSERT',
 *       dynamodb: { Keys: { AggregateTypeAndId: { S: 'account:acct-1' }, AggregateIdSequence: { N: '3' } } },
 *     },
 *     { eventName: 'REMOVE' },
 *   ],
 * }
 * console.log(dynamoDbChanges(event.Records)) // [ { aggregateType: 'account', aggregateId: 'acct-1', sequence: 3 }, undefined ]
 * ```
 */
export const dynamoDbChanges = (records: readonly DynamoDbStreamRecord[]): (DynamoDbChange | undefined)[] => records.map(toChange)

/** Types of this package hold no colon, so without an image the first one is where the type ends. */
function toChange({ eventName, dynamodb }: DynamoDbStreamRecord): DynamoDbChange | undefined {
  const key = dynamodb?.Keys?.AggregateTypeAndId?.S
  const sequence = Number(dynamodb?.Keys?.AggregateIdSequence?.N ?? Number.NaN)
  if (eventName !== 'INSERT' || key === undefined || !Number.isSafeInteger(sequence)) return undefined
  const colon = key.indexOf(':')
  const aggregateType = dynamodb?.NewImage?.AggregateType?.S ?? (colon < 0 ? undefined : key.slice(0, colon))
  if (aggregateType === undefined) return undefined
  const rest = key.startsWith(`${aggregateType}:`) ? key.slice(aggregateType.length + 1) : undefined
  const aggregateId = dynamodb?.NewImage?.AggregateId?.S ?? rest
  return aggregateId === undefined ? undefined : { aggregateType, aggregateId, sequence }
}
