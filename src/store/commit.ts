import type { EnvelopeContext, Position } from '../event-envelope.ts'

/**
 * An event in stored form, JSON only, with the version it was written with. Stores upcast nothing.
 */
export interface StoredEvent extends EnvelopeContext {
  readonly type: string
  /**
   * JSON; `{}` for an event without data. A commit with anything else (also `undefined`) is
   * `failed`, `certain`: see `serializeCommit`.
   */
  readonly data: unknown
  /**
   * The event is declared with `noData`. Set only in an append; a store that writes `{}` may ignore
   * it.
   */
  readonly noData?: true
}

/** Writes that are stored together or not at all. Used by commands and consumers. */
export interface Commit {
  /**
   * Unique id of the commit. Sending it again writes nothing. A resent commit with appends is
   * always `repeated`. One with a checkpoint and no appends is `repeated` as long as that
   * checkpoint is the last one of its name. Later it is a conflict on `fence`, because the
   * checkpoint is no longer at `expectedPosition`. A commit of views alone needs no such memory:
   * sent again it conflicts with its own versions, on `view`.
   */
  readonly id: string
  /**
   * Appends of the commit: usually one, none for a view batch. Several, of different aggregates,
   * only if `capabilities.appendsPerCommit` allows it.
   */
  readonly appends: readonly Append[]
  /** View rows. Each (name, generation, id) occurs at most once. */
  readonly views?: readonly ViewWrite[]
  /** Idempotency key, stored for the aggregate of the first append. Needs an append. */
  readonly key?: { readonly idempotencyKey: string; readonly commandHash: string }
  /** Checkpoint that moves with the commit. */
  readonly checkpoint?: CheckpointWrite
}

/** New events of one aggregate. */
export interface Append {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Sequence of the aggregate's last stored event, 0 if it must not exist yet. */
  readonly expectedSequence: number
  /**
   * Commit id of the event at `expectedSequence`, if the caller knows it. An event of another
   * commit there is a conflict on `sequence`: the database has lost the event that this append was
   * decided on.
   */
  readonly expectedCommitId?: string
  /**
   * At least one event. Sequences are `expectedSequence + 1, + 2 …`, `commitId` is the commit's id.
   */
  readonly events: readonly Omit<StoredEvent, 'position'>[]
  /** The state after this append. Replaces any snapshot of the aggregate. */
  readonly snapshot?: { readonly stateVersion: string; readonly state: unknown }
}

/** One view row after the commit. */
export interface ViewWrite {
  /**
   * Name of the view. A name that starts with `~` is internal, and no user's view can have it.
   * Internal rows are always of generation 1, which is never replaced, so a store need not check
   * whether it is writable.
   */
  readonly name: string
  /** Generation that the row was computed for; must be live or building. */
  readonly generation: number
  readonly id: string
  /**
   * Version of the row that it was computed from, 0 if there was none. The row gets the next
   * version. A deleted row keeps its version.
   */
  readonly expectedVersion: number
  /** JSON. `null` deletes the view but keeps the row's version and `sequence`, as a watermark. */
  readonly view: unknown
  /**
   * Sequence of the last projected event, for views of one aggregate. Replaces the row's sequence.
   */
  readonly sequence?: number
  /**
   * Index values, encoded by `encodeIndexValue`. Replace the row's values. Each index at most once.
   */
  readonly indexes?: readonly { readonly index: string; readonly value: string }[]
}

/**
 * Progress of a consumer of the log. Moves only while `fence` is valid for the lease of that name.
 */
export interface CheckpointWrite {
  /** Name of the checkpoint, and of the lease that guards it. */
  readonly name: string
  /** Fence, as returned by `acquireLease`. */
  readonly fence: number
  /** Everything up to this position is processed. */
  readonly position: string
  /**
   * Expected position before the write, else a conflict on `fence`. Not checked if absent. With
   * `null`, there must be no checkpoint.
   */
  readonly expectedPosition?: string | null
}

/**
 * The outcome of one commit.
 * - `stored`, `repeated`: stored now, or before under the same id. There is one position per event,
 *   in order (none without a global order).
 * - `conflict`: nothing of it is stored. With several conflicts the first of this list is named:
 *   fence, key (the idempotency key is taken), sequence, generation, view.
 * - `failed`: the store could not store it. If `certain`, it is not stored and never will be.
 *   Otherwise it may be stored, now or later. If the store knows the reason, `cause` is a
 *   `StoreError`.
 */
export type CommitOutcome =
  | { readonly kind: 'stored' | 'repeated'; readonly positions: readonly Position[] }
  | {
      readonly kind: 'conflict'
      readonly on: 'sequence' | 'view' | 'key' | 'fence' | 'generation'
      /**
       * On `sequence`: the last sequence of the first conflicting aggregate. It equals the expected
       * sequence if only the commit id differs.
       */
      readonly actualSequence?: number
    }
  | { readonly kind: 'failed'; readonly certain: boolean; readonly cause: unknown }
