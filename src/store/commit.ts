import type { EnvelopeContext, Position } from '../event-envelope.ts'

/** An event in stored form: JSON only. `version` is the one it was written with; nothing is upcast here. */
export interface StoredEvent extends EnvelopeContext {
  readonly type: string
  /** JSON; `{}` for an event without data. What is not JSON (`undefined` among it) makes its commit `failed`, `certain` (`serializeCommit`). */
  readonly data: unknown
  /** The event is declared with `noData`; only in an append. A store that writes `{}` for its data need not look. */
  readonly noData?: true
}

/** What must be stored all together or not at all. It serves commands and, later, consumers of the log and commits over several aggregates. */
export interface Commit {
  /**
   * Unique to this commit. Sending it again writes nothing. It is answered `repeated` when it has appends, however late; with a checkpoint and no
   * appends as long as that checkpoint is the last one of its name (later it no longer stands at `expectedPosition`: a conflict on `fence`).
   * (A commit of views alone needs no such memory: sent again it meets its own versions and is a conflict on `view`.)
   */
  readonly id: string
  /** Usually one. Several, of different aggregates, where `capabilities.appendsPerCommit` allows it; none for a view batch. */
  readonly appends: readonly Append[]
  /** Each (name, generation, id) at most once. */
  readonly views?: readonly ViewWrite[]
  /** Remembered with the first append's aggregate; needs one. */
  readonly key?: { readonly idempotencyKey: string; readonly commandHash: string }
  /** Moved together with the rest. */
  readonly checkpoint?: CheckpointWrite
}

/** New events of one aggregate. */
export interface Append {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Sequence of the aggregate's last stored event, 0 when it must not exist yet. */
  readonly expectedSequence: number
  /**
   * Commit id of the event at `expectedSequence`, where the caller knows it. Another commit's event there is a conflict on `sequence`: the
   * database has lost the one that this append was decided on.
   */
  readonly expectedCommitId?: string
  /** At least one; their sequences are `expectedSequence + 1, + 2 …`, their `commitId` is the commit's id. */
  readonly events: readonly Omit<StoredEvent, 'position'>[]
  /** The state at the end of this append. Replaces the aggregate's snapshot, whatever that was. */
  readonly snapshot?: { readonly stateVersion: string; readonly state: unknown }
}

/** One view row as it will be. */
export interface ViewWrite {
  /**
   * A name that begins with `~` is one of the package's own, which no view of a user can have: its rows are always of generation 1, which nothing ever replaces, so
   * that a store need not look whether it may be written.
   */
  readonly name: string
  /** The generation it was computed for; must be live or building. */
  readonly generation: number
  readonly id: string
  /** The row's `version` it was computed from, 0 when there was none; a deleted row keeps its version. The row will have the next one. */
  readonly expectedVersion: number
  /** JSON; `null` deletes the view and leaves its version and `sequence` behind as a watermark. */
  readonly view: unknown
  /** Sequence of the last event folded into it, kept for views that follow one aggregate. Replaces the row's. */
  readonly sequence?: number
  /** Values to find it by, encoded by `encodeIndexValue`; replace the row's. Each index at most once. */
  readonly indexes?: readonly { readonly index: string; readonly value: string }[]
}

/** How far a consumer of the log has come. Moves only while `fence` is the fence of the lease of the same name. */
export interface CheckpointWrite {
  /** Of the checkpoint, and of the lease that guards it. */
  readonly name: string
  /** As `acquireLease` gave it. */
  readonly fence: number
  /** All up to here is done. */
  readonly position: string
  /** Where the checkpoint must stand before, else the commit is a conflict on `fence`; `null`: there must be none. Not checked when left out. */
  readonly expectedPosition?: string | null
}

/**
 * What became of one commit.
 * - `stored`: now. `repeated`: it was stored before under the same id. `positions` has one per event, in order (none without a global order).
 * - `conflict`: certainly not stored, nothing of it. When several things are in the way the first of this list is named:
 *   `fence`, `key` (the idempotency key is taken), `sequence`, `generation`, `view`.
 * - `failed`: the store could not do it. `certain`: surely not stored, and never will be; otherwise it may have been or may yet be. `cause`: a
 *   `StoreError` where the store knows what happened.
 */
export type CommitOutcome =
  | { readonly kind: 'stored' | 'repeated'; readonly positions: readonly Position[] }
  | {
      readonly kind: 'conflict'
      readonly on: 'sequence' | 'view' | 'key' | 'fence' | 'generation'
      /** On `sequence`: what the first aggregate in conflict has. Equal to the expected one where the commit id differs. */
      readonly actualSequence?: number
    }
  | { readonly kind: 'failed'; readonly certain: boolean; readonly cause: unknown }
