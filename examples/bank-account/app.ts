import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { createApp } from 'cqrs-es'
import { sqliteStore } from 'cqrs-es/sqlite'
import Database from 'libsql'
import { accounts, bankAccount } from './bank-account.ts'
import { cityServices } from './services.ts'

export interface BankOptions {
  /** The SQLite file; made with its folder when it is not there. */
  readonly file: string
  /** How long to wait for another process that writes. Default: the store's own. */
  readonly busyTimeoutMs?: number
}

export type Bank = Awaited<ReturnType<typeof openBank>>

/** Opens the bank on a SQLite file, which it keeps in WAL mode. */
export async function openBank({ file, ...options }: BankOptions) {
  mkdirSync(dirname(resolve(file)), { recursive: true })
  const db = new Database(resolve(file))
  try {
    const store = sqliteStore(db, options)
    await store.createSchema()
    const app = createApp({
      store,
      aggregates: { account: bankAccount },
      views: { accounts },
      services: { account: cityServices() },
    })
    return {
      app,
      async close() {
        await app.close()
        db.close()
      },
    }
  } catch (error) {
    db.close()
    throw error
  }
}
