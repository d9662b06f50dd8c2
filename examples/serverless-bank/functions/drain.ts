import { type LambdaContext, onSchedule } from 'cqrs-es/lambda'
import { app } from './following.ts'

const drain = onSchedule(app)

/** Called once a day: looks at every aggregate, and does what the stream has left undone. It has no client for the stream, so there is nothing else to look at. */
export async function handler(event: unknown, context?: LambdaContext) {
  const drained = await drain(event, context)
  // An error: Lambda calls it twice more, and the alarm tells.
  if (!drained.caughtUp)
    throw new Error('Not all is up to date: time was up, or an aggregate fails. See the log of this function.')
  return drained
}
