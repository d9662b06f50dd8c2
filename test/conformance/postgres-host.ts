import type { ConformanceHost } from 'cqrs-es/conformance'
import { type PostgresClient, type PostgresStoreOptions, postgresStore } from 'cqrs-es/postgres'
import { type Reusable, Reused, tables } from './reused.ts'

let schemas = 0

interface Schema extends Reusable {
  readonly name: string
}

function newSchema(client: PostgresClient): Schema {
  const name = `conformance_${process.pid}_${++schemas}`
  const qualified = tables.map((table) => `${name}.${table}`)
  return {
    name,
    fill: () => postgresStore(client, { schema: name }).createSchema(),
    async empty() {
      const body = [
        `LOCK TABLE ${qualified.join(', ')};`,
        ...qualified.map((table) => `DELETE FROM ${table};`),
        `ALTER SEQUENCE ${name}.events_position_seq RESTART;`,
      ]
      await client.query(`DO $$ BEGIN ${body.join(' ')} END $$`)
    },
    async remove() {
      await client.query(`DROP SCHEMA IF EXISTS ${name} CASCADE`)
    },
  }
}

/**
 * Hosts the suite on a database. `second` is the client of another process; with a listener, that of the first alone listens. Each case has a
 * schema of its own, or by `reused` an emptied one.
 */
export const postgresHost = (
  client: PostgresClient,
  second: PostgresClient,
  { listener, ...options }: Omit<PostgresStoreOptions, 'schema'> = {},
  reused?: Reused<Schema>,
): ConformanceHost => ({
  schema: 'required',
  async open({ schema: wanted }) {
    let reusable = wanted ? reused : undefined
    const place = reusable ? await reusable.take() : newSchema(client)
    if (wanted && !reused) await place.fill()
    const schema = place.name
    // The type of the column keeps out what is no JSON.
    const corrupt = async (table: string, where: string, ...values: (string | number)[]) => {
      reusable = undefined
      await client.query(`ALTER TABLE ${schema}.${table} ALTER COLUMN payload TYPE text`)
      const update = `UPDATE ${schema}.${table} SET payload = '{"a' WHERE ${where} RETURNING payload`
      const { rows } = await client.query(update, values)
      if (rows.length !== 1) throw new Error(`${rows.length} rows were corrupted`)
    }
    return {
      store: postgresStore(client, { ...options, ...(listener && { listener }), schema }),
      connect: async () => postgresStore(second, { ...options, notify: listener !== undefined, schema }),
      corruptEvent: (type, id, sequence) =>
        corrupt('events', 'aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3', type, id, sequence),
      corruptSnapshot: (type, id) => corrupt('state_snapshots', 'aggregate_type = $1 AND aggregate_id = $2', type, id),
      loseEvents: async (...place) => {
        const lost = `DELETE FROM ${schema}.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3`
        await client.query(lost, place)
      },
      close: () => (reusable ? reusable.giveBack(place) : place.remove()),
    }
  },
})

/** The same with emptied schemas, which leave when the tests of the file have ended. */
export const postgresHostThatReuses = (
  client: PostgresClient,
  second: PostgresClient,
  options?: Omit<PostgresStoreOptions, 'schema'>,
) => postgresHost(client, second, options, new Reused(async () => newSchema(client)))
