import type { EventEnvelope } from '../event-envelope.ts'
import type { Core } from './core.ts'
import { stopwatch } from './stopwatch.ts'

/**
 * Calls each query in turn with the events of a commit. An error of a query goes to `onQueryError`,
 * and the next query is called.
 */
export async function dispatch(core: Core, events: readonly EventEnvelope[]): Promise<void> {
  for (const [index, query] of core.queries.entries()) {
    const ms = stopwatch(core)
    let failure: { readonly error: unknown } | undefined
    try {
      await query(events)
    } catch (error) {
      failure = { error }
      await report(core, error, events)
    }
    core.observe?.({ kind: 'query', query: index, events: events.length, ms: ms(), ...failure })
  }
}

async function report(core: Core, error: unknown, events: readonly EventEnvelope[]): Promise<void> {
  try {
    await core.onQueryError(error, events)
  } catch (failure) {
    console.error('onQueryError failed:', failure, 'It was called with:', error)
  }
}
