import type { Position } from './event-envelope.ts'

/** Codes of a `CqrsError`. They are stable: branch on codes, not on messages. */
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

/** Codes of a `StoreError`. */
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

/** One problem of an input, as the schema or the framework reports it. */
export interface Issue {
  /** Description of the problem, for people. */
  readonly message: string
  /** Path in the input; absent if the problem concerns all of it. */
  readonly path?: readonly PropertyKey[]
}

/**
 * Base class of the framework's errors. The message names the ids and says what to do.
 *
 * `code` is stable, `cause` is the underlying error.
 *
 * *Handling*: branch with `isCqrsError(error, 'CONFLICT')`. An error without a known code is not
 * from the framework.
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
 * Another writer won, and no retry is left or `expectedSequence` does not match. Nothing was
 * stored.
 *
 * *Handling*: load again and decide again, or ask the caller to. HTTP 409.
 */
export class ConflictError extends CqrsError {
  declare readonly code: 'CONFLICT'
  declare readonly aggregateType: string
  declare readonly aggregateId: string
  /** Sequence that the caller or the commit expected. */
  declare readonly expectedSequence?: number
  /** Sequence in the store, if known. */
  declare readonly actualSequence?: number
  /**
   * How often the command was decided, or an inline view was computed when its row caused the
   * conflict.
   */
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
 * Invalid input: an unknown command, data its schema refuses, a bad id or option. Nothing was
 * stored.
 *
 * *Handling*: show `issues` to the caller. HTTP 400.
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
 * The idempotency key was used on this aggregate with another command. Nothing was stored.
 *
 * *Handling*: a mistake of the caller; use a new key for a new command. HTTP 422.
 */
export class IdempotencyError extends CqrsError {
  declare readonly code: 'IDEMPOTENCY'
  constructor(message: string, cause?: unknown) {
    super('IDEMPOTENCY', message, cause)
  }
}

/**
 * An invalid definition, detected early: a misspelt option, a duplicate type, a reserved name.
 *
 * *Handling*: fix the program.
 */
export class DefinitionError extends CqrsError {
  declare readonly code: 'DEFINITION'
  constructor(message: string, cause?: unknown) {
    super('DEFINITION', message, cause)
  }
}

/**
 * A handler returned something that is not one of its events. Nothing was stored. The type is
 * unknown, the data does not fit, or the store would return the data changed.
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

/** An error at one event. */
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
 * A function of the program failed on an event: `apply`, a view's `update` or its `id`. It threw,
 * changed its input or returned no state. Nothing was stored.
 *
 * *Handling*: fix the function. It must be pure and accept every event ever stored. HTTP 500.
 */
export class ApplyError extends EventError {
  declare readonly code: 'APPLY'
  constructor(message: string, at: Place, cause?: unknown) {
    super('APPLY', message, at, cause)
  }
}

/**
 * This version of the program cannot read a stored event. Its type is unknown, its version is
 * newer, its schema refuses the data, or its JSON is corrupt.
 *
 * *Handling*: deploy the code that knows the event, or add an upcaster. Only this aggregate is
 * affected. HTTP 500.
 */
export class DeserializationError extends EventError {
  declare readonly code: 'DESERIALIZATION'
  /** Position of the event, if the store reports it: a reader of the log can continue after it. */
  declare readonly position?: Position
  /** Issues of the event's schema; empty if the schema is not the cause. */
  readonly issues: readonly Issue[]
  /**
   * `outdated`: this program does not know the type or the version. `unreadable`: any other cause.
   */
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
 * The app was closed before this call, or during a wait for a consumer. Nothing was stored.
 *
 * *Handling*: call another process. HTTP 503.
 */
export class ClosedError extends CqrsError {
  declare readonly code: 'CLOSED'
  constructor(message: string, cause?: unknown) {
    super('CLOSED', message, cause)
  }
}

/**
 * The app has more commands in progress than `batching.maxQueued` (default 10,000). Nothing was
 * stored.
 *
 * *Handling*: retry later. HTTP 503 with `Retry-After`.
 */
export class OverloadedError extends CqrsError {
  declare readonly code: 'OVERLOADED'
  constructor(message: string, cause?: unknown) {
    super('OVERLOADED', message, cause)
  }
}

/**
 * The store became unreachable after the append was sent: its events are stored once or not at all.
 *
 * *Handling*: repeat the command with the same `idempotencyKey`; it is stored at most once. HTTP
 * 503.
 */
export class OutcomeUnknownError extends CqrsError {
  declare readonly code: 'OUTCOME_UNKNOWN'
  constructor(message: string, cause?: unknown) {
    super('OUTCOME_UNKNOWN', message, cause)
  }
}

/**
 * A subscription or a view has stopped at an event, or needs a newer program for it. Nothing after
 * that event can be awaited. The log and other consumers continue.
 *
 * *Handling*: `cause` is the handler's error, in the process where it occurred; the message
 * describes it in every process. Fix the cause, then call `resume()`. HTTP 503.
 */
export class StoppedError extends CqrsError {
  declare readonly code: 'STOPPED'
  /** Id of the event that could not be processed. */
  readonly eventId: string
  constructor(message: string, { eventId }: { readonly eventId: string }, cause?: unknown) {
    super('STOPPED', message, cause)
    this.eventId = eventId
  }
}

/**
 * A view or subscription did not catch up in time. A command that waited for it is stored. For a
 * command, the wait also ends when its signal aborts or the app closes.
 *
 * *Handling*: show the result and read the view later; do not send the command again. HTTP 202.
 */
export class NotYetError extends CqrsError {
  declare readonly code: 'NOT_YET'
  /** The result of `execute`; `undefined` if no command waited. */
  readonly result: unknown
  constructor(message: string, result?: unknown, cause?: unknown) {
    super('NOT_YET', message, cause)
    this.result = result
  }
}

/**
 * The rows of a view have another `viewVersion`: this program cannot use them. Nothing was stored.
 *
 * *Handling*: rebuild the view if this program is newer; deploy the newer program if it is older.
 * HTTP 503.
 */
export class ViewOutdatedError extends CqrsError {
  declare readonly code: 'VIEW_OUTDATED'
  constructor(message: string, cause?: unknown) {
    super('VIEW_OUTDATED', message, cause)
  }
}

/**
 * The database refused or failed. Nothing was stored. The code says how; `cause` is the driver's
 * error.
 *
 * *Handling*: by `code`.
 * - `STORE_BUSY`, `STORE_UNAVAILABLE`: retry later. HTTP 503.
 * - `STORE_FULL`, `STORE_READ_ONLY`, `STORE_CORRUPT`: an operator is needed. HTTP 503.
 * - `SCHEMA_MISSING`, `SCHEMA_TOO_NEW`, `STORE_BEHIND`: an operator is needed. HTTP 503.
 * - `STORE_LIMIT`: the message names the limit. HTTP 413.
 * - `STORE_FAILED`: all else. HTTP 500.
 */
export class StoreError extends CqrsError {
  declare readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(code, message, cause)
  }
}

/** The message of anything that was thrown. */
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
 * Returns whether `error` is one of the framework's errors, with this code if one is given. Checks
 * `code`, so it also works with two loaded copies of the package.
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
