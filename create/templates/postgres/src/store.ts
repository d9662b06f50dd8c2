import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'

/** Connects to the database that DATABASE_URL names. */
export function openStore() {
  const connectionString = process.env.DATABASE_URL
  if (!connectionString) throw new Error('DATABASE_URL is not set. Set it as .env.example shows.')
  const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 5_000, keepAlive: true })
  // Without a listener, a connection that breaks while idle ends the process.
  pool.on('error', (error) => console.error('A connection to Postgres broke:', error.message))
  return { store: postgresStore(pool), close: () => pool.end() }
}
