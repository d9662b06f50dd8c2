import { sha256 } from '../util/digest.ts'
import { aggregateKey } from '../util/names.ts'

/** An aggregate with new events. */
export interface AggregateChange {
  /** Type of the aggregate. */
  readonly aggregateType: string
  /** Id of the aggregate. */
  readonly aggregateId: string
  /** Sequence of its last known event. */
  readonly sequence: number
  /** Sequence of its first new event. Default: `sequence`. */
  readonly first?: number | undefined
}

/** Result of one change: `undefined`, or the error. */
export type CatchUpOutcome = { readonly error: unknown } | undefined

type AggregatePlace = Pick<AggregateChange, 'aggregateType' | 'aggregateId'>

/** Returns the key of an aggregate in memory. */
export const placeIn = ({ aggregateType, aggregateId }: AggregatePlace): string => aggregateKey(aggregateType, aggregateId)

/**
 * Returns the id of a consumer's row about an aggregate. A digest, because type and id together can
 * exceed the limit.
 */
export const rowIdOf = (consumer: string, aggregate: AggregatePlace): Promise<string> =>
  sha256(`${consumer}\n${placeIn(aggregate)}`)
