import { createApp } from 'cqrs-es'
import { bankAccount } from '../../bank-account/bank-account.ts'
import { cityServices } from '../../bank-account/services.ts'
import { transfer } from '../../bank-account/transfer.ts'
import { accounts, days } from '../../bank-account/views.ts'
import { store } from './store.ts'

/** What every function has that executes commands: with them it writes the view `accounts`. */
export const bank = {
  store,
  aggregates: { account: bankAccount, transfer },
  views: { accounts, days },
  services: { account: cityServices() },
} as const

/** Executes commands and reads views. What follows the events, and is more to load, is in `following.ts`. */
export const app = createApp(bank)
