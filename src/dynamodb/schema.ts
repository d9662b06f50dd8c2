import { DefinitionError } from '../errors.ts'
import { checkOptions } from '../util/options.ts'
import type { TableShape } from './client.ts'

/** Names of the four tables. */
export interface DynamoDbTables {
  /** Events. Default `'Events'`. */
  readonly events?: string
  /** Snapshots. Default `'StateSnapshots'`; the Rust crate has its own in `Snapshots`. */
  readonly snapshots?: string
  /** Rows of views and the entries of their indexes. Default `'Views'`. */
  readonly views?: string
  /** Idempotency keys, generations of views, leases and checkpoints. Default `'Meta'`. */
  readonly meta?: string
}

/** Options that determine the tables. */
export interface TableOptions {
  /** Names of the tables that differ from the defaults. */
  readonly tables?: DynamoDbTables
  /** Whether the table of events has a stream of new images. Default `false`. */
  readonly streams?: boolean
}

/** A table in the form of the `Properties` of CloudFormation's `AWS::DynamoDB::Table`. */
export interface TableDefinition extends TableShape {
  StreamSpecification?: { StreamViewType: 'NEW_IMAGE' }
  TimeToLiveSpecification?: { AttributeName: string; Enabled: boolean }
}

/** The names of all four tables. */
export type TableNames = Required<DynamoDbTables>

/** Version of the schema that `createSchema` writes to the table `Meta`. */
export const schemaVersion = 1

/** The index of the first events, by type and id. */
export const firstEventsIndex = 'FirstEvents'

/**
 * Returns the tables of the store, as data for CloudFormation, CDK, Terraform or your own scripts.
 *
 * These are the tables that `createSchema()` creates.
 *
 * @throws DefinitionError when DynamoDB does not allow a table name
 * @example
 * ```ts
 * import { tableDefinitions } from 'cqrs-es/dynamodb'
 *
 * const resources = Object.fromEntries(
 *   tableDefinitions({ tables: { events: 'shop-events' } }).map((table) => [
 *     table.TableName.replace(/\W/g, ''),
 *     { Type: 'AWS::DynamoDB::Table', DeletionPolicy: 'Retain', Properties: table },
 *   ]),
 * )
 * console.log(Object.keys(resources)) // [ 'shopevents', 'StateSnapshots', 'Views', 'Meta' ]
 * ```
 */
export function tableDefinitions(options: TableOptions = {}): TableDefinition[] {
  checkOptions('tableDefinitions', options, ['tables', 'streams'])
  return definitions(tableNames(options.tables), options.streams ?? false)
}

/** Adds the default names. @throws DefinitionError for an invalid or repeated name */
export function tableNames(tables: DynamoDbTables = {}): TableNames {
  checkOptions('dynamoDbStore: "tables"', tables, ['events', 'snapshots', 'views', 'meta'])
  const names = {
    events: tables.events ?? 'Events',
    snapshots: tables.snapshots ?? 'StateSnapshots',
    views: tables.views ?? 'Views',
    meta: tables.meta ?? 'Meta',
  }
  const all = Object.entries(names)
  for (const [which, name] of all) {
    if (typeof name === 'string' && /^[a-zA-Z0-9_.-]{3,255}$/.test(name)) continue
    throw new DefinitionError(
      `dynamoDbStore: "tables.${which}" must be 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.', not ${JSON.stringify(name)}.`,
    )
  }
  if (new Set(Object.values(names)).size < all.length) {
    throw new DefinitionError(
      `dynamoDbStore: two tables have the same name: ${Object.values(names).join(', ')}. Give each table its own name.`,
    )
  }
  return names
}

export function definitions(names: TableNames, streams: boolean): TableDefinition[] {
  return [
    {
      TableName: names.events,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'AggregateTypeAndId', AttributeType: 'S' },
        { AttributeName: 'AggregateIdSequence', AttributeType: 'N' },
        { AttributeName: 'FirstOfType', AttributeType: 'S' },
        { AttributeName: 'AggregateId', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'AggregateTypeAndId', KeyType: 'HASH' },
        { AttributeName: 'AggregateIdSequence', KeyType: 'RANGE' },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: firstEventsIndex,
          KeySchema: [
            { AttributeName: 'FirstOfType', KeyType: 'HASH' },
            { AttributeName: 'AggregateId', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
      ...(streams && { StreamSpecification: { StreamViewType: 'NEW_IMAGE' } }),
    },
    {
      TableName: names.snapshots,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'AggregateTypeAndId', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'AggregateTypeAndId', KeyType: 'HASH' }],
    },
    {
      TableName: names.views,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'Pk', AttributeType: 'S' },
        { AttributeName: 'Sk', AttributeType: 'B' },
      ],
      KeySchema: [
        { AttributeName: 'Pk', KeyType: 'HASH' },
        { AttributeName: 'Sk', KeyType: 'RANGE' },
      ],
    },
    {
      TableName: names.meta,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'Pk', AttributeType: 'S' },
        { AttributeName: 'Sk', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'Pk', KeyType: 'HASH' },
        { AttributeName: 'Sk', KeyType: 'RANGE' },
      ],
      TimeToLiveSpecification: { AttributeName: 'ExpiresAt', Enabled: true },
    },
  ]
}

export const printSchema = (names: TableNames, streams: boolean): string =>
  `${JSON.stringify(definitions(names, streams), null, 2)}\n`
