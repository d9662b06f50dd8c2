import { DefinitionError } from '../errors.ts'

/** The kinds of attribute that the store writes. */
export type AttributeValue =
  | { readonly S: string }
  | { readonly N: string }
  | { readonly B: Uint8Array<ArrayBuffer> }
  | { readonly NS: string[] }

/** An attribute as the client returns it; any of the kinds may be set. */
export interface ReadAttribute {
  readonly S?: string | undefined
  readonly N?: string | undefined
  readonly B?: Uint8Array | undefined
}

/** An item to write, or its key. */
export type Item = Record<string, AttributeValue>

/** An item as the client returns it. */
export type ReadItem = Readonly<Record<string, ReadAttribute>>

/** A condition or an update, with its names and values. */
export interface Expressions {
  ConditionExpression?: string
  ExpressionAttributeNames?: Record<string, string>
  ExpressionAttributeValues?: Record<string, AttributeValue>
  ReturnValuesOnConditionCheckFailure?: 'ALL_OLD'
}

/** Input of a put, alone or in a transaction. */
export interface Put extends Expressions {
  TableName: string
  Item: Item
}

/** Input of an update, alone or in a transaction. */
export interface Update extends Expressions {
  TableName: string
  Key: Item
  UpdateExpression: string
  ReturnValues?: 'ALL_NEW'
}

/** One action of a transaction. */
export interface TransactionAction {
  Put?: Put
  Update?: Omit<Update, 'ReturnValues'>
  Delete?: { TableName: string; Key: Item }
  ConditionCheck?: Expressions & { TableName: string; Key: Item; ConditionExpression: string }
}

/** Input of a query. */
export interface Query {
  TableName: string
  IndexName?: string
  KeyConditionExpression: string
  ExpressionAttributeNames?: Record<string, string>
  ExpressionAttributeValues: Record<string, AttributeValue>
  ProjectionExpression?: string
  ConsistentRead?: boolean
  ScanIndexForward?: boolean
  Limit?: number
  ExclusiveStartKey?: Item
}

/** Input of a scan. */
export interface Scan {
  TableName: string
  ConsistentRead: boolean
  FilterExpression: string
  ExpressionAttributeNames: Record<string, string>
  ExpressionAttributeValues: Record<string, AttributeValue>
  ExclusiveStartKey?: Item
}

/** An attribute of a key, as in the SDK. */
export interface KeySchemaElement {
  AttributeName: string
  KeyType: 'HASH' | 'RANGE'
}

/** The type of a key attribute, as in the SDK. */
export interface AttributeDefinition {
  AttributeName: string
  AttributeType: 'S' | 'N' | 'B'
}

/** An index of a table, as in the SDK. */
export interface GlobalSecondaryIndex {
  IndexName: string
  KeySchema: KeySchemaElement[]
  Projection: { ProjectionType: 'KEYS_ONLY' }
}

/** A table without its settings for streams and expiry. */
export interface TableShape {
  TableName: string
  BillingMode: 'PAY_PER_REQUEST'
  AttributeDefinitions: AttributeDefinition[]
  KeySchema: KeySchemaElement[]
  GlobalSecondaryIndexes?: GlobalSecondaryIndex[]
}

/** The parts of a table's description that the store reads. */
export interface TableDescription {
  readonly TableStatus?: string | undefined
  readonly KeySchema?:
    | readonly { readonly AttributeName?: string | undefined; readonly KeyType?: string | undefined }[]
    | undefined
  readonly GlobalSecondaryIndexes?:
    | readonly { readonly IndexName?: string | undefined; readonly IndexStatus?: string | undefined }[]
    | undefined
  readonly StreamSpecification?: { readonly StreamEnabled?: boolean | undefined } | undefined
  readonly LatestStreamArn?: string | undefined
}

/**
 * The methods of the `DynamoDB` class of `@aws-sdk/client-dynamodb` (version 3) that the store
 * calls.
 *
 * Only `createSchema()` needs the last five. A store that follows its stream also calls
 * `describeTable`, and one with `foreignWriters` also calls `scan`.
 * @example
 * ```ts
 * import { DynamoDB } from '@aws-sdk/client-dynamodb'
 * import type { DynamoDbClient } from 'cqrs-es/dynamodb'
 *
 * const client: DynamoDbClient = new DynamoDB({ region: 'eu-central-1' })
 * ```
 */
export interface DynamoDbClient {
  getItem(input: {
    TableName: string
    Key: Item
    ConsistentRead?: boolean
    ProjectionExpression?: string
    ExpressionAttributeNames?: Record<string, string>
  }): Promise<{ readonly Item?: ReadItem | undefined }>
  putItem(input: Put): Promise<unknown>
  updateItem(input: Update): Promise<{ readonly Attributes?: ReadItem | undefined }>
  query(input: Query): Promise<{
    readonly Items?: readonly ReadItem[] | undefined
    readonly LastEvaluatedKey?: ReadItem | undefined
  }>
  scan(input: Scan): Promise<{
    readonly Items?: readonly ReadItem[] | undefined
    readonly LastEvaluatedKey?: ReadItem | undefined
  }>
  batchGetItem(input: { RequestItems: Record<string, { Keys: Item[]; ConsistentRead?: boolean }> }): Promise<{
    readonly Responses?: Readonly<Record<string, readonly ReadItem[]>> | undefined
    readonly UnprocessedKeys?: Readonly<Record<string, { readonly Keys?: readonly ReadItem[] | undefined }>> | undefined
  }>
  batchWriteItem(input: { RequestItems: Record<string, { DeleteRequest: { Key: Item } }[]> }): Promise<{
    readonly UnprocessedItems?:
      | Readonly<Record<string, readonly { readonly DeleteRequest?: { readonly Key?: ReadItem | undefined } | undefined }[]>>
      | undefined
  }>
  transactWriteItems(input: { TransactItems: TransactionAction[] }): Promise<unknown>
  createTable(
    input: TableShape & { StreamSpecification?: { StreamEnabled: boolean; StreamViewType: 'NEW_IMAGE' } },
  ): Promise<unknown>
  describeTable(input: { TableName: string }): Promise<{ readonly Table?: TableDescription | undefined }>
  updateTable(input: {
    TableName: string
    AttributeDefinitions?: AttributeDefinition[]
    GlobalSecondaryIndexUpdates?: { Create: GlobalSecondaryIndex }[]
    StreamSpecification?: { StreamEnabled: boolean; StreamViewType: 'NEW_IMAGE' }
  }): Promise<unknown>
  describeTimeToLive(input: { TableName: string }): Promise<{
    readonly TimeToLiveDescription?: { readonly TimeToLiveStatus?: string | undefined } | undefined
  }>
  updateTimeToLive(input: {
    TableName: string
    TimeToLiveSpecification: { Enabled: boolean; AttributeName: string }
  }): Promise<unknown>
}

const needed = [
  'getItem',
  'putItem',
  'updateItem',
  'query',
  'batchGetItem',
  'batchWriteItem',
  'transactWriteItems',
] as const satisfies readonly (keyof DynamoDbClient)[]

/** @throws DefinitionError unless the client has all methods */
export function checkClient(client: DynamoDbClient): void {
  const given: Partial<DynamoDbClient> & { readonly send?: unknown } = typeof client === 'object' && client !== null ? client : {}
  const missing = needed.find((method) => typeof given[method] !== 'function')
  if (missing === undefined) return
  throw new DefinitionError(
    typeof given.send === 'function'
      ? `dynamoDbStore expects new DynamoDB({ … }) from @aws-sdk/client-dynamodb, not a DynamoDBClient or DynamoDBDocument, which has no method "${missing}". Create it with the same settings.`
      : `dynamoDbStore expects new DynamoDB({ … }) from @aws-sdk/client-dynamodb; this value has no method "${missing}".`,
  )
}
