import { CfnResource, RemovalPolicy } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import { tableDefinitions } from 'cqrs-es/dynamodb'
import { type TableRole, tableVariables } from './settings.ts'

/** The store's own definitions, by what each table is for. CloudFormation gives the tables their names. */
export const definitions = tableDefinitions({
  tables: { events: 'events', snapshots: 'snapshots', views: 'views', meta: 'meta' },
  streams: true,
}).map(({ TableName, ...properties }) => ({ role: TableName as TableRole, properties }))

/**
 * What executing commands takes, and following their events, which executes commands as well. Nobody may change or delete an event, and only index values of
 * views are ever deleted.
 */
const actions: Readonly<Record<TableRole, readonly string[]>> = {
  events: ['GetItem', 'PutItem', 'Query'],
  snapshots: ['GetItem', 'UpdateItem'],
  views: ['BatchGetItem', 'DeleteItem', 'GetItem', 'PutItem', 'Query'],
  meta: ['BatchGetItem', 'ConditionCheckItem', 'GetItem', 'PutItem', 'UpdateItem'],
}

/** On top of that: rebuilding a view removes the rows of the generation before. */
const rebuilding: Partial<typeof actions> = { views: ['BatchWriteItem'] }

/** The four tables. */
export class BankTables extends Construct {
  readonly #tables: ReadonlyMap<TableRole, CfnResource>
  readonly #indexes: readonly string[]

  /** `removable`: they go with the stack. Otherwise they outlive it, and nobody deletes them by mistake. */
  constructor(scope: Construct, id: string, { removable }: { readonly removable: boolean }) {
    super(scope, id)
    this.#tables = new Map(
      definitions.map(({ role, properties }) => {
        const table = new CfnResource(this, role, {
          type: 'AWS::DynamoDB::Table',
          properties: {
            ...properties,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
            DeletionProtectionEnabled: !removable,
          },
        })
        table.applyRemovalPolicy(removable ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN)
        return [role, table]
      }),
    )
    const events = definitions.find(({ role }) => role === 'events')
    this.#indexes = (events?.properties.GlobalSecondaryIndexes ?? []).map(({ IndexName }) => IndexName)
  }

  /** Of the stream of new events. */
  get streamArn(): string {
    return this.#table('events').getAtt('StreamArn').toString()
  }

  /** How a function finds them. */
  get environment(): Record<string, string> {
    return Object.fromEntries([...this.#tables].map(([role, table]) => [tableVariables[role], table.ref]))
  }

  nameOf(role: TableRole): string {
    return this.#table(role).ref
  }

  /** What a function may do, and nothing else: which actions on which table. */
  statements({ rebuilds = false }: { readonly rebuilds?: boolean } = {}): PolicyStatement[] {
    const onTables = [...this.#tables].map(
      ([role, table]) =>
        new PolicyStatement({
          actions: [...actions[role], ...((rebuilds && rebuilding[role]) || [])].map((action) => `dynamodb:${action}`),
          resources: [table.getAtt('Arn').toString()],
        }),
    )
    const onIndexes = this.#indexes.map(
      (index) =>
        new PolicyStatement({
          actions: ['dynamodb:Query'],
          resources: [`${this.#table('events').getAtt('Arn').toString()}/index/${index}`],
        }),
    )
    return [...onTables, ...onIndexes]
  }

  #table(role: TableRole): CfnResource {
    return this.#tables.get(role) as CfnResource
  }
}
