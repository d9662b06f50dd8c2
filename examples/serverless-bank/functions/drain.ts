import { onSchedule } from 'cqrs-es/lambda'
import { app } from './following.ts'

/** Called once a day: looks at every aggregate, and does what the stream has left undone. It has no client for the stream, so there is nothing else to look at. */
export const handler = onSchedule(app)
