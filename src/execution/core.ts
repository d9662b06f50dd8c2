import type { AggregateDefinition } from '../aggregate-definition.ts'
import type { Observation } from '../observation.ts'
import type { Runtime } from '../runtime.ts'
import type { Store } from '../store/store.ts'
import type { Generations } from '../views/generations.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import type { StateCache } from './cache.ts'
import type { Query } from './dispatch.ts'
import type { KeyedQueue } from './keyed-queue.ts'

/** What the parts of one app share. */
export interface Core {
  readonly store: Store
  readonly runtime: Runtime
  readonly retries: number
  readonly cache: StateCache
  /** Commands on one aggregate wait for each other here: they could not win against each other anyway. */
  readonly aggregateQueue: KeyedQueue
  /** The same for commits that write one view row. */
  readonly rowQueue: KeyedQueue
  readonly generations: Generations
  readonly queries: readonly Query[]
  readonly onQueryError: (error: unknown, events: readonly import('../event-envelope.ts').EventEnvelope[]) => void | Promise<void>
  readonly observe: ((what: Observation) => void) | undefined
  /** For callers that give none. */
  readonly neverAborts: AbortSignal
}

/** One aggregate type in an app. */
export interface WiredAggregate {
  readonly definition: AggregateDefinition
  readonly services: unknown
  readonly inlineViews: readonly ViewDefinition[]
}
