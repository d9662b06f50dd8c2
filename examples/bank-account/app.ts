import { setTimeout } from 'node:timers/promises'
import { createApp, type Store } from 'cqrs-es'
import { bankAccount } from './bank-account.ts'
import { cityServices } from './services.ts'
import type { OpenStore } from './stores.ts'
import { transfer } from './transfer.ts'
import { transfers } from './transfers.ts'
import { accounts, days } from './views.ts'

export type BankApp = ReturnType<typeof bankApp>

export const bankApp = (store: Store) =>
  createApp({
    store,
    aggregates: { account: bankAccount, transfer },
    views: { accounts, days },
    processes: { transfers },
    services: { account: cityServices() },
    following: { pollMs: 200 },
  })

/** Opens the bank on a store. Nothing runs by itself before `start()`. */
export async function openBank(openStore: OpenStore) {
  const { store, close } = await openStore()
  const app = bankApp(store)
  const closing = new AbortController()
  let sweeping: Promise<void> | undefined
  return {
    app,
    /** Keeps transfers moving and the days up to date. */
    async start() {
      if (store.capabilities.globalOrder) await app.start()
      else sweeping = sweep(app, closing.signal)
    },
    async close() {
      closing.abort()
      await sweeping
      await app.close()
      await close()
    },
  }
}

const sweepMs = 1_000

/** Follows the events on a store without a global order: scans every account, again and again. */
async function sweep(app: BankApp, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await app.drain({ signal }).catch((error: unknown) => signal.aborted || console.error(error))
    await setTimeout(sweepMs, undefined, { signal }).catch(() => {})
  }
}
