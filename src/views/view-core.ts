import type { Core } from '../execution/core.ts'
import type { KeyedQueue } from '../execution/keyed-queue.ts'
import type { Generations } from './generations.ts'

/** What the parts of the read side of one app share. */
export interface ViewCore extends Core {
  /** Commits that write one view row wait for each other here. */
  readonly rowQueue: KeyedQueue
  readonly generations: Generations
}
