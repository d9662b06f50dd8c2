import { DefinitionError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import { text, whole } from '../sql/columns.ts'
import { mostEvents } from '../sql/page.ts'
import {
  eventReader,
  toCheckpoint,
  toIdsPage,
  toStoredConsumer,
  toStoredKey,
  toStoredSnapshot,
  toStoredView,
  toViewPage,
} from '../sql/rows.ts'
import type { CheckpointWrite, Commit, CommitOutcome } from '../store/commit.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from '../store/consumer.ts'
import { checkInexactNumbers, type InexactNumbers } from '../store/exact-json.ts'
import type {
  AggregatePage,
  AggregateRequest,
  Capabilities,
  FeedPage,
  FeedRequest,
  IdsPage,
  IdsRequest,
  KeyRequest,
  Store,
  StoredKey,
  StoredSnapshot,
  StoredView,
  ViewFind,
  ViewGeneration,
  ViewKey,
  ViewPage,
} from '../store/store.ts'
import { checkOptions } from '../util/options.ts'
import { appendBatch } from './append.ts'
import { checkDatabase, type SqliteDatabase } from './client.ts'
import { Connection } from './connection.ts'
import { createSchema } from './create-schema.ts'
import { lastPosition, readFeed } from './feed.ts'
import { findViewsStatement } from './find-views.ts'
import { addGeneration, readGeneration, readGenerations, removeGeneration, switchGeneration } from './generations.ts'
import { readPage } from './page.ts'
import { printSchema } from './schema.ts'
import * as statements from './statements.ts'
import { transact } from './transact.ts'

/** Options of `sqliteStore`. */
export interface SqliteStoreOptions {
  /**
   * Durability of commits after a power failure. Default `'full'`: no confirmed commit is lost.
   *
   * `'normal'` may lose the last commits, but never consistency, and is several times faster. A
   * crash of the process loses nothing in either mode. Sets `PRAGMA synchronous` on the connection.
   */
  readonly durability?: 'full' | 'normal'
  /**
   * Milliseconds to wait for locks of other connections before `STORE_BUSY`. Default 5,000.
   *
   * The event loop is not blocked meanwhile.
   */
  readonly busyTimeoutMs?: number
  /**
   * Handling of numbers that JavaScript would round, such as 64-bit integers. Default `'refuse'`.
   *
   * With `'refuse'`, reading an event with such a number throws a `DeserializationError`.
   */
  readonly inexactNumbers?: InexactNumbers
}

/**
 * Creates a store in a SQLite database.
 *
 * `db` is an open database object of `node:sqlite`, `better-sqlite3`, `libsql` or `bun:sqlite`. The
 * store neither opens nor closes it, and runs its transactions between yours. Call `createSchema()`
 * once before the first use.
 *
 * @throws DefinitionError for an unknown or invalid option, or a value that is not such a database
 * @example
 * ```ts
 * import Database from 'libsql'
 * import { sqliteStore } from 'cqrs-es/sqlite'
 *
 * const store = sqliteStore(new Database(':memory:'))
 * await store.createSchema()
 * const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'acct-1', after: 0 })
 * console.log(page.events.length) // 0
 * ```
 */
export function sqliteStore(db: SqliteDatabase, options: SqliteStoreOptions = {}): Store {
  checkDatabase(db)
  checkOptions('sqliteStore', options, ['durability', 'busyTimeoutMs', 'inexactNumbers'])
  const { durability = 'full', busyTimeoutMs = 5_000, inexactNumbers = 'refuse' } = options
  if (durability !== 'full' && durability !== 'normal') {
    throw new DefinitionError(`sqliteStore: "durability" must be 'full' or 'normal', not ${JSON.stringify(durability)}.`)
  }
  if (!(typeof busyTimeoutMs === 'number' && busyTimeoutMs >= 0 && Number.isFinite(busyTimeoutMs))) {
    throw new DefinitionError('sqliteStore: "busyTimeoutMs" must be a number of milliseconds, 0 or more.')
  }
  checkInexactNumbers('sqliteStore', inexactNumbers)
  return new SqliteStore(new Connection(db, { durability, busyTimeoutMs }), inexactNumbers)
}

const capabilities: Capabilities = {
  globalOrder: true,
  push: false,
  appendsPerCommit: Number.POSITIVE_INFINITY,
  itemsPerCommit: Number.POSITIVE_INFINITY,
  bytesPerCommit: Number.POSITIVE_INFINITY,
  bytesPerEvent: 1_000_000_000,
}

class SqliteStore implements Store {
  readonly capabilities = capabilities
  readonly #connection: Connection
  readonly #toStoredEvent: ReturnType<typeof eventReader>

  constructor(connection: Connection, inexactNumbers: InexactNumbers) {
    this.#connection = connection
    this.#toStoredEvent = eventReader('json', inexactNumbers)
  }

  createSchema(): Promise<void> {
    return createSchema(this.#connection)
  }

  printSchema(): string {
    return printSchema()
  }

  append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    return appendBatch(this.#connection, commits)
  }

  readAggregate(request: AggregateRequest): Promise<AggregatePage> {
    const { aggregateType, aggregateId, after, upTo = Number.MAX_SAFE_INTEGER, limit = mostEvents } = request
    return this.#connection.read(() => {
      const snapshot = this.#readSnapshot(request, upTo)
      const { rows, more } = readPage(this.#connection, limit, (last, most) => {
        const from = last === undefined ? (snapshot?.sequence ?? after) : whole(last, 'sequence')
        return this.#connection.all(statements.readEvents, aggregateType, aggregateId, from, upTo, most)
      })
      return { ...(snapshot && { snapshot }), events: rows.map(this.#toStoredEvent), more }
    })
  }

  readIds({ aggregateType, after = '', limit }: IdsRequest): Promise<IdsPage> {
    return this.#connection.read(() => {
      const rows = this.#connection.all(statements.readIds, aggregateType, after, aggregateType, limit + 1)
      return toIdsPage(limit, rows)
    })
  }

  readKey({ aggregateType, aggregateId, idempotencyKey }: KeyRequest): Promise<StoredKey | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.first(statements.readKey, aggregateType, aggregateId, idempotencyKey)
      return row && toStoredKey(row)
    })
  }

  readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]> {
    return this.#connection.read(() =>
      keys.map(({ name, generation: wanted, id }) => {
        const generation = readGeneration(this.#connection, name, wanted)
        const row = this.#connection.first(statements.readView, name, generation, id)
        return row && toStoredView(name, text(row, 'view_id'), row)
      }),
    )
  }

  findViews(request: ViewFind): Promise<ViewPage> {
    return this.#connection.read(() => {
      const generation = readGeneration(this.#connection, request.name, request.generation)
      const { sql, values } = findViewsStatement({ ...request, limit: request.limit + 1 }, generation)
      return toViewPage(request, this.#connection.all(sql, ...values))
    })
  }

  viewGenerations(name: string): Promise<readonly ViewGeneration[]> {
    return this.#connection.read(() => readGenerations(this.#connection, name))
  }

  addViewGeneration(added: { name: string; generation: number; viewVersion: string }): Promise<boolean> {
    return this.#connection.write(() => addGeneration(this.#connection, added.name, added.generation, added.viewVersion))
  }

  switchViewGeneration({ name, from, to }: { name: string; from: number; to: number }): Promise<boolean> {
    return this.#connection.write(() => switchGeneration(this.#connection, name, from, to))
  }

  removeViewGeneration({ name, generation }: { name: string; generation: number }): Promise<boolean> {
    return this.#connection.write(() => removeGeneration(this.#connection, name, generation))
  }

  readFeed(request: FeedRequest): Promise<FeedPage> {
    return this.#connection.read(() => readFeed(this.#connection, request, this.#toStoredEvent))
  }

  lastPosition(): Promise<Position | undefined> {
    return this.#connection.read(() => {
      const last = lastPosition(this.#connection)
      return last === undefined ? undefined : (String(last) as Position)
    })
  }

  endPosition(): Promise<Position | undefined> {
    return this.lastPosition()
  }

  transact(
    commit: { readonly id: string; readonly checkpoint: CheckpointWrite },
    work: (client: unknown) => void | Promise<void>,
  ): Promise<CommitOutcome> {
    return transact(this.#connection, commit, work)
  }

  readCheckpoint(name: string): Promise<Checkpoint | undefined> {
    return this.#connection.read(() => {
      const row = this.#connection.first(statements.readCheckpoint, name)
      return row && toCheckpoint(row)
    })
  }

  readConsumers(names: readonly string[]): Promise<readonly StoredConsumer[]> {
    return this.#connection.read(() =>
      this.#connection.all(statements.readConsumers, JSON.stringify(names)).map(toStoredConsumer),
    )
  }

  acquireLease({ name, holder, ttlMs }: { name: string; holder: string; ttlMs: number }): Promise<LeaseAnswer> {
    return this.#connection.write(() => {
      const taken = this.#connection.first(statements.takeLease, name, holder, ttlMs)
      if (taken) {
        const row = this.#connection.first(statements.readCheckpoint, name)
        return { acquired: true, fence: whole(taken, 'fence'), checkpoint: row ? toCheckpoint(row) : null }
      }
      const lease = this.#connection.always(statements.readLease, name)
      return { acquired: false, holder: text(lease, 'holder'), remainingMs: whole(lease, 'remaining_ms') }
    })
  }

  renewLease({ name, fence, ttlMs }: { name: string; fence: number; ttlMs: number }): Promise<boolean> {
    return this.#connection.write(() => this.#connection.first(statements.renewLease, ttlMs, name, fence) !== undefined)
  }

  releaseLease({ name, fence }: { name: string; fence: number }): Promise<void> {
    return this.#connection.write(() => {
      this.#connection.run(statements.releaseLease, name, fence)
    })
  }

  #readSnapshot({ aggregateType, aggregateId, after, snapshot }: AggregateRequest, upTo: number): StoredSnapshot | undefined {
    if (snapshot === undefined) return undefined
    const { stateVersion } = snapshot
    const row = this.#connection.first(statements.readSnapshot, aggregateType, aggregateId, stateVersion, after, upTo)
    return row && toStoredSnapshot(stateVersion, row)
  }
}
