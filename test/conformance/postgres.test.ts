import type { ConformanceHost } from 'cqrs-es/conformance'
import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'
import { afterAll, describe } from 'vitest'
import { serverUrl } from '../servers/ask.ts'
import { unselected } from '../servers/stores.ts'
import { hostConformance } from './host.ts'

describe.skipIf(unselected('postgres'))('Postgres', async () => {
  if (unselected('postgres')) return
  const connectionString = await serverUrl('postgres')
  const admin = new pg.Pool({ connectionString, max: 4 })
  const second = new pg.Pool({ connectionString, max: 4 })
  afterAll(async () => {
    await admin.end()
    await second.end()
  })
  let schemas = 0

  const host: ConformanceHost = {
    schema: 'required',
    async open({ schema: wanted }) {
      const schema = `conformance_${process.pid}_${++schemas}`
      const store = postgresStore(admin, { schema })
      if (wanted) await store.createSchema()
      const corrupt = async (table: string, where: string, ...values: readonly unknown[]) => {
        await admin.query(`ALTER TABLE "${schema}".${table} ALTER COLUMN payload TYPE text`)
        const { rowCount } = await admin.query(`UPDATE "${schema}".${table} SET payload = '{"a' WHERE ${where}`, [...values])
        if (rowCount !== 1) throw new Error(`${rowCount} rows were corrupted`)
      }
      return {
        store,
        connect: async () => postgresStore(second, { schema }),
        corruptEvent: (type, id, sequence) =>
          corrupt('events', 'aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3', type, id, sequence),
        corruptSnapshot: (type, id) => corrupt('snapshots', 'aggregate_type = $1 AND aggregate_id = $2', type, id),
        close: async () => {
          await admin.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`)
        },
      }
    },
  }

  await hostConformance(host)
})
