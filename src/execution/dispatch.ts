import type { EventEnvelope } from '../event-envelope.ts'
import type { Core } from './core.ts'
import { stopwatch } from './stopwatch.ts'

/** Hands the events of a commit to each query in turn. What a query throws goes to `onQueryError` and stops nothing. */
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
    console.error('onQueryError itself failed:', failure, 'It was told about:', error)
  }
}
