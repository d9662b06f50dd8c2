import type { SqliteDatabase } from 'cqrs-es/sqlite'
import Libsql from 'libsql'

/** A connection as a user would open it. */
export type Connection = SqliteDatabase & { close(): unknown }

export interface Driver {
  readonly name: string
  open(file: string, options?: { readonly?: boolean; busyTimeoutMs?: number; safeIntegers?: boolean }): Connection
}

const libsql: Driver = {
  name: 'libsql',
  open(file, options = {}) {
    const db = new Libsql(file, { timeout: options.busyTimeoutMs ?? 0 })
    if (options.readonly) db.exec('PRAGMA query_only = 1')
    if (options.safeIntegers) db.defaultSafeIntegers(true)
    return db
  },
}

/** Part of Node since 22.5; its types are not, in the oldest version that we support. */
interface NodeSqlite {
  DatabaseSync: new (file: string, options: { readOnly: boolean; timeout: number; readBigInts: boolean }) => Connection
}

async function nodeSqlite(): Promise<Driver[]> {
  const { DatabaseSync } = ((await import('node:sqlite' as string).catch(() => ({}))) as Partial<NodeSqlite>) ?? {}
  if (DatabaseSync === undefined) return []
  const open: Driver['open'] = (file, { readonly = false, busyTimeoutMs = 0, safeIntegers = false } = {}) =>
    new DatabaseSync(file, { readOnly: readonly, timeout: busyTimeoutMs, readBigInts: safeIntegers })
  return [{ name: 'node:sqlite', open }]
}

/** Those of this runtime: `libsql` everywhere, `node:sqlite` where Node has it. */
export const drivers: readonly Driver[] = [libsql, ...(await nodeSqlite())]
