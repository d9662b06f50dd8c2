import type { ConsumerCore } from '../consumers/consumption.ts'
import type { KeyedQueue } from '../execution/keyed-queue.ts'
import type { Generations } from './generations.ts'

/** What the parts of the read side of one app share. */
export interface ViewCore extends ConsumerCore {
  /** Commits that write one view row wait for each other here. */
  readonly rowQueue: KeyedQueue
  readonly generations: Generations
  /** By generation and view, how often rows had been caught up when that was asked last. */
  readonly catchUps: Map<string, number>
  /** Called when this process has stored rows of an async view. */
  readonly onProjected: Set<() => void>
}
