import { createApp } from 'cqrs-es'
import { bankAccount } from '../../bank-account/bank-account.ts'
import { cityServices } from '../../bank-account/services.ts'
import { transfer } from '../../bank-account/transfer.ts'
import { accounts, days } from '../../bank-account/views.ts'
import { store } from './store.ts'

/** Parts of each function that executes commands. The commands write the view `accounts`. */
export const bank = {
  store,
  aggregates: { account: bankAccount, transfer },
  views: { accounts, days },
  services: { account: cityServices() },
} as const

/**
 * Executes commands and reads views. Consumers, which take longer to load, are in `following.ts`.
 */
export const app = createApp(bank)
