import type { ConformanceHost } from 'cqrs-es/conformance'
import { mysqlStore } from 'cqrs-es/mysql'
import { type MysqlServerName, newDatabase, type TestMysql } from '../stores/mysql-database.ts'
import { type Reusable, Reused, tables } from './reused.ts'

interface Database extends Reusable {
  readonly database: TestMysql
}

async function newPlace(server: MysqlServerName): Promise<Database> {
  const database = await newDatabase(server)
  return {
    database,
    fill: () => mysqlStore(database.pool()).createSchema(),
    async empty() {
      await database.closePools()
      // The pools may end before the server has ended what they sent last.
      const locked = ['cqrs_es_sequencer', ...tables].map((table) => `${table} WRITE`)
      const empty = ['UPDATE cqrs_es_sequencer SET position = 0', ...tables.map((table) => `DELETE FROM ${table}`)]
      await database.sql([`LOCK TABLES ${locked.join(', ')}`, ...empty, 'UNLOCK TABLES'].join(';'))
    },
    remove: () => database.close(),
  }
}

/** A new database for each case, or by `reused` an emptied one. */
export const mysqlHost = (server: MysqlServerName, driver: 'mysql2' | 'mariadb', reused?: Reused<Database>): ConformanceHost => ({
  schema: 'required',
  async open({ schema: wanted }) {
    const reusable = wanted ? reused : undefined
    const place = reusable ? await reusable.take() : await newPlace(server)
    if (wanted && !reused) await place.fill()
    const { database } = place
    const connect = async () => mysqlStore(driver === 'mysql2' ? database.pool() : database.mariadbPool())
    const store = await connect()
    const corrupt = async (sql: string, ...values: readonly unknown[]) => {
      const { affectedRows } = (await database.sql(sql, ...values)) as unknown as { readonly affectedRows: number }
      if (affectedRows !== 1) throw new Error(`${affectedRows} rows were corrupted`)
    }
    return {
      store,
      connect,
      close: () => (reusable ? reusable.giveBack(place) : place.remove()),
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

/** The same with emptied databases, which leave when the tests of the file have ended. */
export const mysqlHostThatReuses = (server: MysqlServerName, driver: 'mysql2' | 'mariadb') =>
  mysqlHost(server, driver, new Reused(() => newPlace(server)))
