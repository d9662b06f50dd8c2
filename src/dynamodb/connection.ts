import { type CqrsError, isCqrsError, StoreError } from '../errors.ts'
import type { InexactNumbers } from '../store/exact-json.ts'
import type { Head } from '../store/head.ts'
import type { PayloadFormat } from '../store/payload-format.ts'
import { LruMap } from '../util/lru-map.ts'
import type { DynamoDbClient, Item, Put, Query, ReadItem, TransactionAction, Update } from './client.ts'
import { failedConditions, surelyRefused, toStoreError } from './errors.ts'
import { namesIn } from './expressions.ts'
import type { TableNames } from './schema.ts'
import { Semaphore, Waiting } from './waiting.ts'

/**
 * The outcome of a write.
 *
 * A `refused` write was not done, because conditions failed. Its `items` are the existing items by
 * number of the action. A write that `failed` for `certain` was not done, and never will be.
 */
export type Written<T = unknown> =
  | { readonly kind: 'done'; readonly answer: T }
  | { readonly kind: 'refused'; readonly items: ReadonlyMap<number, ReadItem> }
  | { readonly kind: 'failed'; readonly certain: boolean; readonly error: CqrsError }

/** The index values of one version of a row. */
export interface KnownIndexes {
  readonly version: number
  readonly indexes: readonly (readonly [string, string])[]
}

/** Commits sent at the same time. By default, the SDK opens up to 50 connections. */
const atOnce = 32
const remembered = 10_000
/** Attempts of a read after connection or internal errors, on top of the SDK's own. */
const readTries = 3

/**
 * Calls the user's client: waits after throttling and transaction conflicts, translates all other
 * errors.
 */
export class Connection {
  readonly client: DynamoDbClient
  readonly tables: TableNames
  readonly keyTtlSeconds: number
  readonly payloadFormat: PayloadFormat
  readonly inexactNumbers: InexactNumbers
  readonly semaphore = new Semaphore(atOnce)
  /** The last known event of each aggregate. Events are never deleted, so it can only lag. */
  readonly knownHeads = new LruMap<Head>(remembered)
  /** Index values of rows that were read or written last, which saves a read before a write. */
  readonly knownIndexes = new LruMap<KnownIndexes>(remembered)
  /** The last known live generation of each view. */
  readonly knownLive = new LruMap<number>(remembered)
  /** `undefined` until the table was read. */
  foreignWriters: boolean | undefined
  /** The ids added to the index of first events, with the time, by aggregate type. */
  readonly addedIds = new Map<string, Map<string, number>>()
  readonly #busyTimeoutMs: number

  constructor(
    client: DynamoDbClient,
    options: {
      tables: TableNames
      busyTimeoutMs: number
      keyTtlSeconds: number
      payloadFormat: PayloadFormat
      inexactNumbers: InexactNumbers
      foreignWriters: boolean | undefined
    },
  ) {
    this.client = client
    this.tables = options.tables
    this.keyTtlSeconds = options.keyTtlSeconds
    this.payloadFormat = options.payloadFormat
    this.inexactNumbers = options.inexactNumbers
    this.foreignWriters = options.foreignWriters
    this.#busyTimeoutMs = options.busyTimeoutMs
  }

  waiting(): Waiting {
    return new Waiting(this.#busyTimeoutMs)
  }

  /** Runs `work` with the client and retries it. @throws StoreError */
  read<T>(work: (client: DynamoDbClient) => Promise<T>): Promise<T> {
    return this.patiently(() => work(this.client), toStoreError)
  }

  /** Retries `work` like a read, and translates its errors by `toError`. @throws StoreError */
  async patiently<T>(work: () => Promise<T>, toError: (cause: unknown) => CqrsError): Promise<T> {
    const waiting = this.waiting()
    for (let tries = 1; ; tries++) {
      try {
        return await work()
      } catch (cause) {
        const error = toError(cause)
        const again = isCqrsError(error, 'STORE_BUSY') || (isCqrsError(error, 'STORE_UNAVAILABLE') && tries < readTries)
        if (!again || !(await waiting.pause())) throw error
      }
    }
  }

  /** Writes all actions or none. A single action is no transaction, at half the price. */
  write(actions: readonly TransactionAction[]): Promise<Written> {
    return this.#write(() => send(this.client, actions))
  }

  async #write<T>(work: () => Promise<T>): Promise<Written<T>> {
    const waiting = this.waiting()
    for (let certain = true; ; ) {
      try {
        return { kind: 'done', answer: await work() }
      } catch (cause) {
        const items = failedConditions(cause)
        if (items !== undefined) return { kind: 'refused', items }
        const error = toStoreError(cause)
        certain &&= surelyRefused(cause)
        if (!isCqrsError(error, 'STORE_BUSY') || !(await waiting.pause())) return { kind: 'failed', certain, error }
      }
    }
  }

  /** Returns whether the write was done, `false` after a failed condition. @throws StoreError */
  async change(actions: readonly TransactionAction[]): Promise<boolean> {
    const written = await this.write(actions)
    if (written.kind === 'failed') throw written.error
    return written.kind === 'done'
  }

  /** Returns the item after the update, `undefined` after a failed condition. @throws StoreError */
  async update(update: Update): Promise<ReadItem | undefined> {
    const written = await this.#write(() => this.client.updateItem({ ...update, ReturnValues: 'ALL_NEW' }))
    if (written.kind === 'failed') throw written.error
    return written.kind === 'done' ? (written.answer.Attributes ?? {}) : undefined
  }

  /** Reads an item, or only the attributes in `projection`. */
  async get(table: string, key: Item, projection?: string): Promise<ReadItem | undefined> {
    const only = projection && { ProjectionExpression: projection, ExpressionAttributeNames: namesIn(projection) }
    return (await this.read((client) => client.getItem({ TableName: table, Key: key, ConsistentRead: true, ...only }))).Item
  }

  /** Reads one page, strongly consistent. */
  async query(query: Omit<Query, 'ConsistentRead'>): Promise<{ items: readonly ReadItem[]; next: ReadItem | undefined }> {
    const page = await this.read((client) => client.query({ ...query, ConsistentRead: true }))
    return { items: page.Items ?? [], next: page.LastEvaluatedKey }
  }

  /**
   * Reads all existing items of these keys, by table, in no order. Each key must occur only once.
   */
  async batchGet(
    keys: readonly { readonly table: string; readonly key: Item }[],
  ): Promise<ReadonlyMap<string, readonly ReadItem[]>> {
    const found = new Map<string, ReadItem[]>()
    const waiting = this.waiting()
    for (let open = [...keys]; open.length > 0; ) {
      const now = open.slice(0, 100)
      const requests: Record<string, { Keys: Item[]; ConsistentRead: boolean }> = {}
      for (const { table, key } of now) {
        requests[table] ??= { Keys: [], ConsistentRead: true }
        requests[table].Keys.push(key)
      }
      const answer = await this.read((client) => client.batchGetItem({ RequestItems: requests }))
      for (const [table, items] of Object.entries(answer.Responses ?? {}))
        found.set(table, [...(found.get(table) ?? []), ...items])
      const unprocessed = Object.entries(answer.UnprocessedKeys ?? {}).flatMap(([table, { Keys = [] }]) =>
        (Keys as Item[]).map((key) => ({ table, key })),
      )
      open = [...unprocessed, ...open.slice(100)]
      if (unprocessed.length === now.length && !(await waiting.pause())) throw busy('read')
    }
    return found
  }

  /** Deletes these items of one table, each on its own. */
  async batchDelete(table: string, keys: readonly Item[]): Promise<void> {
    const waiting = this.waiting()
    for (let open = [...keys]; open.length > 0; ) {
      const now = open.slice(0, 25)
      const requests = { [table]: now.map((key) => ({ DeleteRequest: { Key: key } })) }
      const answer = await this.read((client) => client.batchWriteItem({ RequestItems: requests }))
      const unprocessed = Object.values(answer.UnprocessedItems ?? {}).flat() as { DeleteRequest: { Key: Item } }[]
      open = [...unprocessed.map(({ DeleteRequest }) => DeleteRequest.Key), ...open.slice(25)]
      if (unprocessed.length === now.length && !(await waiting.pause())) throw busy('deleted')
    }
  }
}

async function send(client: DynamoDbClient, actions: readonly TransactionAction[]): Promise<unknown> {
  const [only] = actions
  if (actions.length === 1 && only?.Put !== undefined) return client.putItem(only.Put satisfies Put)
  if (actions.length === 1 && only?.Update !== undefined) return client.updateItem(only.Update satisfies Update)
  return client.transactWriteItems({ TransactItems: [...actions] })
}

const busy = (what: string) =>
  new StoreError('STORE_BUSY', `DynamoDB did not process all items of a batch in time: some were not ${what}. Retry later.`)
