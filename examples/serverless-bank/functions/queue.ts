import { onSqs } from 'cqrs-es/lambda'
import { app } from './bank.ts'

/** Receives messages that are commands. */
export const handler = onSqs(app)
