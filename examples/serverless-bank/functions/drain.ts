import { type LambdaContext, onSchedule } from 'cqrs-es/lambda'
import { app } from './following.ts'

const drain = onSchedule(app)

/**
 * Runs once a day: scans every aggregate, and processes everything that the stream missed. It has
 * no client for the stream, so it reads nothing else.
 */
export async function handler(event: unknown, context?: LambdaContext) {
  const drained = await drain(event, context)
  // After an error Lambda calls it twice more, and the alarm reports it.
  if (!drained.caughtUp) throw new Error('Some aggregates lag: the time was over, or one fails. See the log of this function.')
  return drained
}
