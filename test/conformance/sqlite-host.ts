import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConformanceHost } from 'cqrs-es/conformance'
import { sqliteStore } from 'cqrs-es/sqlite'
import type { Connection, Driver } from '../stores/sqlite-drivers.ts'

/** A new file for each case. */
export const sqliteHost = (driver: Driver): ConformanceHost => ({
  schema: 'required',
  async open({ schema }) {
    const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
    const file = join(folder, 'store.db')
    const databases: Connection[] = []
    const connect = async () => {
      const database = driver.open(file)
      databases.push(database)
      return sqliteStore(database, { durability: 'normal' })
    }
    const store = await connect()
    if (schema) await store.createSchema()
    const close = async () => {
      for (const database of databases) database.close()
      await rm(folder, { recursive: true })
    }
    const corrupt = async (sql: string, ...values: readonly (string | number)[]) => {
      const { changes } = databases[0]?.prepare(sql).run(...values) ?? { changes: 0 }
      if (changes !== 1) throw new Error(`${changes} rows were corrupted`)
    }
    return {
      store,
      connect,
      close,
      corruptEvent: (type, id, sequence) =>
        corrupt(
          'UPDATE events SET payload = ? WHERE aggregate_type = ? AND aggregate_id = ? AND sequence = ?',
          '{"a',
          type,
          id,
          sequence,
        ),
      corruptSnapshot: (type, id) =>
        corrupt('UPDATE snapshots SET payload = ? WHERE aggregate_type = ? AND aggregate_id = ?', '{"a', type, id),
      loseEvents: async (...place) => {
        databases[0]?.prepare('DELETE FROM events WHERE aggregate_type = ? AND aggregate_id = ? AND sequence > ?').run(...place)
      },
    }
  },
})
