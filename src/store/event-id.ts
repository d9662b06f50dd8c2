/**
 * Returns the id of a stored event, `type/aggregateId/sequence`. Unambiguous: a type has no `/`.
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
