import type { Append } from './commit.ts'

/** The last event of an aggregate. */
export interface Head {
  /** Its sequence, 0 for an aggregate without events. */
  readonly sequence: number
  /** Id of the commit that the event belongs to. */
  readonly commitId: string | null
}

/**
 * The head of an aggregate without events.
 *
 * @example
 * ```ts
 * import { noEvents } from 'cqrs-es/store'
 *
 * console.log(noEvents.sequence) // 0
 * ```
 */
export const noEvents: Head = { sequence: 0, commitId: null }

/**
 * Returns whether an append was decided on this head. If not, it is a conflict on `sequence`.
 *
 * The sequence must be equal, and the commit id, if the append has one.
 *
 * @example
 * ```ts
 * import { type Append, isDecidedOn } from 'cqrs-es/store'
 *
 * const head = { sequence: 3, commitId: 'a' }
 * const append: Append = { aggregateType: 'account', aggregateId: 'acct-1', expectedSequence: 3, expectedCommitId: 'b', events: [] }
 * console.log(isDecidedOn(append, head)) // false
 * ```
 */
export const isDecidedOn = ({ expectedSequence, expectedCommitId }: Append, { sequence, commitId }: Head): boolean =>
  sequence === expectedSequence && (expectedCommitId === undefined || expectedCommitId === commitId)
