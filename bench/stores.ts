import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryStore } from 'cqrs-es/memory'
import { type SqliteDatabase, sqliteStore } from 'cqrs-es/sqlite'
import type { Store } from 'cqrs-es/store'
import { root } from '../test/run.ts'

export type Durability = 'full' | 'normal'
export type SqliteDriver = 'libsql' | 'node:sqlite' | 'bun:sqlite'
export type StoreName = 'memory' | SqliteDriver

export interface OpenStore {
  readonly store: Store
  close(): Promise<void>
}

/**
 * A new, empty store. The file of SQLite is in the repository's folder, because temporary folders
 * are often in memory.
 */
export async function openStore(name: StoreName, durability: Durability = 'full'): Promise<OpenStore> {
  if (name === 'memory') return { store: memoryStore(), close: async () => {} }
  const folder = await makeFolder()
  const db = await openDatabase(name, join(folder, 'bench.db'))
  const store = sqliteStore(db, { durability })
  await store.createSchema()
  const close = async () => {
    db.close()
    await rm(folder, { recursive: true, force: true })
  }
  return { store, close }
}

export async function makeFolder(): Promise<string> {
  await mkdir(`${root}data`, { recursive: true })
  return mkdtemp(`${root}data/bench-`)
}

type Database = SqliteDatabase & { close(): unknown }

/** The last two come with Node 22.5 or newer, and with Bun. */
const databaseClass: Readonly<Record<SqliteDriver, string>> = {
  libsql: 'default',
  'node:sqlite': 'DatabaseSync',
  'bun:sqlite': 'Database',
}

export async function openDatabase(driver: SqliteDriver, file: string): Promise<Database> {
  const module = (await import(driver)) as Readonly<Record<string, new (file: string) => Database>>
  const Database = module[databaseClass[driver]]
  if (Database === undefined) throw new Error(`${driver} does not export ${databaseClass[driver]}.`)
  return new Database(file)
}
