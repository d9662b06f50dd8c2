import type { Position } from '../event-envelope.ts'
import { appendBatch, type RoundDatabase } from '../sql/append.ts'
import { oneOf, text, whole } from '../sql/columns.ts'
import { mostEvents } from '../sql/page.ts'
import {
  type EventRow,
  eventReader,
  toCheckpoint,
  toIdsPage,
  toStoredConsumers,
  toStoredKey,
  toStoredView,
  toViewGeneration,
  toViewPage,
} from '../sql/rows.ts'
import { transact } from '../sql/transact.ts'
import type { CheckpointWrite, Commit, CommitOutcome, StoredEvent } from '../store/commit.ts'
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
import { checkBoolean, checkOptions } from '../util/options.ts'
import { roundDatabase } from './append.ts'
import { checkClient, type PostgresClient, type PostgresValue } from './client.ts'
import { Connection, type Statement } from './connection.ts'
import { createSchema } from './create-schema.ts'
import { endPosition, lastPosition, readFeed } from './feed.ts'
import { findViewsStatement } from './find-views.ts'
import { type Names, namesOf, type PostgresTables } from './names.ts'
import { checkListener, Listener, Notifier, type PostgresListener } from './push.ts'
import { AggregateReads } from './read.ts'
import { schemaStatement } from './schema.ts'
import { type Statements, statementsOf } from './statements.ts'
import { transactionDatabase } from './transact.ts'

/** Options of `postgresStore`. */
export interface PostgresStoreOptions {
  /** Postgres schema of the tables; `createSchema()` creates it if needed. Default `'public'`. */
  readonly schema?: string
  /**
   * Other names for tables, for example those of existing tables of the Rust crate.
   *
   * Up to 40 letters, digits and underscores each.
   */
  readonly tables?: PostgresTables
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
   * Keeps statements prepared on each connection, which saves Postgres the planning of reads.
   * Default `false`.
   *
   * Only with `pg`, and only without a pooler, or with one that supports prepared statements.
   */
  readonly preparedStatements?: boolean
  /**
   * A connected `Client` of `pg` for this store alone, on which `watch` receives commit
   * notifications by `LISTEN`.
   *
   * It must reach Postgres directly or through a pooler in session mode; the store's own client
   * need not. You open and close it. If its connection breaks, notifications end and polling
   * continues. Default: none; readers of the log poll.
   */
  readonly listener?: PostgresListener
  /**
   * Notifies the listeners of all processes after an append. Default: whether `listener` is given.
   *
   * Each notification is a separate statement that no append waits for. Set `true` in processes
   * that write without listening.
   */
  readonly notify?: boolean
}

/**
 * Creates a store in a Postgres database, version 13 or newer.
 *
 * `client` is a `Pool` or `Client` of `pg`, or any other `PostgresClient`. The store neither opens
 * nor closes it. Each call is a single statement, also an append of a whole batch, so the store
 * works behind transaction poolers and with drivers over HTTP. Only `transact` needs a `Pool` or
 * PGlite. Call `createSchema()` once before the first use.
 *
 * @throws DefinitionError for an unknown or invalid option, or a client without `query`
 * @example
 * ```ts
 * import pg from 'pg'
 * import { postgresStore } from 'cqrs-es/postgres'
 *
 * const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL })
 * const store = postgresStore(pool, { schema: 'bank' })
 * await store.createSchema()
 * const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'acct-1', after: 0 })
 * console.log(page.events.length) // 0
 * await pool.end()
 * ```
 */
export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): Store {
  checkClient(client)
  checkOptions('postgresStore', options, [
    'schema',
    'tables',
    'payloadFormat',
    'inexactNumbers',
    'preparedStatements',
    'listener',
    'notify',
  ])
  const { schema = 'public', tables = {}, payloadFormat = 'json', preparedStatements = false, listener } = options
  const { notify = listener !== undefined, inexactNumbers = 'refuse' } = options
  checkPayloadFormat('postgresStore', payloadFormat)
  checkInexactNumbers('postgresStore', inexactNumbers)
  checkBoolean('postgresStore: "preparedStatements"', preparedStatements)
  if (listener !== undefined) checkListener(listener)
  checkBoolean('postgresStore: "notify"', notify)
  const names = namesOf(schema, tables)
  return new PostgresStore(new Connection(client, preparedStatements), names, { payloadFormat, inexactNumbers, listener, notify })
}

const capacity = {
  globalOrder: true,
  appendsPerCommit: Number.POSITIVE_INFINITY,
  itemsPerCommit: Number.POSITIVE_INFINITY,
  bytesPerCommit: 100_000_000,
  bytesPerEvent: 50_000_000,
} as const

/** Postgres takes a parameter of 1 GB, but needs several times that memory to read it. */
const limits = { ...capacity, bytesPerRound: 16_000_000 }

/**
 * A page of events ends at either limit, so that a long history is read and held in memory in
 * parts.
 */
const most = { events: mostEvents, bytes: 4_000_000 }

class PostgresStore implements Store {
  readonly capabilities: Capabilities
  declare readonly watch?: (wake: () => void) => () => void
  readonly #connection: Connection
  readonly #names: Names
  readonly #statements: Statements
  readonly #rounds: RoundDatabase
  readonly #reads: AggregateReads
  readonly #notifier: Notifier | undefined
  readonly #toStoredEvent: (row: EventRow) => StoredEvent

  constructor(
    connection: Connection,
    names: Names,
    {
      payloadFormat: format,
      inexactNumbers,
      listener,
      notify,
    }: {
      payloadFormat: PayloadFormat
      inexactNumbers: InexactNumbers
      listener: PostgresListener | undefined
      notify: boolean
    },
  ) {
    this.capabilities = { ...capacity, push: listener !== undefined }
    this.#connection = connection
    this.#names = names
    this.#statements = statementsOf(names)
    this.#rounds = roundDatabase(connection, this.#statements.append, { format, limits })
    this.#toStoredEvent = eventReader(format, inexactNumbers)
    this.#reads = new AggregateReads(connection, this.#statements, most.bytes, this.#toStoredEvent)
    this.#notifier = notify ? new Notifier(connection, this.#statements, names.channel) : undefined
    if (listener === undefined) return
    const listening = new Listener(listener, names.channel)
    this.watch = (wake) => listening.watch(wake)
  }

  createSchema(): Promise<void> {
    return createSchema(this.#connection, this.#statements)
  }

  printSchema(): string {
    return schemaStatement(this.#names)
  }

  async append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    const outcomes = await appendBatch(this.#rounds, commits)
    this.#notifier?.notify(outcomes)
    return outcomes
  }

  readAggregate(request: AggregateRequest): Promise<AggregatePage> {
    return this.#reads.read(request)
  }

  async readIds({ aggregateType, after = '', limit }: IdsRequest): Promise<IdsPage> {
    const rows = await this.#connection.all(this.#statements.readIds, aggregateType, after, limit + 1)
    return toIdsPage(limit, rows)
  }

  async readKey({ aggregateType, aggregateId, idempotencyKey }: KeyRequest): Promise<StoredKey | undefined> {
    const row = await this.#connection.first(this.#statements.readKey, aggregateType, aggregateId, idempotencyKey)
    return row && toStoredKey(row)
  }

  async readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]> {
    if (keys.length === 0) return []
    const wanted = keys.map(({ name: n, generation, id: i }) => ({ n, g: generation === 'live' ? null : generation, i }))
    const rows = await this.#connection.all(this.#statements.readViews, JSON.stringify(wanted))
    const byPlace = new Map(rows.map((row) => [whole(row, 'nth'), row]))
    return keys.map(({ name, id }, at) => {
      const row = byPlace.get(at + 1)
      return row && toStoredView(name, id, row)
    })
  }

  async findViews(request: ViewFind): Promise<ViewPage> {
    const { statement, values } = findViewsStatement(this.#names, { ...request, limit: request.limit + 1 })
    return toViewPage(request, await this.#connection.all(statement, ...values))
  }

  async viewGenerations(name: string): Promise<readonly ViewGeneration[]> {
    const rows = await this.#connection.all(this.#statements.readGenerations, name)
    return rows.map(toViewGeneration)
  }

  async addViewGeneration(added: { name: string; generation: number; viewVersion: string }): Promise<boolean> {
    const { name, generation, viewVersion } = added
    return this.#isDone(this.#statements.addGeneration, name, generation, viewVersion)
  }

  async switchViewGeneration({ name, from, to }: { name: string; from: number; to: number }): Promise<boolean> {
    return this.#isDone(this.#statements.switchGeneration, name, from, to)
  }

  async removeViewGeneration({ name, generation }: { name: string; generation: number }): Promise<boolean> {
    return this.#isDone(this.#statements.removeGeneration, name, generation)
  }

  readFeed(request: FeedRequest): Promise<FeedPage> {
    return readFeed(this.#connection, this.#statements, request, most, this.#toStoredEvent)
  }

  lastPosition(): Promise<Position | undefined> {
    return lastPosition(this.#connection, this.#statements)
  }

  endPosition(): Promise<Position | undefined> {
    return endPosition(this.#connection, this.#statements)
  }

  async transact(
    commit: { readonly id: string; readonly checkpoint: CheckpointWrite },
    work: (client: unknown) => void | Promise<void>,
  ): Promise<CommitOutcome> {
    return transact(transactionDatabase(this.#connection, this.#statements), commit, work)
  }

  async readCheckpoint(name: string): Promise<Checkpoint | undefined> {
    const row = await this.#connection.first(this.#statements.readCheckpoint, name)
    return row && toCheckpoint(row)
  }

  async readConsumers(names: readonly string[]): Promise<readonly StoredConsumer[]> {
    if (names.length === 0) return []
    return toStoredConsumers(await this.#connection.all(this.#statements.readConsumers, JSON.stringify(names)))
  }

  async acquireLease({ name, holder, ttlMs }: { name: string; holder: string; ttlMs: number }): Promise<LeaseAnswer> {
    const [row = {}] = await this.#connection.all(this.#statements.acquireLease, name, holder, ttlMs)
    return JSON.parse(text(row, 'answer'))
  }

  async renewLease({ name, fence, ttlMs }: { name: string; fence: number; ttlMs: number }): Promise<boolean> {
    return (await this.#connection.first(this.#statements.renewLease, name, fence, ttlMs)) !== undefined
  }

  async releaseLease({ name, fence }: { name: string; fence: number }): Promise<void> {
    await this.#connection.all(this.#statements.releaseLease, name, fence)
  }

  async #isDone(statement: Statement, ...values: PostgresValue[]): Promise<boolean> {
    const [row = {}] = await this.#connection.all(statement, ...values)
    return oneOf(row, 'done', ['true', 'false']) === 'true'
  }
}
