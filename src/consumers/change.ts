import { sha256 } from '../util/digest.ts'
import { aggregateKey } from '../util/names.ts'

/** One aggregate that has news. */
export interface AggregateChange {
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

type AggregatePlace = Pick<AggregateChange, 'aggregateType' | 'aggregateId'>

/** Names an aggregate in memory. */
export const placeIn = ({ aggregateType, aggregateId }: AggregatePlace): string => aggregateKey(aggregateType, aggregateId)

/** Id of a consumer's internal row about an aggregate. A digest, because a type and an id can be longer than an id. */
export const rowIdOf = (consumer: string, aggregate: AggregatePlace): Promise<string> =>
  sha256(`${consumer}\n${placeIn(aggregate)}`)
