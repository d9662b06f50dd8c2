/** Path segments that are not names of aggregates. */
export const viewsSegment = 'views'
export const documentSegment = 'openapi.json'
export const eventsSegment = 'events'
