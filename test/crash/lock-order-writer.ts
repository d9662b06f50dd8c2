/**
 * One of several processes that append random batches to the same few aggregates and views, next to what the Rust crate sends, and print how
 * many commits were stored and how many were conflicts. Arguments as JSON: see `Task`.
 */
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import type { Append, Commit, Store } from 'cqrs-es/store'
import mysql from 'mysql2/promise'
import pg from 'pg'
import { mysqlStatements, postgresStatements } from '../fixtures/rust/statements.ts'
import { append } from '../stores/commits.ts'
import { randomOf } from '../support/random.ts'

export interface Task {
  readonly server: 'postgres' | 'mysql'
  readonly url: string
  readonly rounds: number
  readonly seed: number
}

export interface Counts {
  stored: number
  conflict: number
}

/** Runs statements of the crate in one transaction. */
type Foreign = (
  work: (send: (sql: string, values: readonly (string | number)[]) => Promise<unknown>) => Promise<void>,
) => Promise<void>

interface Opened {
  readonly store: Store
  readonly statements: { readonly insertEvent: string; readonly updateSnapshot: string }
  readonly transaction: Foreign
  readonly close: () => Promise<unknown>
}

/** The tables are those of the crate, with its snapshots. */
const shared = { payloadFormat: 'serde-enum', tables: { snapshots: 'snapshots' } } as const

export function openShared(server: Task['server'], url: string): Opened {
  return server === 'postgres' ? onPostgres(url) : onMysql(url)
}

function onPostgres(url: string): Opened {
  const pool = new pg.Pool({ connectionString: url, max: 5 })
  return {
    store: postgresStore(pool, shared),
    statements: postgresStatements,
    async transaction(work) {
      const client = await pool.connect()
      try {
        await client.query('BEGIN')
        await work((sql, values) => client.query(sql, [...values]))
        await client.query('COMMIT')
      } catch (error) {
        await client.query('ROLLBACK')
        throw error
      } finally {
        client.release()
      }
    },
    close: () => pool.end(),
  }
}

function onMysql(url: string): Opened {
  const pool = mysql.createPool({ uri: url, connectionLimit: 5 })
  return {
    store: mysqlStore(pool, { ...shared, foreignWriters: true }),
    statements: mysqlStatements,
    async transaction(work) {
      const connection = await pool.getConnection()
      try {
        await connection.query('START TRANSACTION')
        await work((sql, values) => connection.execute(sql, values.map(String)))
        await connection.query('COMMIT')
      } catch (error) {
        await connection.query('ROLLBACK')
        throw error
      } finally {
        connection.release()
      }
    },
    close: () => pool.end(),
  }
}

export const aggregateIds = Array.from({ length: 12 }, (_, i) => `${'zyxwvutsrqpo'[i]}-${i}`)

const viewIds = ['delta', 'alpha', 'echo', 'bravo', 'charlie']

async function play({ server, url, rounds, seed }: Task) {
  const { store, statements, transaction, close } = openShared(server, url)
  const random = randomOf(seed)
  const below = (end: number) => Math.floor(random() * end)
  const chance = (share: number) => random() < share
  const pick = <T>(items: readonly T[], count: number): T[] => {
    const left = [...items]
    return Array.from({ length: count }, () => left.splice(below(left.length), 1)).flat()
  }
  const counts: Counts = { stored: 0, conflict: 0 }
  const heads = new Map<string, number>()
  let commits = 0

  /** Learns the last sequences, and versions of view rows, as of now: other processes may be faster. */
  const look = async () => {
    const pages = await Promise.all(
      aggregateIds.map((aggregateId) =>
        store.readAggregate({ aggregateType: 'counter', aggregateId, after: heads.get(aggregateId) ?? 0 }),
      ),
    )
    pages.forEach(({ events }, at) => {
      const last = events.at(-1)
      if (last !== undefined) heads.set(aggregateIds[at] as string, last.sequence)
    })
    const rows = await store.readViews(viewIds.map((id) => ({ name: 'totals', generation: 1, id })))
    return new Map(viewIds.map((id, at) => [id, rows[at]?.version ?? 0]))
  }

  const batch = (versions: Map<string, number>): Commit[] => {
    const expected = new Map(heads)
    return Array.from({ length: 1 + below(5) }, () => {
      const id = `${seed}-${commits++}`
      const appends = pick(aggregateIds, 1 + below(4)).map((aggregateId): Append => {
        const at = expected.get(aggregateId) ?? 0
        const data = Array.from({ length: 1 + below(2) }, (_, n) => ({ n }))
        expected.set(aggregateId, at + data.length)
        const made = append(id, 'counter', aggregateId, at, data)
        return chance(0.3) ? { ...made, snapshot: { stateVersion: '1', state: { at } } } : made
      })
      const views = pick(viewIds, below(4)).map((view) => {
        const expectedVersion = versions.get(view) ?? 0
        versions.set(view, expectedVersion + 1)
        return {
          name: 'totals',
          generation: 1,
          id: view,
          expectedVersion,
          view: { id },
          indexes: [{ index: 'by', value: `4${id}` }],
        }
      })
      return { id, appends, views, ...(chance(0.2) && { key: { idempotencyKey: `key-${below(50)}`, commandHash: id } }) }
    })
  }

  const ours = async () => {
    const sent = batch(await look())
    for (const outcome of await store.append(sent)) {
      if (outcome.kind === 'failed') throw outcome.cause
      if (outcome.kind !== 'repeated') counts[outcome.kind]++
    }
  }

  /** The crate: events of one aggregate and its snapshot. */
  const foreign = async () => {
    await look()
    const [id = ''] = pick(aggregateIds, 1)
    const head = heads.get(id) ?? 0
    try {
      await transaction(async (send) => {
        for (let n = 1; n <= 1 + below(3); n++)
          await send(statements.insertEvent, ['counter', id, head + n, 'Counted', '1.0', '{"Counted":{"n":1}}', '{}'])
        const snapshot = server === 'postgres' ? ['counter', id, head + 1, 2, 1, '{}'] : [head + 1, '{}', 2, 'counter', id, 1]
        await send(statements.updateSnapshot, snapshot)
      })
    } catch (error) {
      if (!/duplicate/i.test((error as Error).message)) throw error
    }
  }

  let left = rounds
  const next = async () => {
    while (left-- > 0) await (chance(0.2) ? foreign() : ours())
  }
  await Promise.all([next(), next(), next()])
  await close()
  console.log(JSON.stringify(counts))
}

if (import.meta.filename === process.argv[1]) await play(JSON.parse(process.argv[2] ?? ''))
