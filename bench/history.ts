import type { App } from 'cqrs-es'
import { type account, depositDaily, open } from './bank.ts'

const eventsAtOnce = 1_000

/** Creates an account with this number of events, the same in every store. */
export async function makeHistory(app: App<{ account: typeof account }, Record<never, never>>, id: string, events: number) {
  await app.aggregates.account.execute(id, open)
  for (let left = events - 1; left > 0; left -= eventsAtOnce)
    await app.aggregates.account.execute(id, depositDaily(1, Math.min(left, eventsAtOnce)))
}
