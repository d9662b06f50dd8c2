/**
 * Opaque place of an event in the whole store, growing in commit order; only stores with a global order give one.
 * Safe to keep as JSON. It holds decimal digits without leading zeros, of any length; compare two with `comparePositions` from `cqrs-es/store`.
 */
export type Position = string & { readonly '~position': never }

/** Context of a command that travels with each of its events: `correlationId`, `causationId`, `userId` and whatever else; JSON. */
export type Metadata = Readonly<Record<string, unknown>>

/** Where an event stands and where it came from: all of an envelope but `type` and `data`. */
export interface EnvelopeContext<N extends string = string> {
  /** Stable and unique, `type/aggregateId/sequence` (then `.1`, `.2` … for the parts of a split): a key to drop doubles by, a CloudEvents id. */
  readonly id: string
  /** Version of the event's form, `'1.0'` unless declared otherwise. */
  readonly version: string
  /** Name of the aggregate's type. */
  readonly aggregateType: N
  /** Id of the aggregate, unique inside its type. */
  readonly aggregateId: string
  /** Place inside the aggregate: 1, 2, 3 … without gaps. */
  readonly sequence: number
  /** Place in the whole store, where the store has a global order. */
  readonly position?: Position
  /** What the caller of the command passed, `{}` by default. */
  readonly metadata: Metadata
  /** Shared by all events of one command. */
  readonly commitId: string
  /** ISO 8601 from the runtime's clock, the same instant as the handler's `now`. */
  readonly recordedAt: string
}

/** An event of any type with its context, flat. `Envelope` is the typed form. */
export type EventEnvelope = { readonly type: string; readonly data?: unknown } & EnvelopeContext
