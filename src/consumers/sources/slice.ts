import type { StoredEvent } from '../../store/commit.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import type { Failure } from '../processor.ts'

/** Result of a slice of work. */
export interface SliceResult {
  readonly events: number
  /** Nothing was left to do. */
  readonly isWhole: boolean
  /** Why it cannot continue. */
  readonly failure?: Failure | undefined
}

/**
 * Returns the events that the checkpoint has not passed, in order, together with events that the
 * feed left out.
 */
export async function newOf(checkpoint: LogCheckpoint, events: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
  const page = new Set(events.filter((event) => checkpoint.covers(event)))
  const ordered = await checkpoint.sequences.inOrder([...page])
  return ordered.filter((event) => !page.has(event) || !checkpoint.isDone(event))
}
