import type { ConformanceHost } from 'cqrs-es/conformance'
import { mysqlStore } from 'cqrs-es/mysql'
import { type MysqlServerName, newDatabase } from '../stores/mysql-database.ts'

/** A new database for each case. */
export const mysqlHost = (server: MysqlServerName, driver: 'mysql2' | 'mariadb'): ConformanceHost => ({
  schema: 'required',
  async open({ schema }) {
    const database = await newDatabase(server)
    const connect = async () => mysqlStore(driver === 'mysql2' ? database.pool() : database.mariadbPool())
    const store = await connect()
    if (schema) await store.createSchema()
    const corrupt = async (sql: string, ...values: readonly unknown[]) => {
      const { affectedRows } = (await database.sql(sql, ...values)) as unknown as { readonly affectedRows: number }
      if (affectedRows !== 1) throw new Error(`${affectedRows} rows were corrupted`)
    }
    return {
      store,
      connect,
      close: () => database.close(),
      corruptEvent: (type, id, sequence) =>
        corrupt(
          'UPDATE events SET payload = ? WHERE aggregate_type = ? AND aggregate_id = ? AND sequence = ?',
          '{"a',
          type,
          id,
          sequence,
        ),
      corruptSnapshot: (type, id) =>
        corrupt('UPDATE state_snapshots SET payload = ? WHERE aggregate_type = ? AND aggregate_id = ?', '{"a', type, id),
      loseEvents: async (...place) => {
        await database.sql('DELETE FROM events WHERE aggregate_type = ? AND aggregate_id = ? AND sequence > ?', ...place)
      },
    }
  },
})
