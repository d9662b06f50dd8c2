import type { DynamoDbTables } from 'cqrs-es/dynamodb'
import { type FunctionName, type TableRole, tableVariables } from '../settings.ts'

/** Client options for an emulator, which accepts any credentials. */
export const emulatorAt = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
})

/** Names of the tables. */
export const tablesOf = (prefix: string): Required<DynamoDbTables> => ({
  events: `${prefix}-events`,
  snapshots: `${prefix}-snapshots`,
  views: `${prefix}-views`,
  meta: `${prefix}-meta`,
})

/**
 * Environment of a function. Its access key is its name, which identifies it in requests to the
 * emulator.
 */
export function environmentOf(name: FunctionName, endpoint: string, prefix: string): Record<string, string> {
  const tables = tablesOf(prefix)
  const names = Object.entries(tableVariables).map(([role, variable]) => [variable, tables[role as TableRole]])
  return {
    ...Object.fromEntries(names),
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_REGION: emulatorAt(endpoint).region,
    AWS_ACCESS_KEY_ID: name,
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: endpoint,
    // The AWS SDK warns about older versions of Node.
    NODE_NO_WARNINGS: '1',
  }
}
