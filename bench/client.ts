/**
 * Processor time of a warm command in this process alone, by 64 callers: on a store that responds
 * at once, and on `postgresStore` with a client that responds at once. Nothing is stored, so
 * nothing else is measured.
 */
import { createApp, type Position } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { postgresStore } from 'cqrs-es/postgres'
import type { CommitOutcome, Store } from 'cqrs-es/store'
import pg from 'pg'
import { accountWith, deposit, open } from './bank.ts'
import type { EventSize } from './commands/event.ts'
import { benches } from './commands/servers.ts'
import { type Figure, figure, shown, writeResults } from './report.ts'

const rounds = Number(process.env.ROUNDS ?? 7)
const commands = Math.round(Number(process.env.SECONDS ?? 1) * 100_000)
const callers = 64
const accounts = 1_000

interface Way {
  readonly store: Store
  /** From now on, everything that is sent is answered at once. */
  answerAtOnce(): void
  close(): Promise<void>
}

function instantStore(): Way {
  const store = memoryStore()
  let isInstant = false
  let position = 0
  const append: Store['append'] = async (commits) => {
    if (!isInstant) return store.append(commits)
    return commits.map(({ appends }): CommitOutcome => {
      const positions = appends.flatMap(({ events }) => events.map(() => String(++position) as Position))
      return { kind: 'stored', positions }
    })
  }
  const answerAtOnce = () => {
    isInstant = true
    position = 10_000_000
  }
  return { store: withAppend(store, append), answerAtOnce, close: async () => {} }
}

/** A plain object: a `Proxy` would cost time in each call. */
function withAppend(store: Store, append: Store['append']): Store {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(store)) as (keyof Store)[]
  const methods = names.flatMap((name) => {
    const member: unknown = store[name]
    return typeof member === 'function' ? [[name, member.bind(store)]] : []
  })
  return { ...Object.fromEntries(methods), capabilities: store.capabilities, append }
}

async function instantClient(): Promise<Way> {
  const bench = await benches.postgres()
  const pool = new pg.Pool({ connectionString: await bench.fresh() })
  let isInstant = false
  let position = 10_000_000
  const query = (text: string, values: (string | number | null)[] = []) => {
    if (!isInstant) return pool.query(text, values)
    const positions = Array.from({ length: eventsIn(values) }, () => String(++position))
    return Promise.resolve({ rows: [{ answer: JSON.stringify({ positions }) }] })
  }
  const store = postgresStore({ query } as pg.Pool)
  await store.createSchema()
  const answerAtOnce = () => {
    isInstant = true
  }
  const close = () => pool.end().then(() => bench.stop())
  return { store, answerAtOnce, close }
}

/** An append says how many events it has, as a number or as `{1,2,3}`. */
function eventsIn(values: readonly unknown[]): number {
  for (const value of values) {
    if (typeof value === 'number') return value
    if (typeof value !== 'string' || !value.startsWith('{1')) continue
    const last = Number(value.slice(value.lastIndexOf(',') + 1, -1).replace('{', ''))
    if (value.length === lengthUpTo(last)) return last
  }
  throw new Error('This is not how an append looks any more: see eventsIn in bench/client.ts.')
}

/** Characters of `{1,2,3}`, up to 999. */
const lengthUpTo = (last: number) => 1 + 2 * last + Math.max(0, last - 9) + Math.max(0, last - 99)

async function measure({ store, answerAtOnce, close }: Way, size: EventSize): Promise<Figure> {
  const app = createApp({ store, aggregates: { account: accountWith('never', size) } })
  const bank = app.aggregates.account
  const ids = Array.from({ length: accounts }, (_, i) => `account-${i}`)
  await Promise.all(ids.map((id) => bank.execute(id, open)))
  // No account is at sequence 1 any more: see `eventsIn`.
  for (let i = 0; i < 2; i++) await Promise.all(ids.map((id) => bank.execute(id, deposit(1))))
  answerAtOnce()
  const taken: number[] = []
  for (let round = -2; round < rounds; round++) {
    let next = 0
    const caller = async () => {
      while (next < commands) await bank.execute(ids[next++ % accounts] as string, deposit(1))
    }
    const before = process.cpuUsage()
    await Promise.all(Array.from({ length: callers }, caller))
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) taken.push((user + system) / commands)
  }
  await close()
  return figure(taken)
}

const results = []
for (const event of ['small', 'large'] as const)
  for (const [way, start] of Object.entries({ 'instant store': instantStore, 'Postgres store, instant client': instantClient }))
    results.push({ way, event, cpuMicroseconds: await measure(await start(), event) })
console.table(results.map(({ cpuMicroseconds, ...rest }) => ({ ...rest, 'CPU µs of a command': shown(cpuMicroseconds) })))
await writeResults('client', { rounds, commands, callers, accounts }, results)
process.exit()
