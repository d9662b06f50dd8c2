import type { Consumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import type { KeyedQueue } from '../util/keyed-queue.ts'
import type { Generations } from './generations.ts'
import type { ViewDefinition } from './view-definition.ts'

/** What the parts of the read side of one app share. */
export interface ViewCore extends ConsumerCore {
  /** Commits that write one view row wait for each other here. */
  readonly rowQueue: KeyedQueue
  readonly generations: Generations
  /** What fills a generation of a view in this process. */
  readonly consumerOf: (view: ViewDefinition, generation: number) => Consumer
  /** Those that were asked for so far. */
  readonly begunConsumers: (view: ViewDefinition) => readonly Consumer[]
  /** By generation and view, how often rows had been caught up when that was asked last. */
  readonly catchUps: Map<string, number>
  /** Called when this process has stored rows of an async view. */
  readonly onProjected: Set<() => void>
}
