/**
 * Processor time of the server for one event, when 256 commits are stored in one append, and the
 * bytes that Postgres writes to its log for it. The commits go straight to the store.
 */
import { randomUUID } from 'node:crypto'
import { mysqlStore } from 'cqrs-es/mysql'
import { postgresStore } from 'cqrs-es/postgres'
import type { Commit, Store } from 'cqrs-es/store'
import { createPool } from 'mysql2/promise'
import { selected } from '../test/servers/stores.ts'
import { cpuOf } from './commands/cpu.ts'
import { detailsOf, type EventSize } from './commands/event.ts'
import { benches } from './commands/servers.ts'
import { openPool } from './log.ts'
import { type Figure, figure, shown, writeResults } from './report.ts'

const rounds = Number(process.env.ROUNDS ?? 5)
const seconds = Number(process.env.SECONDS ?? 2)
const commits = 256

interface Target {
  readonly store: Store
  /** Bytes in the server's log so far. */
  logged?(): Promise<number>
  close(): Promise<void>
}

const targets = { postgres: onPostgres, mysql: onMysql } as const

async function onPostgres(url: string): Promise<Target> {
  const pool = openPool(url)
  const logged = async () => Number((await pool.query("SELECT pg_current_wal_insert_lsn() - '0/0' AS bytes")).rows[0].bytes)
  return { store: postgresStore(pool), logged, close: () => pool.end() }
}

async function onMysql(url: string): Promise<Target> {
  const pool = createPool(url)
  return { store: mysqlStore(pool), close: () => pool.end() }
}

interface Sample {
  readonly microseconds: number
  readonly bytes: number | undefined
}

async function measure(url: string, start: (url: string) => Promise<Target>, size: EventSize): Promise<Sample> {
  const { store, logged, close } = await start(url)
  await store.createSchema()
  const ids = Array.from({ length: commits }, (_, i) => ({ id: `account-${i}`, commitId: '' }))
  let sequence = 0
  const append = async () => {
    const now = new Date().toISOString()
    const outcomes = await store.append(ids.map((one) => commitOf(one, sequence, now, size)))
    if (outcomes.some(({ kind }) => kind !== 'stored')) throw new Error(`Not stored: ${JSON.stringify(outcomes[0])}`)
    sequence++
  }
  for (const end = performance.now() + seconds * 500; performance.now() < end; ) await append()
  const [before, bytes, first] = [cpuOf(process.pid), await logged?.(), sequence]
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) await append()
  const [after, bytesAfter] = [cpuOf(process.pid), await logged?.()]
  const events = (sequence - first) * commits
  await close()
  return {
    microseconds: before && after ? ((after.server - before.server) / events) * 1e6 : Number.NaN,
    bytes: bytes === undefined || bytesAfter === undefined ? undefined : (bytesAfter - bytes) / events,
  }
}

function commitOf(account: { id: string; commitId: string }, sequence: number, recordedAt: string, size: EventSize): Commit {
  const expected = sequence === 0 ? {} : { expectedCommitId: account.commitId }
  account.commitId = randomUUID()
  const event = {
    id: `account/${account.id}/${sequence + 1}`,
    type: 'MoneyDeposited',
    version: '1.0',
    data: { amount: 1, balance: sequence + 1, ...detailsOf(size) },
    metadata: {},
    aggregateType: 'account',
    aggregateId: account.id,
    sequence: sequence + 1,
    commitId: account.commitId,
    recordedAt,
  }
  const append = { aggregateType: 'account', aggregateId: account.id, expectedSequence: sequence, ...expected, events: [event] }
  return { id: account.commitId, appends: [append] }
}

const results: { store: string; event: EventSize; serverMicroseconds: Figure; logBytes?: Figure }[] = []
for (const store of ['postgres', 'mysql'] as const) {
  if (!selected.includes(store)) continue
  const bench = await benches[store]()
  const samples = { small: [] as Sample[], large: [] as Sample[] }
  for (let round = 0; round < rounds; round++)
    for (const size of ['small', 'large'] as const) samples[size].push(await measure(await bench.fresh(), targets[store], size))
  await bench.stop()
  for (const event of ['small', 'large'] as const) {
    const bytes = samples[event].flatMap((one) => one.bytes ?? [])
    results.push({
      store,
      event,
      serverMicroseconds: figure(samples[event].map((one) => one.microseconds)),
      ...(bytes.length === 0 ? {} : { logBytes: figure(bytes) }),
    })
  }
}
console.table(
  results.map(({ serverMicroseconds, logBytes, ...rest }) => ({
    ...rest,
    'CPU µs of the server, one event': shown(serverMicroseconds),
    'bytes of WAL, one event': logBytes === undefined ? '' : shown(logBytes),
  })),
)
await writeResults('append', { rounds, seconds, commits }, results)
process.exit()
