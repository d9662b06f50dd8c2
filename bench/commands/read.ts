/**
 * Reads a log on Postgres: `--url … --events 100000`. Prints one JSON line with events per second
 * of a subscription that processes a tenth of them, of pages of the log, and of a rebuild.
 * `regression` also runs this file on older commits.
 */
import { parseArgs } from 'node:util'
import { createApp, defineSubscription } from 'cqrs-es'
import { postgresStore } from 'cqrs-es/postgres'
import { account, balances, fillLog, openPool } from '../log.ts'

export interface ReadLine {
  readonly subscription: number
  readonly pages: number
  readonly rebuild: number
  readonly peakHeapMb: number
}

const text = { type: 'string', default: '' } as const
const { values } = parseArgs({ options: { url: text, events: text } })
const events = Number(values.events)
const accounts = Math.min(1_000, events / 100)
const each = events / accounts

const pool = openPool(values.url)
const store = postgresStore(pool)
let handled = 0
const log = defineSubscription({ name: 'log', aggregates: [account], handle: () => void handled++ })

await fillLog(pool, { accounts, from: 1, to: each / 10 })
const follower = createApp({ store, aggregates: { account }, subscriptions: { log } })
const subscription = await eventsPerSecond(events / 10, () => follower.drain())
await follower.close()
check('The subscription', handled, events / 10)

await fillLog(pool, { accounts, from: each / 10 + 1, to: each })
let read = 0
const pages = await eventsPerSecond(events, async () => {
  for (let page = await store.readFeed({ limit: 1_000 }); ; ) {
    read += page.events.length
    if (!page.more || page.position === undefined) break
    page = await store.readFeed({ limit: 1_000, after: page.position })
  }
})
check('The pages', read, events)

const app = createApp({ store, aggregates: { account }, views: { balances } })
globalThis.gc?.()
let peak = 0
const watch = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage().heapUsed)
}, 20)
const rebuild = await eventsPerSecond(events, () => app.views.balances.rebuild())
clearInterval(watch)
let total = 0
for (let after: string | undefined; ; ) {
  const page = await app.views.balances.find({}, { limit: 1_000, ...(after && { after }) })
  for (const { view } of page.items) total += view.balance
  after = page.next
  if (after === undefined) break
}
check('The view', total, events - accounts)
await app.close()
await pool.end()
console.log(JSON.stringify({ subscription, pages, rebuild, peakHeapMb: peak / 1e6 } satisfies ReadLine))

async function eventsPerSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return count / ((performance.now() - began) / 1_000)
}

function check(what: string, counted: number, expected: number): void {
  if (counted !== expected) throw new Error(`${what} counted ${counted} instead of ${expected}.`)
}
