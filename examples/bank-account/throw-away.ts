/**
 * Starts a private database server of the tests, which ends with this process. Returns its address.
 */
export async function throwAway(store: 'postgres' | 'mysql' | 'dynamodb'): Promise<string> {
  const server = await start[store]()
  return server.url
}

const start = {
  postgres: async () => (await import('../../test/servers/postgres.ts')).startPostgres(),
  mysql: async () => (await import('../../test/servers/mariadb.ts')).startMariaDb(),
  dynamodb: async () => (await import('../../test/servers/dynamodb.ts')).startDynamoDb(),
} as const
