import type { AnyAggregate } from '../aggregate.ts'
import type { Position } from '../event-envelope.ts'
import type { SubscriptionHandle } from '../subscriptions/handle.ts'
import type { Target } from './target.ts'

/** Options of the `replay` of a publication. */
export interface PublicationReplay {
  /** Only events after this position. Needs a store with a global order. Default: from the first event. */
  readonly after?: Position | undefined
  /** Only events of this aggregate type. */
  readonly aggregate?: AnyAggregate | undefined
  /** Only events of the aggregate with this id; needs `aggregate`. */
  readonly id?: string | undefined
  /** Target of the replay. Default: the target of the publication. */
  readonly to?: Target | undefined
  /** Ends the replay. */
  readonly signal?: AbortSignal | undefined
}

/** A publication of an app. */
export interface PublicationHandle extends SubscriptionHandle {
  /**
   * Publishes past events once more, under the same ids. Leaves the checkpoint as it is. On a store
   * with a global order, ends at the checkpoint: later events are published anyway.
   *
   * Returns the number of messages. Ends at the first event that cannot be published.
   * @throws ValidationError for an invalid option and unfit data. DefinitionError for `after` on a
   * store without a global order. DeserializationError, StoreError, ClosedError, errors of the
   * target, and the signal's reason
   */
  replay(options?: PublicationReplay): Promise<{ readonly messages: number }>
}
