import type { ConformanceHost } from 'cqrs-es/conformance'
import { type PostgresClient, type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'

let schemas = 0

/** Hosts the suite on a database: a new schema for each case. `second` is the client of another process. With a listener, that of the first alone listens. */
export const postgresHost = (
  client: PostgresClient,
  second: PostgresClient,
  { listener, ...options }: Omit<PostgresStoreOptions, 'schema'> = {},
): ConformanceHost => ({
  schema: 'required',
  async open({ schema: wanted }) {
    const schema = `conformance_${process.pid}_${++schemas}`
    const store = postgresStore(client, { ...options, ...(listener && { listener }), schema })
    if (wanted) await store.createSchema()
    // The type of the column keeps out what is no JSON.
    const corrupt = async (table: string, where: string, ...values: (string | number)[]) => {
      await client.query(`ALTER TABLE ${schema}.${table} ALTER COLUMN payload TYPE text`)
      const update = `UPDATE ${schema}.${table} SET payload = '{"a' WHERE ${where} RETURNING payload`
      const { rows } = await client.query(update, values)
      if (rows.length !== 1) throw new Error(`${rows.length} rows were corrupted`)
    }
    return {
      store,
      connect: async () => postgresStore(second, { ...options, notify: listener !== undefined, schema }),
      corruptEvent: (type, id, sequence) =>
        corrupt('events', 'aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3', type, id, sequence),
      corruptSnapshot: (type, id) => corrupt('state_snapshots', 'aggregate_type = $1 AND aggregate_id = $2', type, id),
      loseEvents: async (...place) => {
        const lost = `DELETE FROM ${schema}.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3`
        await client.query(lost, place)
      },
      close: async () => {
        await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
      },
    }
  },
})
