/**
 * Cost of the same work without a framework, through the same drivers; `drive.ts` has the command
 * line. The state of the account is a variable of the caller.
 *
 * - `postgres,single`: the statement of this package's append (`append-call.ts`), one per command.
 * - `postgres,gathered`: the same statement with all waiting deposits: a group commit by hand.
 * - `mysql,transaction`: the usual code: BEGIN, SELECT of the rows of the aggregate, INSERT,
 *   COMMIT.
 */
import { createApp } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import pg from 'pg'
import { accountWith, open } from '../bank.ts'
import { type Deposit, type Head, recordAppend } from './append-call.ts'
import { type Bank, drive, options } from './drive.ts'
import { detailsOf } from './event.ts'

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

interface Waiting extends Deposit {
  readonly done: (next: Head) => void
  readonly fail: (error: unknown) => void
}

async function onPostgres(gathers: boolean): Promise<Bank> {
  const pool = new pg.Pool({ connectionString: asked.url })
  const store = postgresStore(pool)
  await store.createSchema()
  const bank = createApp({ store, aggregates: { account: accountWith('never', asked.event) } }).aggregates.account
  const append = await recordAppend(pool, bank)

  let calls = 0
  const heads = new Map<string, Head>()
  const send = (batch: readonly Deposit[]) => {
    calls++
    return append(batch)
  }

  let waiting: Waiting[] = []
  let flying = 0
  const flush = () => {
    while (flying < lanes && waiting.length > 0) {
      const batch = waiting.slice(0, mostInBatch)
      waiting = waiting.slice(mostInBatch)
      flying++
      void send(batch)
        .then(
          (next) => batch.forEach(({ done }, i) => void done(next[i] as Head)),
          (error) => batch.forEach(({ fail }) => void fail(error)),
        )
        .then(() => {
          flying--
          setImmediate(flush)
        })
    }
  }
  const gather = (deposit: Deposit) =>
    new Promise<Head>((done, fail) => {
      waiting.push({ ...deposit, done, fail })
      if (waiting.length === 1) setImmediate(flush)
    })

  return {
    async open(id) {
      const opened = await bank.execute(id, open)
      if (!opened.ok) throw new Error(opened.reason)
      heads.set(id, { sequence: 1, balance: 0, commitId: opened.events[0]?.commitId ?? '' })
    },
    async deposit(id) {
      const deposit = { id, head: heads.get(id) as Head }
      const [next = await gather(deposit)] = gathers ? [] : await send([deposit])
      heads.set(id, next)
    },
    async history(id) {
      const events = []
      for await (const { type, data, sequence } of bank.events(id))
        events.push({ sequence, balance: type === 'MoneyDeposited' ? data.balance : 0 })
      return events
    },
    calls: () => calls,
    close: () => pool.end(),
  }
}

async function onMysql(): Promise<Bank> {
  const pool = createPool(asked.url)
  await pool.query(
    `CREATE TABLE events (aggregate_type varchar(255) NOT NULL, aggregate_id varchar(255) NOT NULL, sequence bigint NOT NULL,
      event_type varchar(255) NOT NULL, event_version varchar(255) NOT NULL, payload json NOT NULL, metadata json NOT NULL,
      PRIMARY KEY (aggregate_type, aggregate_id, sequence))`,
  )
  const details = detailsOf(asked.event)
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
      const data = JSON.stringify({ amount: 1, balance: balance + 1, ...details })
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
