import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'

/** Opens the file that DATABASE_FILE names. */
export function openStore() {
  const file = process.env.DATABASE_FILE
  if (!file) throw new Error('DATABASE_FILE is not set. Set it as .env.example shows.')
  const db = new Database(file)
  return { store: sqliteStore(db), close: async () => void db.close() }
}
