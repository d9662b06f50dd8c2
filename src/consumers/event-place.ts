/** Place of an event: its aggregate, and its number in it. */
export interface EventPlace {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
}

/** Returns the place that an event id names; `undefined` if it names none. */
export function placeOfEvent(eventId: string): EventPlace | undefined {
  const [first, last] = [eventId.indexOf('/'), eventId.lastIndexOf('/')]
  if (first < 1 || last <= first) return undefined
  const sequence = Number(eventId.slice(last + 1))
  return { aggregateType: eventId.slice(0, first), aggregateId: eventId.slice(first + 1, last), sequence }
}
