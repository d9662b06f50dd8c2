/** Events in one page at the most, so that a long history is neither read in one go nor kept in memory at once. */
export const mostEvents = 1_000

/** Characters of JSON in one page at the most, but for a page of one event. */
export const mostText = 2_000_000
