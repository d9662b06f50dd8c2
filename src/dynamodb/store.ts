import { DefinitionError, StoreError } from '../errors.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import type { Checkpoint, LeaseAnswer, StoredConsumer } from '../store/consumer.ts'
import { checkInexactNumbers, type InexactNumbers } from '../store/exact-json.ts'
import { checkPayloadFormat, type PayloadFormat } from '../store/payload-format.ts'
import type {
  AggregatePage,
  AggregateRequest,
  Capabilities,
  ChangesPage,
  ChangesRequest,
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
import { appendBatch } from './append.ts'
import { checkClient, type DynamoDbClient } from './client.ts'
import { Connection } from './connection.ts'
import { createSchema } from './create-schema.ts'
import { findViews } from './find-views.ts'
import { addGeneration, readGenerations, removeGeneration, switchGeneration } from './generations.ts'
import { keyOfKey } from './keys.ts'
import { Leases } from './leases.ts'
import { capabilities } from './limits.ts'
import { readAggregate, readIds, readKey } from './read.ts'
import { printSchema, type TableOptions, tableNames } from './schema.ts'
import { EventStream } from './stream.ts'
import { checkStreamsClient, type DynamoDbStreamsClient } from './streams-client.ts'
import { readViews } from './views.ts'

/** Options of `dynamoDbStore`. */
export interface DynamoDbStoreOptions extends TableOptions {
  /**
   * Seconds for which an idempotency key is remembered, or `Infinity`. Default 2,592,000 (30 days).
   *
   * That is longer than a message can wait in a queue of AWS. DynamoDB deletes expired keys by
   * itself.
   */
  readonly idempotencyTtlSeconds?: number
  /**
   * Milliseconds to retry on throttling or transaction conflicts before `STORE_BUSY`. Default
   * 5,000.
   *
   * Pauses grow. The retries of the SDK come on top.
   */
  readonly busyTimeoutMs?: number
  /**
   * Format of the data of events. Default `'json'`.
   *
   * `'serde-enum'` shares the tables with programs that use the Rust crate.
   */
  readonly payloadFormat?: PayloadFormat
  /**
   * Handling of numbers that JavaScript would round, such as 64-bit integers. Default `'refuse'`.
   *
   * With `'refuse'`, reading an event with such a number throws a `DeserializationError`.
   */
  readonly inexactNumbers?: InexactNumbers
  /**
   * Whether another program also creates aggregates in the table of events.
   *
   * If so, `ids`, `replay` and `drain` first scan the whole table for them. Default: `true` with
   * `payloadFormat: 'serde-enum'`, and on a table of another program that `createSchema()` has
   * adopted. When the other program has stopped for good, set `false` and call `createSchema()`
   * once more.
   */
  readonly foreignWriters?: boolean
  /**
   * The `DynamoDBStreams` of `@aws-sdk/client-dynamodb-streams`, with which `readChanges` follows
   * the stream.
   *
   * It needs `streams: true`. Without it, the store has no `readChanges`.
   */
  readonly streamsClient?: DynamoDbStreamsClient
}

/**
 * A store in DynamoDB: a `Store` without a global order, as its type says.
 *
 * It has no positions, and methods that need a log of all aggregates reject.
 * @example
 * ```ts
 * import { DynamoDB } from '@aws-sdk/client-dynamodb'
 * import { type DynamoDbStore, dynamoDbStore } from 'cqrs-es/dynamodb'
 *
 * const store: DynamoDbStore = dynamoDbStore(new DynamoDB({ region: 'eu-central-1' }))
 * const noFeed: false = store.capabilities.globalOrder
 * ```
 */
export interface DynamoDbStore extends Store {
  readonly capabilities: Capabilities & { readonly globalOrder: false; readonly push: false }
  /** @throws StoreError always: DynamoDB has no log of all aggregates */
  readFeed(): Promise<never>
  /** @throws StoreError always: DynamoDB has no log of all aggregates */
  lastPosition(): Promise<never>
  /** @throws StoreError always: DynamoDB has no log of all aggregates */
  endPosition(): Promise<never>
  /**
   * Reads from the stream which aggregates have new events. Only with `streamsClient`.
   *
   * @throws StoreError `STORE_BEHIND` when the table has another stream, or DynamoDB has deleted
   * records after the cursor, which it does after 24 hours
   */
  readChanges?(request: ChangesRequest): Promise<ChangesPage>
}

/**
 * Creates a store in four tables of DynamoDB.
 *
 * Pass a `DynamoDB` of the AWS SDK for JavaScript, version 3, with your region, credentials,
 * timeouts and retries. The store never closes it. The tables must exist. Call `createSchema()` to
 * create them, or pass `tableDefinitions()` to your own tools.
 *
 * @throws DefinitionError for an invalid option or table name, or another kind of client
 * @example
 * ```ts
 * import { DynamoDB } from '@aws-sdk/client-dynamodb'
 * import { dynamoDbStore } from 'cqrs-es/dynamodb'
 *
 * const store = dynamoDbStore(new DynamoDB(), { tables: { events: 'bank-events' } })
 * await store.createSchema()
 * const page = await store.readAggregate({ aggregateType: 'account', aggregateId: 'acct-1', after: 0 })
 * console.log(page.events.length) // 0
 * ```
 */
export function dynamoDbStore(client: DynamoDbClient, options: DynamoDbStoreOptions = {}): DynamoDbStore {
  checkClient(client)
  const known = [
    'tables',
    'streams',
    'idempotencyTtlSeconds',
    'busyTimeoutMs',
    'payloadFormat',
    'inexactNumbers',
    'foreignWriters',
    'streamsClient',
  ]
  checkOptions('dynamoDbStore', options, known)
  const { streams = false, idempotencyTtlSeconds = 2_592_000, busyTimeoutMs = 5_000 } = options
  const { payloadFormat = 'json', inexactNumbers = 'refuse' } = options
  const { foreignWriters = payloadFormat === 'json' ? undefined : true } = options
  checkPayloadFormat('dynamoDbStore', payloadFormat)
  checkInexactNumbers('dynamoDbStore', inexactNumbers)
  checkBoolean('dynamoDbStore: "streams"', streams)
  const { streamsClient } = options
  if (streamsClient !== undefined) {
    checkStreamsClient(streamsClient)
    if (!streams) throw new DefinitionError('dynamoDbStore: "streamsClient" needs "streams: true".')
  }
  if (idempotencyTtlSeconds !== Number.POSITIVE_INFINITY)
    checkWholeNumber('dynamoDbStore: "idempotencyTtlSeconds"', idempotencyTtlSeconds, 1)
  checkWholeNumber('dynamoDbStore: "busyTimeoutMs"', busyTimeoutMs, 0)
  const tables = tableNames(options.tables)
  if (foreignWriters !== undefined) checkBoolean('dynamoDbStore: "foreignWriters"', foreignWriters)
  const reading = { payloadFormat, inexactNumbers, foreignWriters }
  const connection = new Connection(client, { tables, busyTimeoutMs, keyTtlSeconds: idempotencyTtlSeconds, ...reading })
  return new StoreOnDynamoDb(connection, streams, streamsClient && new EventStream(connection, streamsClient))
}

class StoreOnDynamoDb implements DynamoDbStore {
  readonly capabilities = capabilities
  readonly #connection: Connection
  readonly #leases: Leases
  readonly #streams: boolean
  readonly readChanges?: (request: ChangesRequest) => Promise<ChangesPage>

  constructor(connection: Connection, streams: boolean, stream: EventStream | undefined) {
    this.#connection = connection
    this.#leases = new Leases(connection)
    this.#streams = streams
    if (stream !== undefined) this.readChanges = (request) => stream.readChanges(request)
  }

  createSchema(): Promise<void> {
    return createSchema(this.#connection, this.#streams)
  }

  printSchema(): string {
    return printSchema(this.#connection.tables, this.#streams)
  }

  append(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    return appendBatch(this.#connection, commits)
  }

  readAggregate(request: AggregateRequest): Promise<AggregatePage> {
    return readAggregate(this.#connection, request)
  }

  readIds(request: IdsRequest): Promise<IdsPage> {
    return readIds(this.#connection, request)
  }

  readKey({ aggregateType, aggregateId, idempotencyKey }: KeyRequest): Promise<StoredKey | undefined> {
    return readKey(this.#connection, keyOfKey(aggregateType, aggregateId, idempotencyKey))
  }

  readViews(keys: readonly ViewKey[]): Promise<readonly (StoredView | undefined)[]> {
    return readViews(this.#connection, keys)
  }

  findViews(request: ViewFind): Promise<ViewPage> {
    return findViews(this.#connection, request)
  }

  viewGenerations(name: string): Promise<readonly ViewGeneration[]> {
    return readGenerations(this.#connection, name)
  }

  addViewGeneration(added: { name: string; generation: number; viewVersion: string }): Promise<boolean> {
    return addGeneration(this.#connection, added.name, added.generation, added.viewVersion)
  }

  switchViewGeneration({ name, from, to }: { name: string; from: number; to: number }): Promise<boolean> {
    return switchGeneration(this.#connection, name, from, to)
  }

  removeViewGeneration({ name, generation }: { name: string; generation: number }): Promise<boolean> {
    return removeGeneration(this.#connection, name, generation)
  }

  readFeed(): Promise<never> {
    return noFeed()
  }

  lastPosition(): Promise<never> {
    return noFeed()
  }

  endPosition(): Promise<never> {
    return noFeed()
  }

  readCheckpoint(name: string): Promise<Checkpoint | undefined> {
    return this.#leases.readCheckpoint(name)
  }

  readConsumers(names: readonly string[]): Promise<readonly StoredConsumer[]> {
    return this.#leases.readConsumers(names)
  }

  acquireLease(request: { name: string; holder: string; ttlMs: number }): Promise<LeaseAnswer> {
    return this.#leases.acquire(request)
  }

  renewLease(request: { name: string; fence: number; ttlMs: number }): Promise<boolean> {
    return this.#leases.renew(request)
  }

  releaseLease(request: { name: string; fence: number }): Promise<void> {
    return this.#leases.release(request)
  }
}

const noFeed = async (): Promise<never> => {
  throw new StoreError(
    'STORE_FAILED',
    'DynamoDB has no log of all aggregates and no positions (capabilities.globalOrder is false). Read the stream of the table of events instead.',
  )
}
