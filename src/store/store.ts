import type { Position } from '../event-envelope.ts'
import type { CheckpointWrite, Commit, CommitOutcome, StoredEvent } from './commit.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from './consumer.ts'

/**
 * The port that a database implements, for store authors. Programs pass a store to `createApp`. A
 * store handles stored (JSON) form only. The core does everything that is policy: types, upcasting,
 * validation, snapshots, caching, retry and batching. The package `cqrs-es/conformance` tests a
 * store; its cases decide where this prose is ambiguous. Rules for all methods:
 *
 * Methods may be called concurrently. Texts are compared and ordered by their UTF-8 bytes, never by
 * a locale. Returned data is fresh, and passed data is not kept: a caller may change either after
 * the call. A failure is a `StoreError` with a code and the driver's error as `cause`. An event
 * with corrupt JSON is a `DeserializationError` that names it, with its `position` if there is a
 * global order. A corrupt view row is a `StoreError` `STORE_CORRUPT`.
 *
 * Reads use the primary, never a replica. An app resends reads, lease calls and
 * `removeViewGeneration` after `STORE_UNAVAILABLE`.
 */
export interface Store {
  /** Abilities and limits of this store; constant. */
  readonly capabilities: Capabilities

  /**
   * Creates the tables, or updates older ones. Only ever adds. Safe to call at any time, by many
   * processes at once.
   * @throws StoreError `SCHEMA_TOO_NEW` when a newer version of the package has updated the schema
   */
  createSchema(): Promise<void>

  /**
   * Returns the statements that `createSchema` runs on an empty database, for your own migrations.
   * SQL, or JSON for a database without SQL.
   */
  printSchema(): string

  /**
   * Stores a batch and returns one outcome per commit, in the same order. Each commit is atomic.
   * The conflict or failure of one commit never affects another. Commits are applied in list order
   * if they touch the same aggregate, view row, idempotency key or checkpoint. The
   * `expectedSequence` and `expectedVersion` of a later commit count the earlier ones. If an
   * earlier one is not stored, a later one that builds on it is a conflict, even if another writer
   * has stored something that matches by chance.
   *
   * Never rejects because of a commit: its outcome tells. An empty list results in `[]`.
   */
  append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]>

  /**
   * Reads events of one aggregate in sequence order, and its snapshot on request. Both are as of
   * one moment. An unknown aggregate is an empty page.
   */
  readAggregate(request: AggregateRequest): Promise<AggregatePage>

  /** Reads the ids of the aggregates of a type that have events, in byte order. */
  readIds(request: IdsRequest): Promise<IdsPage>

  /** Reads an idempotency key of one aggregate, `undefined` if it is unused. */
  readKey(request: KeyRequest): Promise<StoredKey | undefined>

  /** Reads view rows, one result per key, in the same order. A deleted view has `view: null`. */
  readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]>

  /**
   * Finds view rows that meet all conditions, in byte order of their ids, or by `orderBy`, then id.
   * Omits deleted views.
   */
  findViews(request: ViewFind): Promise<ViewPage>

  /**
   * Reads the generations of a view that were added and not removed, lowest first. If none is
   * `live`, generation 1 is: it can be written and read without being added.
   */
  viewGenerations(name: string): Promise<readonly ViewGeneration[]>

  /**
   * Adds a generation: 1 as `live`, any other as `building`. Returns `false`, and changes nothing,
   * if the number exists, or for 1 while another is live (`addedState`).
   */
  addViewGeneration(generation: {
    readonly name: string
    readonly generation: number
    readonly viewVersion: string
  }): Promise<boolean>

  /**
   * Makes the building generation `to` live and retires the live generation `from` (`canSwitch`).
   * From then on, a commit that names `from` is a conflict on `generation`. In any other case,
   * returns `false` and changes nothing. A `from` that was live without being added may be kept as
   * `retired` or not at all.
   */
  switchViewGeneration(change: { readonly name: string; readonly from: number; readonly to: number }): Promise<boolean>

  /**
   * Deletes a generation with its rows. Returns `false` if it is live, `true` also if there is
   * none.
   */
  removeViewGeneration(generation: { readonly name: string; readonly generation: number }): Promise<boolean>

  /**
   * Reads the log of all aggregates after a position, in commit order. The part that a page has
   * passed never changes: no event ever appears at or below its `position` that it did not return.
   * Needs `capabilities.globalOrder`.
   * @throws StoreError `STORE_BEHIND` when `after` is past the end of the log, or the event of
   * `confirm` is not in it: the database has lost commits since then
   */
  readFeed(request: FeedRequest): Promise<FeedPage>

  /**
   * Returns the end of what `readFeed` can read now, `undefined` for an empty log. Needs
   * `capabilities.globalOrder`.
   */
  lastPosition(): Promise<Position | undefined>

  /**
   * Returns a position at or after every event stored before this call. The feed may reach it only
   * after the commits in flight have ended. Returns `undefined` if nothing was ever stored. Needs
   * `capabilities.globalOrder`.
   */
  endPosition(): Promise<Position | undefined>

  /**
   * Reads which aggregates have new events since a cursor, as soon as the store reports them. Each
   * aggregate occurs at least once, in any order. For stores without a global order that report
   * changes; `readAggregate` reads the events themselves.
   * @throws StoreError `STORE_BEHIND` when the store no longer has the changes after the cursor
   */
  readChanges?(request: ChangesRequest): Promise<ChangesPage>

  /**
   * Runs `work` in one transaction with the move of a checkpoint, for views in SQL tables of the
   * user. The database's driver defines `client`. The outcome is that of a commit of the checkpoint
   * alone. On a conflict, `work` did not run or is undone. If `work` rejects, everything is undone,
   * and the call rejects with the same reason. A failure with an unknown outcome is `failed`, not
   * `certain`. Sent again with the same id, it is `repeated` if it was stored, and `work` does not
   * run.
   */
  transact?(
    commit: { readonly id: string; readonly checkpoint: CheckpointWrite },
    work: (client: unknown) => void | Promise<void>,
  ): Promise<CommitOutcome>

  /** Reads the checkpoint that a commit wrote last under this name. */
  readCheckpoint(name: string): Promise<Checkpoint | undefined>

  /**
   * Reads checkpoints and leases of many consumers in one round trip. Returns one result per name,
   * in the same order; an empty list results in `[]`. Takes no lease and moves nothing. Without
   * this method the core reads one checkpoint after another, and does not know the holders of
   * leases.
   */
  readConsumers?(names: readonly string[]): Promise<readonly StoredConsumer[]>

  /**
   * Takes the lease for `ttlMs` if it is free, has expired or is held by the same holder. The
   * database's clock counts. Each take raises the fence, and earlier fences are stale forever. The
   * answer may include the checkpoint of the same name, which saves the holder a read.
   */
  acquireLease(request: { readonly name: string; readonly holder: string; readonly ttlMs: number }): Promise<LeaseAnswer>

  /**
   * Extends the lease to `ttlMs` from now. Returns `false` if `fence` is stale or released. An
   * expired lease that no other holder has taken can be renewed.
   */
  renewLease(request: { readonly name: string; readonly fence: number; readonly ttlMs: number }): Promise<boolean>

  /** Releases the lease. Does nothing if `fence` is stale. The fence is invalid from then on. */
  releaseLease(request: { readonly name: string; readonly fence: number }): Promise<void>

  /**
   * Calls `wake` after commits of any process, if `capabilities.push`. Returns how to stop. A call
   * is only a hint: it may come late, twice or never. The function must not throw.
   */
  watch?(wake: () => void): () => void
}

/** Abilities and limits of a store; `Infinity` for no limit. */
export interface Capabilities {
  /** Events have positions, and there is a feed. */
  readonly globalOrder: boolean
  /** There is `watch`, and it reports the commits of every process. */
  readonly push: boolean
  /** Maximum number of aggregates that one commit may append to. */
  readonly appendsPerCommit: number
  /**
   * Maximum number of events, snapshots, view rows, index values, key and checkpoint of a commit.
   */
  readonly itemsPerCommit: number
  /** Maximum bytes of all JSON of one commit. */
  readonly bytesPerCommit: number
  /** Maximum bytes of data and metadata of one event. */
  readonly bytesPerEvent: number
}

/** A range of events of one aggregate to read. */
export interface AggregateRequest {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Only events after this sequence; 0 for all. */
  readonly after: number
  /** Only events, and a snapshot, up to and including this sequence. */
  readonly upTo?: number
  /**
   * Also read the snapshot if it has this `stateVersion` and is past `after`. The events then start
   * after it. A snapshot with corrupt JSON counts as none.
   */
  readonly snapshot?: { readonly stateVersion: string }
  /**
   * Up to this many events, at least 1. Default: as many as the store chooses. A store may return
   * fewer, but not none, so that a page of large events fits into memory. It then sets `more`.
   */
  readonly limit?: number
}

/** Some events of one aggregate, in sequence order. */
export interface AggregatePage {
  readonly snapshot?: StoredSnapshot
  /** Events, each with its `position` if the store has a global order. */
  readonly events: readonly StoredEvent[]
  /** The request has more events: read again after the last one. Never set on an empty page. */
  readonly more: boolean
}

/** A stored state. */
export interface StoredSnapshot {
  /** Sequence of the last event in the state. */
  readonly sequence: number
  /** Commit id of that event. A snapshot whose event is not stored counts as none. */
  readonly commitId: string
  readonly stateVersion: string
  /** Number of snapshots saved of this aggregate: 1, 2, 3 … */
  readonly version: number
  readonly state: unknown
}

/** A range of ids of a type to read. */
export interface IdsRequest {
  readonly aggregateType: string
  /** Only ids after this one, in byte order. */
  readonly after?: string
  /** Up to this many ids, at least 1. */
  readonly limit: number
}

/** Some ids of a type, in byte order. */
export interface IdsPage {
  readonly items: readonly string[]
  /** There are more after the last item: read again with it as `after`. */
  readonly more: boolean
}

/** Names an idempotency key of one aggregate. */
export interface KeyRequest {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly idempotencyKey: string
}

/** The stored entry of an idempotency key. */
export interface StoredKey {
  /** Hash of the command, as the commit passed it. */
  readonly commandHash: string
  /** Id of the commit that was stored under the key. */
  readonly commitId: string
  /** First and last sequence of the events that the commit appended to this aggregate. */
  readonly firstSequence: number
  readonly lastSequence: number
}

/** Names a row of a view. */
export interface ViewKey {
  /** Name of the view. */
  readonly name: string
  /**
   * Generation of the row; `'live'` for the live one at the moment of the read. Rows of different
   * generations are different rows.
   */
  readonly generation: number | 'live'
  readonly id: string
}

/** A stored row of a view. */
export interface StoredView {
  readonly name: string
  readonly generation: number
  readonly id: string
  /** Number of times that it was saved or deleted. */
  readonly version: number
  /** Content of the row; `null` if it is deleted. */
  readonly view: unknown
  /** Sequence of the last projected event, if the last save had one. */
  readonly sequence?: number
}

/** Selects rows of one generation of a view. */
export interface ViewFind {
  readonly name: string
  /** Generation of the rows; `'live'` for the live one at the moment of the read. */
  readonly generation: number | 'live'
  /**
   * Conditions, all of which must hold. Encoded values are compared as bytes. A view without a
   * value for the index does not meet the condition.
   */
  readonly where: readonly { readonly index: string; readonly is: '=' | '<' | '<=' | '>' | '>='; readonly value: string }[]
  /** Order of the rows. Omits views without a value for this index. */
  readonly orderBy?: { readonly index: string; readonly descending?: boolean }
  /** The last row of the previous page: its id and, with `orderBy`, its encoded value. */
  readonly after?: { readonly id: string; readonly value?: string }
  /** Up to this many rows, at least 1. */
  readonly limit: number
}

/** Some rows of a view. */
export interface ViewPage {
  readonly items: readonly StoredView[]
  /** There are more: read again with it as `after`. */
  readonly next?: { readonly id: string; readonly value?: string }
}

/** One copy of the rows of a view. A rebuild fills a new copy next to the live one. */
export interface ViewGeneration {
  readonly generation: number
  readonly viewVersion: string
  /** Commits may write `live` and `building` generations; readers read the live one. */
  readonly state: 'building' | 'live' | 'retired'
}

/** A range of the log to read. */
export interface FeedRequest {
  /** Only events after this position. Default: from the beginning. */
  readonly after?: Position
  /** The `last` of an earlier page: the log must still have it. */
  readonly confirm?: LogEvent
  /**
   * Only these aggregate types and, if set, only these stored event types. Default: all. A type
   * that is named twice occurs once; an empty list selects nothing.
   */
  readonly only?: readonly { readonly aggregateType: string; readonly eventTypes?: readonly string[] }[]
  /**
   * Up to this many events, at least 1. A store may return fewer, so that a page of large events
   * fits into memory.
   */
  readonly limit: number
}

/** Names an event of the log, and the commit that it must belong to. */
export interface LogEvent {
  readonly position: Position
  readonly commitId: string
}

/** A part of the log, in commit order. */
export interface FeedPage {
  /** Events, each with its `position`. */
  readonly events: readonly StoredEvent[]
  /**
   * Everything up to this position was read, also events that `only` omits: continue after it. It
   * is the `after` of the request if nothing was new, and `undefined` for an empty log.
   */
  readonly position: Position | undefined
  /**
   * The last event at or before `position`, even if `only` omits it. Absent for an empty log, and
   * optional if nothing was new.
   */
  readonly last?: LogEvent
  /** There may be more to read at once, also after an empty page. */
  readonly more: boolean
}

/** A range of the changes to read, on a store without a global order. */
export interface ChangesRequest {
  /**
   * Cursor of an earlier page. Without one, the page is empty and its cursor is the current end.
   */
  readonly cursor?: string
  /** Up to about this many changes, at least 1. */
  readonly limit: number
}

/** Some of the changes. */
export interface ChangesPage {
  /** Changed aggregates, each with its highest reported sequence. */
  readonly changes: readonly { readonly aggregateType: string; readonly aggregateId: string; readonly sequence: number }[]
  /** Cursor for the next read. */
  readonly cursor: string
  /** There may be more to read at once. */
  readonly more: boolean
}
