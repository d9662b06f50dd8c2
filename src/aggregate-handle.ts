import type { AggregateTypes, Envelope } from './aggregate.ts'
import type { ExecuteOptions } from './execution/call.ts'
import type { DataOf } from './message.ts'
import type { Rejection } from './reject.ts'

/** The commands and the history of one aggregate type. */
export interface AggregateHandle<T extends AggregateTypes> {
  /**
   * Decides a command and stores its events. The events, the inline views, a snapshot that is due
   * and the idempotency key are stored together or not at all. Returns
   * `{ ok: true, events, sequence, state }` (no events if the handler returned none) or
   * `{ ok: false, reason, details }`. Throws for a failure. Nothing was stored then, with two
   * exceptions: after `OutcomeUnknownError` the events may be stored, and with `NotYetError` (of
   * `waitFor`) they are. An exception of the handler passes through.
   *
   * Commands on one aggregate wait for each other. A handler that waits for a command on its own
   * aggregate therefore deadlocks.
   * @throws ValidationError, ConflictError, IdempotencyError, InvalidEventError, ApplyError,
   * DeserializationError, StoreError, OutcomeUnknownError, NotYetError, OverloadedError,
   * ViewOutdatedError, ClosedError, and the signal's reason
   */
  execute<K extends keyof T['commands'] & string>(
    id: string,
    command: { readonly type: K } & DataOf<T['commands'][K]>,
    options?: ExecuteOptions,
  ): Promise<Accepted<T['state'], T['events'], T['type']> | RejectedBy<T, K>>
  /**
   * Reads the current state from the store, or the state right after the sequence `asOf`. An
   * unknown id has the initial state at sequence 0.
   * @throws ValidationError when `asOf` is past the last event, DeserializationError, ApplyError,
   * StoreError, ClosedError, and the signal's reason
   */
  load(
    id: string,
    options?: { readonly asOf?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<{ readonly state: T['state']; readonly sequence: number }>
  /**
   * Reads the events of one aggregate in order, all or those after a sequence, in pages on demand.
   * @throws ValidationError, DeserializationError, StoreError, ClosedError, and the signal's reason
   */
  events(
    id: string,
    options?: { readonly after?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Envelope<T['events'], T['type']>>
  /**
   * Lists the ids of the aggregates that have events, in byte order.
   *
   * `limit`: 1–1,000, default 100. If more may follow, `next` is set: pass it as `after`.
   * @throws ValidationError, StoreError, ClosedError
   */
  ids(options?: {
    readonly limit?: number | undefined
    readonly after?: string | undefined
  }): Promise<{ readonly items: readonly string[]; readonly next?: string }>
}

/**
 * The command was accepted. `N` is the aggregate type, `S` its state, `D` its events (type → data).
 */
export interface Accepted<S, D, N extends string = string> {
  /** Discriminant of the result. */
  readonly ok: true
  /** State after these events, frozen. */
  readonly state: S
  /** Sequence of the last event, 0 for an aggregate without events. */
  readonly sequence: number
  /** The stored events as a later read returns them; empty if the handler returned none. */
  readonly events: readonly Envelope<D, N>[]
  /** The idempotency key was used before: this is the outcome of the first execution. */
  readonly replayed: boolean
}

/** The domain rejected the command. Nothing was stored. */
export interface Rejected<R extends string = string, D = undefined> {
  /** Discriminant of the result. */
  readonly ok: false
  /** The reason that the handler passed to `reject`. */
  readonly reason: R
  /** The details that the handler passed to `reject`, neither copied nor frozen. */
  readonly details: D
}

/** Rejections that the command `K` can result in. */
export type RejectedBy<T extends AggregateTypes, K> = K extends keyof T['rejections'] ? ToResult<T['rejections'][K]> : never
type ToResult<R> = R extends Rejection<infer Q, infer D> ? Rejected<Q, D> : never
