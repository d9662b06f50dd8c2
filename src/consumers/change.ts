import { sha256 } from '../util/digest.ts'

/** One aggregate that has news. */
export interface Change {
  /** Type of the aggregate. */
  readonly aggregateType: string
  /** Id of the aggregate. */
  readonly aggregateId: string
  /** Of the last of its events that is known of. */
  readonly sequence: number
  /** Of the first of those that are new; `sequence` where it is left out. */
  readonly first?: number | undefined
}

/** What became of one change: nothing to tell of, or what failed. */
export type CatchUpOutcome = { readonly error: unknown } | undefined

/** Names an aggregate in memory. */
export const placeIn = ({ aggregateType, aggregateId }: Change): string => `${aggregateType}/${aggregateId}`

/** The id of the row that says how far a consumer has come in an aggregate. */
export const seenIdOf = (consumer: string, { aggregateType, aggregateId }: Omit<Change, 'sequence'>): Promise<string> =>
  sha256(`${consumer}\n${aggregateType}/${aggregateId}`)
