import type { ConformanceHost } from 'cqrs-es/conformance'
import { mysqlStore } from 'cqrs-es/mysql'
import { describe } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { newDatabase } from '../stores/mysql-database.ts'
import { hostConformance } from './host.ts'

const host: ConformanceHost = {
  schema: 'required',
  async open({ schema }) {
    const database = await newDatabase(await serverUrl('mysql'))
    const connect = async () => mysqlStore(database.pool())
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
        corrupt('UPDATE snapshots SET payload = ? WHERE aggregate_type = ? AND aggregate_id = ?', '{"a', type, id),
    }
  },
}

describe.skipIf(unselected('mysql'))('the store contract on MySQL', async () => {
  if (!unselected('mysql')) await hostConformance(host)
})
