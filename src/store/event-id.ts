/**
 * The id of a stored event, `type/aggregateId/sequence`. Types hold no `/`, so it is unambiguous.
 *
 * @example
 * ```ts
 * import { eventId } from 'cqrs-es/store'
 *
 * console.log(eventId('account', 'acct-1', 3)) // account/acct-1/3
 * ```
 */
export const eventId = (aggregateType: string, aggregateId: string, sequence: number): string =>
  `${aggregateType}/${aggregateId}/${sequence}`
