import { createApp } from 'cqrs-es'
import { accounts, bankAccount } from './bank-account.ts'
import { cityServices } from './services.ts'
import type { OpenStore } from './stores.ts'

export type Bank = Awaited<ReturnType<typeof openBank>>

/** Opens the bank on a store. */
export async function openBank(openStore: OpenStore) {
  const { store, close } = await openStore()
  const app = createApp({
    store,
    aggregates: { account: bankAccount },
    views: { accounts },
    services: { account: cityServices() },
  })
  return {
    app,
    async close() {
      await app.close()
      await close()
    },
  }
}
