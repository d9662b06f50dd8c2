import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'

/** Makes the schema of a store as soon as it is told to, and says that it has. */
const [, , connectionString, schema] = process.argv
const pool = new pg.Pool({ connectionString, max: 1 })
const store = postgresStore(pool, { schema: schema as string })
await pool.query('SELECT 1')
process.stdin.once('data', async () => {
  await store.createSchema()
  process.stdout.write('done\n')
  await pool.end()
  process.exit(0)
})
process.stdout.write('ready\n')
