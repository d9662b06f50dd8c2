import type { AggregateTypes, Envelope } from './aggregate.ts'
import type { ExecuteOptions } from './execution/call.ts'
import type { DataOf } from './message.ts'
import type { Rejection } from './reject.ts'

/** The commands and the history of one aggregate type. */
export interface AggregateHandle<T extends AggregateTypes> {
  /**
   * Decides a command and stores its events, with the inline views, the snapshot that is due and the idempotency key: all or nothing.
   *
   * Returns what the domain decided: `{ ok: true, events, sequence, state }` (no events when it decided nothing) or `{ ok: false, reason, details }`.
   * Throws for what failed; nothing was stored then, with two exceptions: after `OutcomeUnknownError` it may be, and with `NotYetError` (of `waitFor`) it is. A handler's own
   * exception passes through.
   *
   * Commands on one aggregate wait for each other, so a handler must not wait for one on its own aggregate.
   *
   * @throws ValidationError, ConflictError, IdempotencyError, InvalidEventError, ApplyError, DeserializationError, StoreError, OutcomeUnknownError, NotYetError,
   * OverloadedError, ViewOutdatedError, ClosedError, and the signal's reason
   */
  execute<K extends keyof T['commands'] & string>(
    id: string,
    command: { readonly type: K } & DataOf<T['commands'][K]>,
    options?: ExecuteOptions,
  ): Promise<Accepted<T['state'], T['events'], T['type']> | RejectedBy<T, K>>
  /**
   * The state as the store has it now, or had it right after the sequence `asOf`. An unknown id is the initial state at sequence 0.
   * @throws ValidationError when `asOf` is past the last event, DeserializationError, ApplyError, StoreError, ClosedError, and the signal's reason
   */
  load(
    id: string,
    options?: { readonly asOf?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<{ readonly state: T['state']; readonly sequence: number }>
  /**
   * All events of one aggregate, or those after a sequence, in order; read page by page as they are asked for.
   * @throws ValidationError, DeserializationError, StoreError, ClosedError, and the signal's reason
   */
  events(
    id: string,
    options?: { readonly after?: number | undefined; readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Envelope<T['events'], T['type']>>
  /**
   * Ids of the aggregates that have events, in byte order. `limit`: 1–1,000, default 100; `next` is there when more may follow: pass it as `after`.
   * @throws ValidationError, StoreError, ClosedError
   */
  ids(options?: {
    readonly limit?: number | undefined
    readonly after?: string | undefined
  }): Promise<{ readonly items: readonly string[]; readonly next?: string }>
}

/** The command was accepted by an aggregate of the type `N` with the state `S` and the events `D` (event type → data). */
export interface Accepted<S, D, N extends string = string> {
  /** Narrows the result. */
  readonly ok: true
  /** After these events; frozen. */
  readonly state: S
  /** Of the last event, 0 for an aggregate without any. */
  readonly sequence: number
  /** What was stored, as a later read gives it; empty when the handler decided nothing. */
  readonly events: readonly Envelope<D, N>[]
  /** The idempotency key had been used: this is what the first execution came to. */
  readonly replayed: boolean
}

/** The domain said no. */
export interface Rejected<R extends string = string, D = undefined> {
  /** Narrows the result. */
  readonly ok: false
  /** As the handler gave it to `reject`. */
  readonly reason: R
  /** As the handler gave them to `reject`, neither copied nor frozen. */
  readonly details: D
}

/** What the command `K` can be refused with. */
export type RejectedBy<T extends AggregateTypes, K> = K extends keyof T['rejections'] ? ToResult<T['rejections'][K]> : never
type ToResult<R> = R extends Rejection<infer Q, infer D> ? Rejected<Q, D> : never
