import type { Position } from '../event-envelope.ts'
import type { CheckpointWrite, Commit, CommitOutcome, StoredEvent } from './commit.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from './consumer.ts'

/**
 * The port that a database implements, for store authors; programs pass one to `createApp` and need no more of it.
 *
 * It deals in stored (JSON) form only. All that is policy (types, upcasting, validation, when to take a snapshot, caching, retry,
 * batching) is done once, in the core. `cqrs-es/conformance` tests an implementation; where this prose could be read in two ways, a
 * case there decides.
 *
 * Rules for all methods: they may be called while others are under way. Texts are compared and ordered by their UTF-8 bytes, never by a locale. Data
 * handed out is fresh, and data passed in is not kept: a caller may change either once the call has answered. A failure is a `StoreError` with a code and the driver's error as `cause`; an event whose JSON is corrupt is a
 * `DeserializationError` that names it, with its `position` where there is a global order, a view's row a `StoreError` `STORE_CORRUPT`. Reads are of the primary, never of a replica.
 * An app sends reads, calls of a lease and `removeViewGeneration` again after `STORE_UNAVAILABLE`.
 */
export interface Store {
  /** What this store can do and how much it takes; constant. */
  readonly capabilities: Capabilities

  /**
   * Makes the tables, or brings older ones up to date; safe to call at any time, by many processes at once. Only ever adds.
   * @throws StoreError `SCHEMA_TOO_NEW` when a newer version of the package has been here
   */
  createSchema(): Promise<void>

  /** What `createSchema` would run on an empty database, for people who run migrations by themselves: SQL, or JSON where there is none. */
  printSchema(): string

  /**
   * Stores a batch; answers one outcome per commit, in the same order. Each commit is atomic by itself, and the conflict or failure of
   * one never harms another.
   *
   * Commits are applied in list order wherever they touch the same aggregate, view row, idempotency key or checkpoint: a later one's `expectedSequence` and
   * `expectedVersion` count the earlier ones, and when an earlier one is not stored a later one that builds on it is a conflict, also where what it expects
   * is there by chance, put there by another writer.
   *
   * Never rejects for what befell a commit: that is its outcome. An empty list is `[]`.
   */
  append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]>

  /** Events of one aggregate in sequence order, and its snapshot when asked for: both as of one moment. An unknown aggregate is an empty page. */
  readAggregate(request: AggregateRequest): Promise<AggregatePage>

  /** Ids of the aggregates of a type that have events, in byte order. */
  readIds(request: IdsRequest): Promise<IdsPage>

  /** What is remembered under an idempotency key of one aggregate, `undefined` when nothing is. */
  readKey(request: KeyRequest): Promise<StoredKey | undefined>

  /** View rows, one answer per key, in the same order. A deleted view is a row with `view: null`. */
  readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]>

  /** Views that meet all conditions, deleted ones left out. In byte order of their ids, or by `orderBy`, then id. */
  findViews(request: ViewFind): Promise<ViewPage>

  /**
   * The generations of a view that were ever added and not removed, lowest first. Where none is `live`, generation 1 is: it need
   * not be added to be written and read.
   */
  viewGenerations(name: string): Promise<readonly ViewGeneration[]>

  /** Adds a generation: 1 as `live`, any other as `building`. `false`, and nothing changed, when that number is there, or for 1 while another is live (`addedState`). */
  addViewGeneration(generation: {
    readonly name: string
    readonly generation: number
    readonly viewVersion: string
  }): Promise<boolean>

  /**
   * Makes `to`, which must be building, live, and retires `from`, which must be live (`canSwitch`); from then on a commit that names `from` is a
   * conflict on `generation`. `false`, and nothing changed, otherwise. A `from` that was live without being added may be kept as `retired` or not at all.
   */
  switchViewGeneration(change: { readonly name: string; readonly from: number; readonly to: number }): Promise<boolean>

  /** Deletes a generation that is not live, with its rows. `false` when it is live; `true` also when there is none. */
  removeViewGeneration(generation: { readonly name: string; readonly generation: number }): Promise<boolean>

  /**
   * The log of all aggregates after a position, in commit order. What a page has passed never changes afterwards: nothing will appear
   * at or below its `position` that it did not show. Only with `capabilities.globalOrder`.
   * @throws StoreError `STORE_BEHIND` when `after` is past the end of the log, or the event to `confirm` is not in it: the database has lost commits since the position was
   * read
   */
  readFeed(request: FeedRequest): Promise<FeedPage>

  /** The position up to which `readFeed` can read now, `undefined` for an empty log. Only with `capabilities.globalOrder`. */
  lastPosition(): Promise<Position | undefined>

  /**
   * A position that no event stored before this call is behind; the feed may reach it only when what is under way has ended. `undefined` when nothing was ever
   * stored. Only with `capabilities.globalOrder`.
   */
  endPosition(): Promise<Position | undefined>

  /**
   * Which aggregates have new events since a cursor: each at least once, in any order, as soon as the store tells. For stores without a global order that can be
   * followed; the events themselves are read by `readAggregate`.
   * @throws StoreError `STORE_BEHIND` when the store has forgotten what came after the cursor
   */
  readChanges?(request: ChangesRequest): Promise<ChangesPage>

  /**
   * Runs `work` in one transaction with the moving of a checkpoint, for views that are tables of the user's own. `client` is what the database's driver offers inside a
   * transaction. The outcome is that of a commit of the checkpoint alone; on a conflict `work` was not run or all it did is undone. Rejects with what `work` rejects with, all undone. A
   * failure whose outcome is unknown is `failed`, not `certain`: sent again with the same id it is `repeated` where it was stored, and `work` does not run.
   */
  transact?(
    commit: { readonly id: string; readonly checkpoint: CheckpointWrite },
    work: (client: unknown) => void | Promise<void>,
  ): Promise<CommitOutcome>

  /** The checkpoint a commit wrote last under this name. */
  readCheckpoint(name: string): Promise<Checkpoint | undefined>

  /**
   * Checkpoints and leases of many consumers in one round trip, one answer per name, in the same order; an empty list is `[]`. It takes no lease and
   * moves nothing. Without this method the core reads one checkpoint after another, and does not know who holds a lease.
   */
  readConsumers?(names: readonly string[]): Promise<readonly StoredConsumer[]>

  /**
   * Takes the lease for `ttlMs` from now by the database's clock when it is free, has run out, or is the same holder's. Each time it is taken its
   * fence grows, and the fences before it are stale for ever. The answer may have the checkpoint of the same name, which saves the holder a read.
   */
  acquireLease(request: { readonly name: string; readonly holder: string; readonly ttlMs: number }): Promise<LeaseAnswer>

  /** Holds it for `ttlMs` more from now. `false` when `fence` is stale or the lease was released; one that has run out and was not taken by another can be renewed. */
  renewLease(request: { readonly name: string; readonly fence: number; readonly ttlMs: number }): Promise<boolean>

  /** Frees it for the next; nothing happens when `fence` is stale. The fence stays valid for nobody. */
  releaseLease(request: { readonly name: string; readonly fence: number }): Promise<void>

  /** Calls `wake` after commits were stored, by whichever process, where `capabilities.push`. A hint only: it may come late, twice or never. `wake` must not throw. Returns how to stop. */
  watch?(wake: () => void): () => void
}

/** What differs from store to store; `Infinity` where there is no limit. */
export interface Capabilities {
  /** Events have positions, and there is a feed. */
  readonly globalOrder: boolean
  /** `watch` is there and hears of every process's commits. */
  readonly push: boolean
  /** Aggregates that one commit may append to. */
  readonly appendsPerCommit: number
  /** Events, snapshots, view rows, index values, key and checkpoint of one commit together. */
  readonly itemsPerCommit: number
  /** All JSON of one commit together. */
  readonly bytesPerCommit: number
  /** Data and metadata of one event. */
  readonly bytesPerEvent: number
}

/** Which events of one aggregate to read. */
export interface AggregateRequest {
  readonly aggregateType: string
  readonly aggregateId: string
  /** Only events past this sequence; 0 for all. */
  readonly after: number
  /** Only events, and a snapshot, up to and with this sequence. */
  readonly upTo?: number
  /** Also the snapshot, when it has this `stateVersion` and is past `after`; the events then start behind it. One whose JSON is corrupt counts as none. */
  readonly snapshot?: { readonly stateVersion: string }
  /**
   * At most this many events, at least 1; without it as many as the store likes. It may always give fewer, but not none, so that a page of large
   * events fits into memory: it then says `more`.
   */
  readonly limit?: number
}

/** Some events of one aggregate, in sequence order. */
export interface AggregatePage {
  readonly snapshot?: StoredSnapshot
  /** Each with its `position`, where the store has a global order. */
  readonly events: readonly StoredEvent[]
  /** There is more of what was asked for (up to `upTo`) after the last event; ask again with its sequence as `after`. Never with an empty page. */
  readonly more: boolean
}

/** A state as it was stored. */
export interface StoredSnapshot {
  /** Of the last event in the state. */
  readonly sequence: number
  /** Commit id of that event. A snapshot whose event is not stored counts as none. */
  readonly commitId: string
  readonly stateVersion: string
  /** How many times a snapshot of this aggregate was saved: 1, 2, 3 … */
  readonly version: number
  readonly state: unknown
}

/** Which ids of a type to read. */
export interface IdsRequest {
  readonly aggregateType: string
  /** Only ids behind this one, in byte order. */
  readonly after?: string
  /** At least 1. */
  readonly limit: number
}

/** Some ids of a type, in byte order. */
export interface IdsPage {
  readonly items: readonly string[]
  /** There is more after the last item; ask again with it as `after`. */
  readonly more: boolean
}

/** Names an idempotency key of one aggregate. */
export interface KeyRequest {
  readonly aggregateType: string
  readonly aggregateId: string
  readonly idempotencyKey: string
}

/** What is remembered under an idempotency key. */
export interface StoredKey {
  /** As the commit gave it. */
  readonly commandHash: string
  /** Id of the commit that was stored under the key. */
  readonly commitId: string
  /** The events that the commit appended to this aggregate: first and last sequence. */
  readonly firstSequence: number
  readonly lastSequence: number
}

/** Names a row of a view. */
export interface ViewKey {
  /** Name of the view. */
  readonly name: string
  /** Rows of different generations are different rows. `'live'`: of whichever is live at the moment of the read. */
  readonly generation: number | 'live'
  readonly id: string
}

/** A row of a view as it is stored. */
export interface StoredView {
  readonly name: string
  readonly generation: number
  readonly id: string
  /** How many times it was saved or deleted. */
  readonly version: number
  /** `null`: deleted. */
  readonly view: unknown
  /** Of the last event folded into it, where its last save said one. */
  readonly sequence?: number
}

/** Which rows of one generation of a view to find. */
export interface ViewFind {
  readonly name: string
  /** `'live'`: whichever is live at the moment of the read. */
  readonly generation: number | 'live'
  /** All must hold; encoded values are compared as bytes. A view without a value for the index does not meet the condition. */
  readonly where: readonly { readonly index: string; readonly is: '=' | '<' | '<=' | '>' | '>='; readonly value: string }[]
  /** Views without a value for this index are left out. */
  readonly orderBy?: { readonly index: string; readonly descending?: boolean }
  /** The last row of the page before: its id and, with `orderBy`, its encoded value. */
  readonly after?: { readonly id: string; readonly value?: string }
  /** At least 1. */
  readonly limit: number
}

/** Some rows of a view. */
export interface ViewPage {
  readonly items: readonly StoredView[]
  /** There is more: ask again with it as `after`. */
  readonly next?: { readonly id: string; readonly value?: string }
}

/** One copy of the rows of a view: a rebuild fills a new one beside the one that is read. */
export interface ViewGeneration {
  readonly generation: number
  readonly viewVersion: string
  /** Commits may write what is `live` or `building`; readers read what is live. */
  readonly state: 'building' | 'live' | 'retired'
}

/** Which part of the log to read. */
export interface FeedRequest {
  /** Only events behind this position; from the beginning without it. */
  readonly after?: Position
  /** The `last` of an earlier page: the log must still have it. */
  readonly confirm?: LogEvent
  /** Only these aggregate types and, where given, only these of their stored event types; what is named twice comes once, an empty list is nothing. All without it. */
  readonly only?: readonly { readonly aggregateType: string; readonly eventTypes?: readonly string[] }[]
  /** At most this many events, at least 1; a store may give fewer, so that a page of large events fits into memory. */
  readonly limit: number
}

/** Names an event of the log, and the commit that it must be of. */
export interface LogEvent {
  readonly position: Position
  readonly commitId: string
}

/** Some of the log, in commit order. */
export interface FeedPage {
  /** Each with its `position`. */
  readonly events: readonly StoredEvent[]
  /** All up to here was looked at, also what `only` left out: where to go on. The `after` of the request when nothing was new; `undefined` for an empty log. */
  readonly position: Position | undefined
  /** The last event at or before `position`, whatever `only` leaves out. None for an empty log, and none is needed where nothing was new. */
  readonly last?: LogEvent
  /** There may be more to read at once, also behind an empty page. */
  readonly more: boolean
}

/** Which part of the news of a store without a global order to read. */
export interface ChangesRequest {
  /** Where an earlier page ended; without it the page is empty and its cursor stands at the end as it is now. */
  readonly cursor?: string
  /** About this many changes at most, at least 1. */
  readonly limit: number
}

/** Some of the news. */
export interface ChangesPage {
  /** Each aggregate with the highest sequence that was seen of it. */
  readonly changes: readonly { readonly aggregateType: string; readonly aggregateId: string; readonly sequence: number }[]
  /** Where to go on. */
  readonly cursor: string
  /** There may be more to read at once. */
  readonly more: boolean
}
