import type { Store } from 'cqrs-es'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import { sqliteStore } from 'cqrs-es/sqlite'

export interface Opened {
  readonly store: Store
  close(): Promise<unknown>
}

/** The store at an address; loads the one driver that it needs, so that processes start fast. */
export async function connect(url: string): Promise<Opened> {
  if (url.startsWith('postgres:')) {
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ connectionString: url, max: 8 })
    // An idle connection that ends is told here; without a listener it would end the program.
    pool.on('error', () => {})
    return { store: postgresStore(pool), close: () => pool.end() }
  }
  if (url.startsWith('mysql:')) {
    const { default: mysql } = await import('mysql2/promise')
    const pool = mysql.createPool({ uri: url, connectionLimit: 8 })
    return { store: mysqlStore(pool), close: () => pool.end() }
  }
  const { default: Database } = await import('libsql')
  const database = new Database(url)
  return { store: sqliteStore(database, { durability: 'normal', busyTimeoutMs: 60_000 }), close: async () => database.close() }
}
