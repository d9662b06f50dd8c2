/**
 * The statement that `postgresStore` sends for a deposit, recorded from a real one, to send it by
 * hand with other deposits. This file knows no column of it: it replaces the recorded values, in
 * lists that are JSON (`[…]`) or arrays of Postgres (`{…}`), one item per event.
 */
import { randomUUID } from 'node:crypto'
import type { App } from 'cqrs-es'
import type pg from 'pg'
import { type Account, deposit, depositDaily, open } from '../bank.ts'

/** What the next deposit on an account builds on. */
export interface Head {
  readonly sequence: number
  readonly balance: number
  readonly commitId: string
}

export interface Deposit {
  readonly id: string
  readonly head: Head
}

/** Numbers that occur nowhere else in the recorded statement. */
const recorded = { id: 'recorded-account', events: 775, balance: 7_750_000 }

/** Returns a function that stores deposits of 1 in one statement, and returns the new heads. */
export async function recordAppend(
  pool: pg.Pool,
  bank: App<{ account: Account }, Record<never, never>>['aggregates']['account'],
): Promise<(deposits: readonly Deposit[]) => Promise<readonly Head[]>> {
  await bank.execute(recorded.id, open)
  const aged = await bank.execute(recorded.id, depositDaily(recorded.balance / recorded.events, recorded.events))
  const call = await callOf(pool, () => bank.execute(recorded.id, deposit(1)))
  const [before, after] = [aged, call.result].map((result) => result.ok && result.events.at(-1))
  if (!before || !after) throw new Error('The deposits to record were refused.')
  const itemOf = templateOf([
    [recorded.id, ({ id }) => id],
    [before.commitId, ({ head }) => head.commitId],
    [after.commitId, (_, next) => next.commitId],
    [after.recordedAt, () => new Date().toISOString()],
    [String(before.sequence), ({ head }) => head.sequence],
    [String(after.sequence), (_, next) => next.sequence],
    [String(recorded.balance + 1), (_, next) => next.balance],
  ])

  return async (deposits) => {
    const heads = deposits.map(({ head: { sequence, balance } }) => ({
      sequence: sequence + 1,
      balance: balance + 1,
      commitId: randomUUID(),
    }))
    const values = call.values.map((value) => {
      if (value === 1) return deposits.length
      const [, opening, item = '', closing] = /^([[{])(.+)([\]}])$/s.exec(String(value)) ?? []
      if (typeof value !== 'string' || opening === undefined) return value
      const items = deposits.map((one, i) => (item === '1' ? i + 1 : itemOf(item, one, heads[i] as Head)))
      return `${opening}${items.join()}${closing}`
    })
    const { rows } = await pool.query(call.text, values)
    const answer = String(Object.values(rows[0] ?? {})[0])
    if (JSON.parse(answer).positions?.length !== deposits.length) throw new Error(`Not stored: ${answer}`)
    return heads
  }
}

type Replace = readonly [text: string, by: (deposit: Deposit, next: Head) => string | number]

/** Replaces the texts where they stand as whole words. */
function templateOf(replaces: readonly Replace[]) {
  const by = new Map(replaces)
  const pattern = new RegExp(`(?<![\\w.-])(${replaces.map(([text]) => text.replaceAll('.', '\\.')).join('|')})(?![\\w.-])`)
  const templates = new Map<string, readonly string[]>()
  return (item: string, deposit: Deposit, next: Head): string => {
    // Texts between the parts, and each part at an odd index.
    const parts = templates.get(item) ?? item.split(pattern)
    templates.set(item, parts)
    return parts.map((part, i) => (i % 2 === 0 ? part : by.get(part)?.(deposit, next))).join('')
  }
}

/** The only query that `execute` sends. */
async function callOf<T>(pool: pg.Pool, execute: () => Promise<T>) {
  const query = pool.query.bind(pool) as (text: string, values: readonly unknown[]) => unknown
  const seen: { readonly text: string; readonly values: readonly unknown[] }[] = []
  Object.defineProperty(pool, 'query', {
    configurable: true,
    value: (text: string, values: readonly unknown[]) => {
      seen.push({ text, values })
      return query(text, values)
    },
  })
  const result = await execute()
  Reflect.deleteProperty(pool, 'query')
  const [only] = seen
  if (only === undefined || seen.length > 1) throw new Error(`The store has sent ${seen.length} statements for one deposit.`)
  return { ...only, result }
}
