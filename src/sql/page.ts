/**
 * Maximum number of events in a page, so that a long history is read and held in memory in parts.
 */
export const mostEvents = 1_000

/** Maximum number of JSON characters in a page, unless a single event has more. */
export const mostText = 2_000_000
