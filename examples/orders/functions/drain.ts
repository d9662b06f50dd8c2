import { onSchedule } from 'cqrs-es/lambda'
import { app } from './shop.ts'

/** Runs once a minute: fires the timers that are due, retries calls, and finds what the stream missed. */
export const handler = onSchedule(app)
