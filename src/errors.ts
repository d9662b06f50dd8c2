import type { Position } from './event-envelope.ts'

/** Every code a `CqrsError` can carry. Codes are stable: branch on them, not on messages. */
export type CqrsErrorCode =
  | 'CONFLICT'
  | 'VALIDATION'
  | 'IDEMPOTENCY'
  | 'DEFINITION'
  | 'INVALID_EVENT'
  | 'APPLY'
  | 'DESERIALIZATION'
  | 'CLOSED'
  | 'OVERLOADED'
  | 'OUTCOME_UNKNOWN'
  | 'STOPPED'
  | 'NOT_YET'
  | 'VIEW_OUTDATED'
  | StoreErrorCode

/** What a store can fail with. */
export type StoreErrorCode =
  | 'STORE_FAILED'
  | 'STORE_BUSY'
  | 'STORE_FULL'
  | 'STORE_READ_ONLY'
  | 'STORE_UNAVAILABLE'
  | 'STORE_CORRUPT'
  | 'STORE_LIMIT'
  | 'STORE_BEHIND'
  | 'SCHEMA_MISSING'
  | 'SCHEMA_TOO_NEW'

/** One thing wrong with an input, as the schema or the framework reports it. */
export interface Issue {
  /** What is wrong, for people. */
  readonly message: string
  /** Where in the input; left out for all of it. */
  readonly path?: readonly PropertyKey[]
}

/**
 * The base of everything the framework throws by itself. `code` is stable, `message` names the ids and what to do,
 * `cause` is the error underneath.
 *
 * *Handling*: branch with `isCqrsError(error, 'CONFLICT')`; an error without a known code is not ours.
 */
export class CqrsError extends Error {
  readonly code: CqrsErrorCode
  constructor(code: CqrsErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.name = new.target.name
  }
}

/**
 * Another writer was first, and the bounded retries (or `expectedSequence`) left no way on. Nothing was stored.
 *
 * *Handling*: load again and decide anew, or tell the caller to. HTTP 409.
 */
export class ConflictError extends CqrsError {
  declare readonly code: 'CONFLICT'
  declare readonly aggregateType: string
  declare readonly aggregateId: string
  /** What the caller or the commit counted on. */
  declare readonly expectedSequence?: number
  /** What the store has, where it is known. */
  declare readonly actualSequence?: number
  /** How many times the command was decided, or an inline view computed, when it was the view's row that others moved. */
  declare readonly attempts: number
  constructor(
    message: string,
    detail: { aggregateType: string; aggregateId: string; expectedSequence?: number; actualSequence?: number; attempts: number },
    cause?: unknown,
  ) {
    super('CONFLICT', message, cause)
    Object.assign(this, detail)
  }
}

/**
 * What a caller passed does not fit: an unknown command, data its schema refuses, a bad id or call option. Nothing was touched.
 *
 * *Handling*: show `issues` to whoever sent it. HTTP 400.
 */
export class ValidationError extends CqrsError {
  declare readonly code: 'VALIDATION'
  readonly issues: readonly Issue[]
  constructor(message: string, issues: readonly Issue[] = [{ message }], cause?: unknown) {
    super('VALIDATION', message, cause)
    this.issues = issues
  }
}

/**
 * An idempotency key was used again on this aggregate with another command. Nothing was stored.
 *
 * *Handling*: a mistake of the caller; choose a new key for a new command. HTTP 422.
 */
export class IdempotencyError extends CqrsError {
  declare readonly code: 'IDEMPOTENCY'
  constructor(message: string, cause?: unknown) {
    super('IDEMPOTENCY', message, cause)
  }
}

/**
 * Wrong wiring, found when the object is built: a misspelt or contradictory option, a type registered twice, a reserved name.
 *
 * *Handling*: fix the program; never at run time.
 */
export class DefinitionError extends CqrsError {
  declare readonly code: 'DEFINITION'
  constructor(message: string, cause?: unknown) {
    super('DEFINITION', message, cause)
  }
}

/**
 * A handler returned something that is not one of its events: an unknown type, data that does not fit, or data that would
 * come back from the store different from what was decided. Nothing was stored.
 *
 * *Handling*: fix the handler or the event's schema; `issues` has the paths. HTTP 500.
 */
export class InvalidEventError extends CqrsError {
  declare readonly code: 'INVALID_EVENT'
  readonly issues: readonly Issue[]
  constructor(message: string, issues: readonly Issue[] = [{ message }], cause?: unknown) {
    super('INVALID_EVENT', message, cause)
    this.issues = issues
  }
}

interface Place {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
}

/** Something is wrong at one event. */
abstract class EventError extends CqrsError implements Place {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly sequence: number
  constructor(code: CqrsErrorCode, message: string, { aggregateType, aggregateId, sequence }: Place, cause?: unknown) {
    super(code, message, cause)
    this.aggregateType = aggregateType
    this.aggregateId = aggregateId
    this.sequence = sequence
  }
}

/**
 * An `apply`, a view's `update` or a view's `id` threw, mutated its input or returned no state. Nothing was stored.
 *
 * *Handling*: fix that function; it must be pure and take every event ever stored. HTTP 500.
 */
export class ApplyError extends EventError {
  declare readonly code: 'APPLY'
  constructor(message: string, at: Place, cause?: unknown) {
    super('APPLY', message, at, cause)
  }
}

/**
 * A stored event cannot be read by this version of the program: unknown type, newer version, data its schema refuses, corrupt JSON.
 *
 * *Handling*: deploy the code that knows the event, or add an upcaster. Only this aggregate is affected. HTTP 500.
 */
export class DeserializationError extends EventError {
  declare readonly code: 'DESERIALIZATION'
  /** Of the event in the log, where the store has one and says it: who follows the log goes on behind it. */
  declare readonly position?: Position
  /** What its schema says, where it was the schema that refused it; else empty. */
  readonly issues: readonly Issue[]
  /** `outdated`: this program lacks the code, since the type or the version is one that it does not know. `unreadable`: anything else. */
  readonly kind: 'outdated' | 'unreadable'
  constructor(
    message: string,
    at: Place & { readonly position?: Position },
    cause?: unknown,
    issues: readonly Issue[] = [],
    kind: 'outdated' | 'unreadable' = 'unreadable',
  ) {
    super('DESERIALIZATION', message, at, cause)
    if (at.position !== undefined) this.position = at.position
    this.issues = issues
    this.kind = kind
  }
}

/**
 * The app was closed before this call, or while it waited for a view or a subscription. Nothing was stored.
 *
 * *Handling*: send it to another process. HTTP 503.
 */
export class ClosedError extends CqrsError {
  declare readonly code: 'CLOSED'
  constructor(message: string, cause?: unknown) {
    super('CLOSED', message, cause)
  }
}

/**
 * More commands are under way in this app than `batching.maxQueued` allows (default 10,000). Nothing was stored.
 *
 * *Handling*: try again later. HTTP 503 with `Retry-After`.
 */
export class OverloadedError extends CqrsError {
  declare readonly code: 'OVERLOADED'
  constructor(message: string, cause?: unknown) {
    super('OVERLOADED', message, cause)
  }
}

/**
 * The store could not be reached again after the append was sent, so it may or may not have been stored, once at the most.
 *
 * *Handling*: repeat with the same `idempotencyKey`; it is stored once at the most. HTTP 503.
 */
export class OutcomeUnknownError extends CqrsError {
  declare readonly code: 'OUTCOME_UNKNOWN'
  constructor(message: string, cause?: unknown) {
    super('OUTCOME_UNKNOWN', message, cause)
  }
}

/**
 * A subscription or a view has stopped at an event that it could not take, or leaves it to a newer program that does not come, so nothing behind that event can be waited for. The log and all other subscriptions go on.
 *
 * *Handling*: `cause` is what its handler threw, in the process where it happened; the message says it everywhere. Remove the cause, then call `resume()`. HTTP 503.
 */
export class StoppedError extends CqrsError {
  declare readonly code: 'STOPPED'
  /** Of the event that could not be taken. */
  readonly eventId: string
  constructor(message: string, { eventId }: { readonly eventId: string }, cause?: unknown) {
    super('STOPPED', message, cause)
    this.eventId = eventId
  }
}

/**
 * What was waited for was not there in time (or, for a command, before its signal aborted or the app closed): a view or a subscription is still behind. A command that waited is stored all the same; `result` is what it came to.
 *
 * *Handling*: show the result and look at the view later; do not send the command again. HTTP 202.
 */
export class NotYetError extends CqrsError {
  declare readonly code: 'NOT_YET'
  /** What `execute` would have returned; `undefined` where no command was waited for. */
  readonly result: unknown
  constructor(message: string, result?: unknown, cause?: unknown) {
    super('NOT_YET', message, cause)
    this.result = result
  }
}

/**
 * The rows of a view are of another `viewVersion` than this program's, and it can neither read nor write them. Nothing was stored.
 *
 * *Handling*: rebuild the view (newer program), or deploy the newer program (older one). HTTP 503.
 */
export class ViewOutdatedError extends CqrsError {
  declare readonly code: 'VIEW_OUTDATED'
  constructor(message: string, cause?: unknown) {
    super('VIEW_OUTDATED', message, cause)
  }
}

/**
 * The database refused or failed; `code` says how, `cause` is the driver's error. Nothing was stored.
 *
 * *Handling*: by `code`. `STORE_BUSY`, `STORE_UNAVAILABLE`: try again later (HTTP 503). `STORE_FULL`, `STORE_READ_ONLY`, `STORE_CORRUPT`,
 * `SCHEMA_MISSING`, `SCHEMA_TOO_NEW`, `STORE_BEHIND`: an operator is needed (HTTP 503). `STORE_LIMIT`: the message names the limit (HTTP 413). `STORE_FAILED`: HTTP 500.
 */
export class StoreError extends CqrsError {
  declare readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(code, message, cause)
  }
}

/** What anything thrown says. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

interface ErrorByCode {
  CONFLICT: ConflictError
  VALIDATION: ValidationError
  IDEMPOTENCY: IdempotencyError
  DEFINITION: DefinitionError
  INVALID_EVENT: InvalidEventError
  APPLY: ApplyError
  DESERIALIZATION: DeserializationError
  CLOSED: ClosedError
  OVERLOADED: OverloadedError
  OUTCOME_UNKNOWN: OutcomeUnknownError
  STOPPED: StoppedError
  NOT_YET: NotYetError
  VIEW_OUTDATED: ViewOutdatedError
}

const codes: Readonly<Record<CqrsErrorCode, true>> = {
  CONFLICT: true,
  VALIDATION: true,
  IDEMPOTENCY: true,
  DEFINITION: true,
  INVALID_EVENT: true,
  APPLY: true,
  DESERIALIZATION: true,
  CLOSED: true,
  OVERLOADED: true,
  OUTCOME_UNKNOWN: true,
  STOPPED: true,
  NOT_YET: true,
  VIEW_OUTDATED: true,
  STORE_FAILED: true,
  STORE_BUSY: true,
  STORE_FULL: true,
  STORE_READ_ONLY: true,
  STORE_UNAVAILABLE: true,
  STORE_CORRUPT: true,
  STORE_LIMIT: true,
  STORE_BEHIND: true,
  SCHEMA_MISSING: true,
  SCHEMA_TOO_NEW: true,
}

/**
 * Whether `error` is one of the framework's, and of this code when one is given. Looks at `code`, so it also works when two
 * copies of the package are loaded.
 *
 * @example
 * ```ts
 * import { isCqrsError } from 'cqrs-es'
 *
 * const statusOf = (error: unknown) => (isCqrsError(error, 'CONFLICT') ? 409 : isCqrsError(error, 'VALIDATION') ? 400 : 500)
 * ```
 */
export function isCqrsError(error: unknown): error is CqrsError
export function isCqrsError<C extends CqrsErrorCode>(
  error: unknown,
  code: C,
): error is C extends keyof ErrorByCode ? ErrorByCode[C] : StoreError
export function isCqrsError(error: unknown, code?: CqrsErrorCode): boolean {
  try {
    if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false
    return code === undefined ? Object.hasOwn(codes, error.code) : error.code === code
  } catch {
    // A proxy may throw. The caller must keep the error that it asks about.
    return false
  }
}
