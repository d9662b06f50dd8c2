import type { Position } from '../event-envelope.ts'
import { appendBatch, type RoundDatabase } from '../sql/append.ts'
import { mostEvents } from '../sql/page.ts'
import {
  type EventRow,
  eventReader,
  toCheckpoint,
  toIdsPage,
  toStoredConsumers,
  toStoredKey,
  toStoredSnapshot,
  toStoredView,
  toViewPage,
} from '../sql/rows.ts'
import { transact } from '../sql/transact.ts'
import type { CheckpointWrite, Commit, CommitOutcome } from '../store/commit.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from '../store/consumer.ts'
import { checkInexactNumbers, type InexactNumbers } from '../store/exact-json.ts'
import { checkPayloadFormat, type PayloadFormat } from '../store/payload-format.ts'
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
  StoredView,
  ViewFind,
  ViewGeneration,
  ViewKey,
  ViewPage,
} from '../store/store.ts'
import { checkBoolean, checkOptions, checkWholeNumber } from '../util/options.ts'
import { roundDatabase } from './append.ts'
import { checkPool, type MysqlPool } from './client.ts'
import { Connection, type Row, type Run, type Value } from './connection.ts'
import { createSchema } from './create-schema.ts'
import { explained, persistently } from './errors.ts'
import { readFeed } from './feed.ts'
import { findViewsStatement } from './find-views.ts'
import { addGeneration, readGenerations, removeGeneration, switchGeneration } from './generations.ts'
import { toLeaseAnswer } from './lease-procedure.ts'
import { type MysqlTables, type Names, namesOf } from './names.ts'
import { printSchema } from './schema.ts'
import { type Statements, statementsOf } from './statements.ts'
import { transactionDatabase } from './transact.ts'

/** Options of `mysqlStore`. */
export interface MysqlStoreOptions {
  /**
   * MySQL database of the tables, which must exist. Default: the one selected by the pool's
   * connections.
   */
  readonly database?: string
  /**
   * Other names for tables, for example those of existing tables of the Rust crate.
   *
   * Up to 48 letters, digits and underscores each.
   */
  readonly tables?: MysqlTables
  /**
   * Format of the data of events. Default `'json'`.
   *
   * `'serde-enum'` shares the rows with programs that use the Rust crate.
   */
  readonly payloadFormat?: PayloadFormat
  /**
   * Handling of numbers that JavaScript would round, such as 64-bit integers. Default `'refuse'`.
   *
   * With `'refuse'`, reading an event with such a number throws a `DeserializationError`.
   */
  readonly inexactNumbers?: InexactNumbers
  /**
   * Whether another program inserts events, too. Default `false`.
   *
   * `createSchema()` and `printSchema()` then add a trigger that gives a position to each of its
   * rows, and the indexes that the Rust crate needs. Without the trigger, reading the log fails at
   * such a row.
   */
  readonly foreignWriters?: boolean
  /**
   * Maximum bytes of JSON in one commit, and in one event. Default 12,000,000.
   *
   * The default fits into MariaDB's default `max_allowed_packet` of 16 MB. Raise both for more.
   */
  readonly bytesPerCommit?: number
}

/**
 * Creates a store in a database of MySQL (8.0.19 or newer) or MariaDB (10.6 or newer).
 *
 * `pool` comes from `mysql2/promise` or `mariadb`. The store neither opens nor closes it. An
 * append, also of a whole batch, is one call of a procedure. Call `createSchema()` once before the
 * first use.
 *
 * @throws DefinitionError for an unknown or invalid option, or a value that is not such a pool
 * @example
 * ```ts
 * import { mysqlStore } from 'cqrs-es/mysql'
 * import { createPool } from 'mysql2/promise'
 *
 * const pool = createPool(process.env.MYSQL_URL ?? 'mysql://root@localhost/bank')
 * const store = mysqlStore(pool)
 * await store.createSchema()
 * const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'acct-1', after: 0 })
 * console.log(page.events.length) // 0
 * await pool.end()
 * ```
 */
export function mysqlStore(pool: MysqlPool, options: MysqlStoreOptions = {}): Store {
  checkPool(pool)
  checkOptions('mysqlStore', options, [
    'database',
    'tables',
    'payloadFormat',
    'inexactNumbers',
    'foreignWriters',
    'bytesPerCommit',
  ])
  const { database, tables = {}, payloadFormat = 'json', foreignWriters = false, bytesPerCommit = 12_000_000 } = options
  const { inexactNumbers = 'refuse' } = options
  checkPayloadFormat('mysqlStore', payloadFormat)
  checkInexactNumbers('mysqlStore', inexactNumbers)
  checkBoolean('mysqlStore: "foreignWriters"', foreignWriters)
  checkWholeNumber('mysqlStore: "bytesPerCommit"', bytesPerCommit, 1)
  const rest = { payloadFormat, inexactNumbers, foreignWriters, bytesPerCommit }
  return new MysqlStore(new Connection(pool), namesOf(database, tables), rest)
}

/**
 * Approximate size of a round. Writers run one after another, so that a small round keeps waits
 * short.
 */
const bytesPerRound = 4_000_000

class MysqlStore implements Store {
  readonly capabilities: Capabilities
  readonly #connection: Connection
  readonly #names: Names
  readonly #statements: Statements
  readonly #foreignWriters: boolean
  readonly #rounds: RoundDatabase
  readonly #toStoredEvent: ReturnType<typeof eventReader>

  constructor(
    connection: Connection,
    names: Names,
    {
      payloadFormat: format,
      inexactNumbers,
      foreignWriters,
      bytesPerCommit,
    }: Required<Omit<MysqlStoreOptions, 'database' | 'tables'>>,
  ) {
    this.#connection = connection
    this.#names = names
    this.#foreignWriters = foreignWriters
    this.#statements = statementsOf(names)
    this.capabilities = {
      globalOrder: true,
      push: false,
      appendsPerCommit: Number.POSITIVE_INFINITY,
      itemsPerCommit: Number.POSITIVE_INFINITY,
      bytesPerCommit,
      bytesPerEvent: bytesPerCommit,
    }
    this.#rounds = roundDatabase(connection, this.#statements, { format, limits: { ...this.capabilities, bytesPerRound } })
    this.#toStoredEvent = eventReader(format, inexactNumbers)
  }

  createSchema(): Promise<void> {
    const target = {
      connection: this.#connection,
      names: this.#names,
      statements: this.#statements,
      foreignWriters: this.#foreignWriters,
    }
    return explained(createSchema(target))
  }

  printSchema(): string {
    return printSchema(this.#names, this.#foreignWriters)
  }

  append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    return appendBatch(this.#rounds, commits)
  }

  async readAggregate(request: AggregateRequest): Promise<AggregatePage> {
    const { aggregateType, aggregateId, after, upTo = Number.MAX_SAFE_INTEGER, snapshot: wanted } = request
    const limit = Math.min(request.limit ?? mostEvents, mostEvents)
    const place = [aggregateType, aggregateId]
    const trusted = [...place, wanted?.stateVersion ?? '', after, upTo]
    const rows = wanted
      ? await this.#all(this.#statements.readSnapshotAndEvents, ...trusted, ...place, ...trusted, after, upTo, limit + 1)
      : await this.#all(this.#statements.readEvents, ...place, after, upTo, limit + 1)
    const saved = rows.find((row) => (row.saved ?? null) !== null)
    const snapshot = wanted && saved && toStoredSnapshot(wanted.stateVersion, { ...saved, version: saved.saved })
    if (saved !== undefined && snapshot === undefined) {
      const { snapshot: _, ...withoutSnapshot } = request
      return this.readAggregate(withoutSnapshot)
    }
    const others = rows.filter((row) => row !== saved).sort((a, b) => Number(a.sequence) - Number(b.sequence))
    const events = (others.slice(0, limit) as unknown as EventRow[]).map(this.#toStoredEvent)
    return { ...(snapshot && { snapshot }), events, more: Number(others[0]?.found ?? 0) > events.length }
  }

  async readIds({ aggregateType, after = '', limit }: IdsRequest): Promise<IdsPage> {
    const rows = await this.#all(this.#statements.readIds, aggregateType, after, limit + 1)
    return toIdsPage(limit, rows)
  }

  async readKey({ aggregateType, aggregateId, idempotencyKey }: KeyRequest): Promise<StoredKey | undefined> {
    const row = await this.#first(this.#statements.readKey, aggregateType, aggregateId, idempotencyKey)
    return row && toStoredKey(row)
  }

  async readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]> {
    const rows = await this.#readViewRows(keys)
    const byPlace = new Map(rows.map((row) => [Number(row.nth), row]))
    return keys.map(({ name, id }, at) => {
      const row = byPlace.get(at + 1)
      return row && toStoredView(name, id, row)
    })
  }

  async findViews(request: ViewFind): Promise<ViewPage> {
    const { sql, values } = findViewsStatement(this.#names, { ...request, limit: request.limit + 1 })
    return toViewPage(request, await this.#all(sql, ...values))
  }

  viewGenerations(name: string): Promise<readonly ViewGeneration[]> {
    return explained(readGenerations(this.#connection.run, this.#statements, name))
  }

  addViewGeneration(added: { name: string; generation: number; viewVersion: string }): Promise<boolean> {
    return this.#change((run) => addGeneration(run, this.#statements, added))
  }

  switchViewGeneration(change: { name: string; from: number; to: number }): Promise<boolean> {
    return this.#change((run) => switchGeneration(run, this.#statements, change))
  }

  removeViewGeneration(removed: { name: string; generation: number }): Promise<boolean> {
    return explained(removeGeneration(this.#connection, this.#statements, removed))
  }

  readFeed(request: FeedRequest): Promise<FeedPage> {
    return explained(readFeed(this.#connection.run, this.#statements, this.#toStoredEvent, request, mostEvents))
  }

  async lastPosition(): Promise<Position | undefined> {
    const last = Number((await this.#first(this.#statements.readLastPosition))?.position ?? 0)
    return last === 0 ? undefined : (String(last) as Position)
  }

  endPosition(): Promise<Position | undefined> {
    return this.lastPosition()
  }

  transact(
    commit: { readonly id: string; readonly checkpoint: CheckpointWrite },
    work: (client: unknown) => void | Promise<void>,
  ): Promise<CommitOutcome> {
    return transact(transactionDatabase(this.#connection, this.#statements), commit, work)
  }

  async readCheckpoint(name: string): Promise<Checkpoint | undefined> {
    const row = await this.#first(this.#statements.readCheckpoint, name)
    return row && toCheckpoint(row)
  }

  async readConsumers(names: readonly string[]): Promise<readonly StoredConsumer[]> {
    if (names.length === 0) return []
    const wanted = names.map((n) => ({ n }))
    return toStoredConsumers(await this.#all(this.#statements.readConsumers, JSON.stringify(wanted)))
  }

  acquireLease({ name, holder, ttlMs }: { name: string; holder: string; ttlMs: number }): Promise<LeaseAnswer> {
    const values = [name, holder, microseconds(ttlMs)]
    return persistently(() =>
      this.#connection.on(async ({ run }) => toLeaseAnswer((await run(this.#statements.acquireLease, ...values)).rows[0])),
    )
  }

  async renewLease({ name, fence, ttlMs }: { name: string; fence: number; ttlMs: number }): Promise<boolean> {
    const { affectedRows } = await explained(
      this.#connection.change(this.#statements.renewLease, microseconds(ttlMs), name, fence),
    )
    return affectedRows > 0
  }

  async releaseLease({ name, fence }: { name: string; fence: number }): Promise<void> {
    await explained(this.#connection.change(this.#statements.releaseLease, name, fence))
  }

  async #readViewRows(keys: readonly ViewKey[]): Promise<readonly Row[]> {
    const [first] = keys
    if (first === undefined) return []
    if (keys.length === 1) {
      const { name, generation, id } = first
      if (generation === 'live') return this.#all(this.#statements.readLiveView, name, name, id)
      return this.#all(this.#statements.readView, name, generation, id)
    }
    const wanted = keys.map(({ name: n, generation, id: i }) => ({ n, i, ...(generation !== 'live' && { g: generation }) }))
    return this.#all(this.#statements.readViews, JSON.stringify(wanted))
  }

  async #all(sql: string, ...values: Value[]): Promise<readonly Row[]> {
    return (await explained(this.#connection.run(sql, ...values))).rows
  }

  async #first(sql: string, ...values: Value[]): Promise<Row | undefined> {
    return (await this.#all(sql, ...values))[0]
  }

  /** Runs a few statements in one transaction, with retries. */
  #change<T>(work: (run: Run) => Promise<T>): Promise<T> {
    return persistently(() => this.#connection.transaction(work))
  }
}

const microseconds = (ms: number): number => Math.round(ms * 1_000)
