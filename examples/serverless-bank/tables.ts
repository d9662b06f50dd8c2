import { CfnResource, RemovalPolicy } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Construct } from 'constructs'
import { tableDefinitions } from 'cqrs-es/dynamodb'
import { type TableRole, tableVariables } from './settings.ts'

/** The store's definitions, by the role of each table. CloudFormation names the tables. */
export const definitions = tableDefinitions({
  tables: { events: 'events', snapshots: 'snapshots', views: 'views', meta: 'meta' },
  streams: true,
}).map(({ TableName, ...properties }) => ({ role: TableName as TableRole, properties }))

/**
 * Permissions to execute commands, and to process events, which executes commands as well. None
 * changes or deletes an event, and only index values of views are ever deleted.
 */
const actions: Readonly<Record<TableRole, readonly string[]>> = {
  events: ['GetItem', 'PutItem', 'Query'],
  snapshots: ['GetItem', 'UpdateItem'],
  views: ['BatchGetItem', 'DeleteItem', 'GetItem', 'PutItem', 'Query'],
  meta: ['BatchGetItem', 'ConditionCheckItem', 'GetItem', 'PutItem', 'UpdateItem'],
}

/** Additional permissions of a rebuild, which removes the rows of the previous generation. */
const rebuilding: Partial<typeof actions> = { views: ['BatchWriteItem'] }

/** The four tables. */
export class BankTables extends Construct {
  readonly #tables: ReadonlyMap<TableRole, CfnResource>
  readonly #indexes: readonly string[]

  /**
   * `removable`: the tables are deleted with the stack. Otherwise they outlive it, protected from
   * deletion.
   */
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

  /** ARN of the stream of new events. */
  get streamArn(): string {
    return this.#table('events').getAtt('StreamArn').toString()
  }

  /** Environment variables with the names of the tables. */
  get environment(): Record<string, string> {
    return Object.fromEntries([...this.#tables].map(([role, table]) => [tableVariables[role], table.ref]))
  }

  nameOf(role: TableRole): string {
    return this.#table(role).ref
  }

  /** All permissions of a function: actions by table. */
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
