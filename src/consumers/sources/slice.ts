import type { StoredEvent } from '../../store/commit.ts'
import type { LogCheckpoint } from '../log-checkpoint.ts'
import type { Failure } from '../processor.ts'

/** What a slice of work came to. */
export interface SliceResult {
  readonly events: number
  /** There was nothing left to do. */
  readonly isWhole: boolean
  /** Why it cannot continue. */
  readonly failure?: Failure | undefined
}

/** What the checkpoint has not passed, in order; and what the feed has left out, whatever the checkpoint says. */
export async function newOf(checkpoint: LogCheckpoint, events: readonly StoredEvent[]): Promise<readonly StoredEvent[]> {
  const page = new Set(events.filter((event) => checkpoint.covers(event)))
  const ordered = await checkpoint.sequences.inOrder([...page])
  return ordered.filter((event) => !page.has(event) || !checkpoint.isDone(event))
}
