import { onSqs } from 'cqrs-es/lambda'
import { app } from './bank.ts'

/** Called with messages that are commands. */
export const handler = onSqs(app)
