/** The id of a stored event, `type/aggregateId/sequence`. Types hold no `/`, so it is unambiguous. */
export const eventId = (aggregateType: string, aggregateId: string, sequence: number): string =>
  `${aggregateType}/${aggregateId}/${sequence}`
