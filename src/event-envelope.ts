/**
 * Opaque position of an event in the log, growing in commit order.
 *
 * Only stores with a global order have positions. A position consists of decimal digits without
 * leading zeros, of any length, and is safe to store as JSON. Compare two with `comparePositions`
 * from `cqrs-es/store`.
 */
export type Position = string & { readonly '~position': never }

/**
 * Context of a command, stored with each of its events; JSON.
 *
 * Conventional names are `correlationId`, `causationId` and `userId`.
 */
export type Metadata = Readonly<Record<string, unknown>>

/** The context of an event: everything in an envelope except `type` and `data`. */
export interface EnvelopeContext<N extends string = string> {
  /**
   * Stable, unique id, `type/aggregateId/sequence`: use it for deduplication, or as a CloudEvents
   * id.
   *
   * When an upcaster splits a stored event, the first part with the stored type keeps the id (or
   * the first part, if none has that type). Each other part adds its place in the list: `.1`, `.2`
   * …
   */
  readonly id: string
  /** Version of the event's form, `'1.0'` unless declared otherwise. */
  readonly version: string
  /** Name of the aggregate type. */
  readonly aggregateType: N
  /** Id of the aggregate, unique within its type. */
  readonly aggregateId: string
  /** Number of the event in its aggregate: 1, 2, 3 … without gaps. */
  readonly sequence: number
  /** Position in the log. Absent if the store has no global order. */
  readonly position?: Position
  /** Metadata that the caller of the command passed. Default `{}`. */
  readonly metadata: Metadata
  /** Id of the commit, shared by all events of one command. */
  readonly commitId: string
  /** ISO 8601 time of the decision, the same as the handler's `now`. */
  readonly recordedAt: string
}

/** An event of any type with its context, in one flat object. `Envelope` is the typed form. */
export type EventEnvelope = { readonly type: string; readonly data?: unknown } & EnvelopeContext
