/** An attribute in a stream record. The SDK has bytes in `B`, a Lambda event text. */
export interface StreamAttribute {
  readonly S?: string | undefined
  readonly N?: string | undefined
  readonly B?: unknown
}

/**
 * A record of a DynamoDB stream, from the AWS SDK or a Lambda event.
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
 * A new event of an aggregate, according to a stream record.
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
  /** Sequence of the event in the record. */
  readonly sequence: number
}

/**
 * Finds the aggregates with new events in the records of a Lambda function's DynamoDB event.
 *
 * Returns one entry per record, in order, so that a function can report failed records one by one.
 * It is `undefined` for a record that is not a new event: an item was changed or removed, or is of
 * another kind. Understands the events of this package and of the Rust crate, in streams of any
 * view type.
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

/** Types of this package contain no colon, so without an image the type ends at the first one. */
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
