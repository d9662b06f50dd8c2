import type { Consumer } from '../consumers/consumer.ts'
import type { ConsumerCore } from '../consumers/core.ts'
import type { KeyedQueue } from '../util/keyed-queue.ts'
import type { Generations } from './generations.ts'
import type { ViewDefinition } from './view-definition.ts'

/** Shared by the parts of the read side of one app. */
export interface ViewCore extends ConsumerCore {
  /** Serializes commits that write the same view row. */
  readonly rowQueue: KeyedQueue
  readonly generations: Generations
  /** Returns the consumer that fills a generation of a view in this process. */
  readonly consumerOf: (view: ViewDefinition, generation: number) => Consumer
  /** Returns the consumers created so far. */
  readonly begunConsumers: (view: ViewDefinition) => readonly Consumer[]
  /** By generation and view: the number of repairs that was read last. */
  readonly catchUps: Map<string, number>
  /** Called when this process has stored rows of an async view. */
  readonly onProjected: Set<() => void>
}
