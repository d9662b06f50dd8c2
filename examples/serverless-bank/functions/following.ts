import { createApp } from 'cqrs-es'
import { transfers } from '../../bank-account/transfers.ts'
import { bank } from './bank.ts'

/** Also processes events: updates the view `days`, and moves transfers along. */
export const app = createApp({ ...bank, processes: { transfers } })
