import { fileURLToPath } from 'node:url'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { ddl } from '../fixtures/rust/rows.ts'
import { bundledProgram } from '../program.ts'
import { run } from '../run.ts'
import { startMariaDb } from '../servers/mariadb.ts'
import { startMySql } from '../servers/mysql.ts'
import { startPostgres } from '../servers/postgres.ts'
import { unselected } from '../servers/stores.ts'
import { atStrength } from '../strength.ts'
import { aggregateIds, type Counts, openShared, type Task } from './lock-order-writer.ts'

const program = fileURLToPath(new URL('lock-order-writer.ts', import.meta.url))
const rounds = atStrength({ moderate: 160, full: 10_000 })
const writers = [1, 2, 3, 4]

const servers = [
  { store: 'postgres', start: startPostgres },
  { store: 'mariadb', start: startMariaDb },
  { store: 'mysql', start: startMySql },
] as const

describe.each(servers)('appends of several aggregates on $store', ({ store, start }) => {
  // Postgres and MySQL end a deadlock, and the store repeats its append: it only shows in a counter of the server.
  test.skipIf(unselected(store))('random batches of four processes never deadlock', async () => {
    const server = await start()
    const kind = store === 'postgres' ? 'postgres' : 'mysql'
    const { url, deadlocks, end } = await (kind === 'postgres' ? onPostgres(server.url) : onMysql(server.url))
    const { store: ours, close } = openShared(kind, url)
    try {
      await ours.createSchema()
      const counts = await Promise.all(
        writers.map((seed) => write({ server: kind, url, rounds: rounds / writers.length, seed: seed * 97 })),
      )
      expect(await deadlocks()).toBe(0)
      for (const { stored, conflict } of counts) {
        expect(stored).toBeGreaterThan(0)
        expect(conflict).toBeGreaterThan(0)
      }
      for (const aggregateId of aggregateIds) {
        let last = 0
        for (let more = true; more; ) {
          const page = await ours.readAggregate({ aggregateType: 'counter', aggregateId, after: last })
          expect(page.events.map(({ sequence }) => sequence)).toEqual(page.events.map((_, at) => last + at + 1))
          last += page.events.length
          more = page.more
        }
      }
    } finally {
      await close()
      await end()
      await server.stop()
    }
  })
})

async function write(task: Task): Promise<Counts> {
  const { code, output } = await run(process.execPath, [await bundledProgram(program), JSON.stringify(task)], {
    env: { NODE_NO_WARNINGS: '1' },
  })
  if (code !== 0) throw new Error(output)
  return JSON.parse(output)
}

async function onPostgres(url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(ddl('postgres'))
  return {
    url,
    async deadlocks() {
      const { rows } = await client.query('SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()')
      return rows[0].deadlocks as number
    },
    end: () => client.end(),
  }
}

async function onMysql(of: string) {
  const owner = await mysql.createConnection({ uri: of, multipleStatements: true })
  await owner.query(`CREATE DATABASE bank; USE bank; ${ddl('mysql')}`)
  await owner.query("SET GLOBAL innodb_monitor_enable = 'lock_deadlocks'")
  return {
    url: Object.assign(new URL(of), { pathname: '/bank' }).toString(),
    async deadlocks() {
      const [rows] = await owner.query("SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")
      return Number((rows as { count: unknown }[])[0]?.count)
    },
    end: () => owner.end(),
  }
}
