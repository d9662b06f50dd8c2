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
