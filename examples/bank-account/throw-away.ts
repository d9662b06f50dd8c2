/** Starts a private database server that is gone with this process, and gives its address; it is the one that the tests use. */
export async function throwAway(store: 'postgres' | 'mysql' | 'dynamodb'): Promise<string> {
  const server = await start[store]()
  return server.url
}

const start = {
  postgres: async () => (await import('../../test/servers/postgres.ts')).startPostgres(),
  mysql: async () => (await import('../../test/servers/mariadb.ts')).startMariaDb(),
  dynamodb: async () => (await import('../../test/servers/dynamodb.ts')).startDynamoDb(),
} as const
