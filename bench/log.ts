import { defineAggregate, defineView, typed } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import pg from 'pg'

/** The account without commands and schemas, to read a log that SQL has filled. */
export const account = defineAggregate({
  type: 'account',
  events: { AccountOpened: typed<{ owner: string }>(), MoneyDeposited: typed<{ amount: number; balance: number }>() },
  commands: {},
  initialState: () => ({}),
}).implement({ handle: {}, apply: { AccountOpened: (state) => state, MoneyDeposited: (state) => state } })

export const balances = defineView({
  name: 'balances',
  aggregates: [account],
  initialView: () => ({ owner: '', balance: 0 }),
  update: {
    AccountOpened: (view, event) => ({ ...view, owner: event.data.owner }),
    MoneyDeposited: (view, event) => ({ ...view, balance: event.data.balance }),
  },
  consistency: 'async',
})

/** A pool for a database that is dropped while the server still closes old connections. */
export function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url })
  pool.on('error', () => {})
  return pool
}

export interface Filling {
  readonly accounts: number
  /** Sequences to store of each account, from 1: first and last. */
  readonly from: number
  readonly to: number
  /** As the crate stores them. Default: as this package does. */
  readonly payloadFormat?: 'serde-enum'
}

/** Creates the schema, and stores the events of all accounts in turn. */
export async function fillLog(pool: pg.Pool, { accounts, from, to, payloadFormat }: Filling): Promise<void> {
  await postgresStore(pool, payloadFormat === undefined ? {} : { payloadFormat }).createSchema()
  const [opened, deposited] =
    payloadFormat === 'serde-enum'
      ? [`'{"AccountOpened":{"owner":"ann"}}'`, `'{"MoneyDeposited":{"amount":1.0,"balance":' || (s - 1) || '.0}}'`]
      : [`'{"owner":"ann"}'`, `'{"amount":1,"balance":' || (s - 1) || '}'`]
  await pool.query(
    `INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, commit_id)
     SELECT 'account', 'account-' || a, s, CASE WHEN s = 1 THEN 'AccountOpened' ELSE 'MoneyDeposited' END, '1.0',
       (CASE WHEN s = 1 THEN ${opened} ELSE ${deposited} END)::json, '{}', gen_random_uuid()::text
     FROM generate_series($1::int, $2::int) AS s, generate_series(1, $3::int) AS a ORDER BY s, a`,
    [from, to, accounts],
  )
  await pool.query('VACUUM ANALYZE events')
}
