/**
 * Cost of the same work without a framework, through the same drivers; `drive.ts` has the command
 * line. The state of the account is a variable of the caller.
 *
 * - `postgres,single`: the statement of this package's append, one per command.
 * - `postgres,gathered`: the same statement with all waiting deposits: a group commit by hand.
 * - `mysql,transaction`: the usual code: BEGIN, SELECT of the rows of the aggregate, INSERT,
 *   COMMIT.
 */
import { randomUUID } from 'node:crypto'
import { createApp } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import pg from 'pg'
import { account, deposit, open } from '../bank.ts'
import { type Bank, drive, options } from './drive.ts'

/** Limits of the framework on Postgres: batches in flight, and commits in a batch. */
const lanes = 2
const mostInBatch = 256

const asked = options()
const banks: Readonly<Record<string, () => Promise<Bank>>> = {
  'postgres,single': () => onPostgres(false),
  'postgres,gathered': () => onPostgres(true),
  'mysql,transaction': onMysql,
}
await drive(await (banks[asked.system] as () => Promise<Bank>)(), asked)

interface Deposit {
  readonly id: string
  readonly sequence: number
  readonly balance: number
  readonly done: () => void
  readonly fail: (error: unknown) => void
}

async function onPostgres(gathers: boolean): Promise<Bank> {
  const pool = new pg.Pool({ connectionString: asked.url })
  const store = postgresStore(pool)
  await store.createSchema()
  const app = createApp({ store, aggregates: { account } })
  const { text, values } = await appendCall(pool, async () => {
    await app.aggregates.account.execute('sample', open)
    return () => app.aggregates.account.execute('sample', deposit(1))
  })
  const rootsAt = values.findIndex((value) => rowOf(value) !== undefined && !Object.hasOwn(rowOf(value) ?? {}, 'd'))
  const eventsAt = values.findIndex((value) => Object.hasOwn(rowOf(value) ?? {}, 'd'))
  const [root, sample] = [rowOf(values[rootsAt]), rowOf(values[eventsAt])]
  if (root === undefined || sample === undefined) throw new Error(`This is not how an append looks any more: ${values}`)

  let calls = 0
  const states = new Map<string, { sequence: number; balance: number }>()
  const send = async (batch: readonly Deposit[]) => {
    const now = new Date().toISOString()
    const parameters = [...values]
    parameters[rootsAt] = JSON.stringify(batch.map(({ id, sequence }) => ({ ...root, i: id, s: sequence })))
    parameters[eventsAt] = JSON.stringify(
      batch.map(({ id, sequence, balance }) => ({
        ...sample,
        i: id,
        s: sequence + 1,
        d: { amount: 1, balance: balance + 1 },
        r: now,
        c: randomUUID(),
      })),
    )
    parameters[eventsAt + 1] = batch.length
    calls++
    const { rows } = await pool.query(text, parameters)
    const { positions } = JSON.parse(rows[0].answer)
    if (positions?.length !== batch.length) throw new Error(`Not stored: ${rows[0].answer}`)
  }

  let waiting: Deposit[] = []
  let flying = 0
  const flush = () => {
    while (flying < lanes && waiting.length > 0) {
      const batch = waiting.slice(0, mostInBatch)
      waiting = waiting.slice(mostInBatch)
      flying++
      void send(batch)
        .then(
          () => batch.forEach(({ done }) => void done()),
          (error) => batch.forEach(({ fail }) => void fail(error)),
        )
        .then(() => {
          flying--
          setImmediate(flush)
        })
    }
  }
  const gather = (id: string, state: { sequence: number; balance: number }) =>
    new Promise<void>((done, fail) => {
      waiting.push({ id, ...state, done, fail })
      if (waiting.length === 1) setImmediate(flush)
    })

  return {
    async open(id) {
      await app.aggregates.account.execute(id, open)
      states.set(id, { sequence: 1, balance: 0 })
    },
    async deposit(id) {
      const state = states.get(id) as { sequence: number; balance: number }
      const next = { sequence: state.sequence + 1, balance: state.balance + 1 }
      if (gathers) await gather(id, state)
      else await send([{ id, ...state, done() {}, fail() {} }])
      states.set(id, next)
    },
    async history(id) {
      const events = []
      for await (const { type, data, sequence } of app.aggregates.account.events(id))
        events.push({ sequence, balance: type === 'MoneyDeposited' ? data.balance : 0 })
      return events
    },
    calls: () => calls,
    close: () => pool.end(),
  }
}

/** The statement that the store sends to append a deposit. */
async function appendCall(
  pool: pg.Pool,
  prepare: () => Promise<() => Promise<unknown>>,
): Promise<{ text: string; values: readonly unknown[] }> {
  const execute = await prepare()
  const query = pool.query
  let seen: { text: string; values: readonly unknown[] } | undefined
  Object.defineProperty(pool, 'query', {
    configurable: true,
    value: (text: string, values: readonly unknown[]) => {
      seen = { text, values }
      return (query as (text: string, values: readonly unknown[]) => unknown).call(pool, text, values)
    },
  })
  await execute()
  Reflect.deleteProperty(pool, 'query')
  if (seen === undefined) throw new Error('The store has sent nothing.')
  return seen
}

/** The only row of a JSON list. */
function rowOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'string') return undefined
  const [row] = JSON.parse(value) as Readonly<Record<string, unknown>>[]
  return row
}

async function onMysql(): Promise<Bank> {
  const pool = createPool(asked.url)
  await pool.query(
    `CREATE TABLE events (aggregate_type varchar(255) NOT NULL, aggregate_id varchar(255) NOT NULL, sequence bigint NOT NULL,
      event_type varchar(255) NOT NULL, event_version varchar(255) NOT NULL, payload json NOT NULL, metadata json NOT NULL,
      PRIMARY KEY (aggregate_type, aggregate_id, sequence))`,
  )
  let conflicts = 0
  const insert = 'INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)'
  const select =
    'SELECT sequence, event_type, payload FROM events WHERE aggregate_type = ? AND aggregate_id = ? ORDER BY sequence'
  const read = (rows: RowDataPacket[]) =>
    rows.map(({ sequence, event_type, payload }) => {
      const data = typeof payload === 'string' ? JSON.parse(payload) : payload
      return { sequence: Number(sequence), balance: event_type === 'MoneyDeposited' ? (data.balance as number) : 0 }
    })
  const attempt = async (id: string): Promise<boolean> => {
    const connection = await pool.getConnection()
    try {
      await connection.query('BEGIN')
      const [rows] = await connection.execute<RowDataPacket[]>(select, ['account', id])
      const { sequence, balance } = read(rows).at(-1) ?? { sequence: 0, balance: 0 }
      const data = JSON.stringify({ amount: 1, balance: balance + 1 })
      await connection.execute(insert, ['account', id, sequence + 1, 'MoneyDeposited', '1', data, '{}'])
      await connection.query('COMMIT')
      return true
    } catch (error) {
      await connection.query('ROLLBACK')
      if ((error as { errno?: number }).errno === 1062) return false
      throw error
    } finally {
      connection.release()
    }
  }
  return {
    open: (id) => pool.execute(insert, ['account', id, 1, 'AccountOpened', '1', '{"owner":"ann"}', '{}']),
    async deposit(id) {
      while (!(await attempt(id))) conflicts++
    },
    async history(id) {
      const [rows] = await pool.execute<RowDataPacket[]>(select, ['account', id])
      return read(rows)
    },
    conflicts: () => conflicts,
    close: () => pool.end(),
  }
}
