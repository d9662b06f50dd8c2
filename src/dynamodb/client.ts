import { DefinitionError } from '../errors.ts'

/** The kinds of attribute that the store writes. */
export type AttributeValue =
  | { readonly S: string }
  | { readonly N: string }
  | { readonly B: Uint8Array<ArrayBuffer> }
  | { readonly NS: string[] }

/** An attribute as the client hands it out; which kind it is nobody knows before looking. */
export interface ReadAttribute {
  readonly S?: string | undefined
  readonly N?: string | undefined
  readonly B?: Uint8Array | undefined
}

/** An item, or its key, as the store writes it. */
export type Item = Record<string, AttributeValue>

/** An item as the client hands it out. */
export type ReadItem = Readonly<Record<string, ReadAttribute>>

/** A condition or an update, with the names and values in it. */
export interface Expressions {
  ConditionExpression?: string
  ExpressionAttributeNames?: Record<string, string>
  ExpressionAttributeValues?: Record<string, AttributeValue>
  ReturnValuesOnConditionCheckFailure?: 'ALL_OLD'
}

/** What is put by itself or in a transaction. */
export interface Put extends Expressions {
  TableName: string
  Item: Item
}

/** What is updated by itself or in a transaction. */
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

/** A query as the store makes it. */
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

/** A scan, as the SDK has it. */
export interface Scan {
  TableName: string
  ConsistentRead: boolean
  FilterExpression: string
  ExpressionAttributeNames: Record<string, string>
  ExpressionAttributeValues: Record<string, AttributeValue>
  ExclusiveStartKey?: Item
}

/** An attribute of a key, as the SDK has it. */
export interface KeySchemaElement {
  AttributeName: string
  KeyType: 'HASH' | 'RANGE'
}

/** The type of an attribute in a key, as the SDK has it. */
export interface AttributeDefinition {
  AttributeName: string
  AttributeType: 'S' | 'N' | 'B'
}

/** An index of a table, as the SDK has it. */
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

/** What is asked about a table. */
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
 * What the store asks of the AWS SDK: the methods of the `DynamoDB` class of `@aws-sdk/client-dynamodb` (version 3) that it calls. The last
 * five only `createSchema()` needs, `describeTable` also a store that follows its stream, and `scan` a store with `foreignWriters`.
 *
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

/** @throws DefinitionError that says what to pass instead */
export function checkClient(client: DynamoDbClient): void {
  const given: Partial<DynamoDbClient> & { readonly send?: unknown } = typeof client === 'object' && client !== null ? client : {}
  const missing = needed.find((method) => typeof given[method] !== 'function')
  if (missing === undefined) return
  throw new DefinitionError(
    typeof given.send === 'function'
      ? `dynamoDbStore needs the client with a method per operation: pass "new DynamoDB({ ... })" of @aws-sdk/client-dynamodb with the same settings, not a DynamoDBClient or a DynamoDBDocument (it has no method "${missing}").`
      : `dynamoDbStore needs the client of the AWS SDK, "new DynamoDB({ ... })" of @aws-sdk/client-dynamodb; what it got has no method "${missing}".`,
  )
}
