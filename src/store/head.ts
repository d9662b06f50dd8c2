import type { Append } from './commit.ts'

/** The last event of an aggregate. */
export interface Head {
  /** 0 for an aggregate without events. */
  readonly sequence: number
  /** Of the commit that the event belongs to. */
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
 * Whether an append was decided on this head: its sequence and, where the append names one, its commit id. An append that was not is a conflict on `sequence`.
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
