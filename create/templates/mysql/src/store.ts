import { mysqlStore } from 'cqrs-es/mysql'
import { createPool } from 'mysql2/promise'

/** Connects to the database that DATABASE_URL names, of MySQL or MariaDB. */
export function openStore() {
  const uri = process.env.DATABASE_URL
  if (!uri) throw new Error('DATABASE_URL is not set. Set it as .env.example shows.')
  const pool = createPool({ uri })
  return { store: mysqlStore(pool), close: () => pool.end() }
}
