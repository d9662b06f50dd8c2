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
 * What became of a write. `done`: with what `send` answers. `refused`: certainly not done, since the conditions of these actions (by number)
 * do not hold; with the items that are there. `certain`: not done, and never will be.
 */
export type Written<T = unknown> =
  | { readonly kind: 'done'; readonly answer: T }
  | { readonly kind: 'refused'; readonly items: ReadonlyMap<number, ReadItem> }
  | { readonly kind: 'failed'; readonly certain: boolean; readonly error: CqrsError }

/** A row's index values as of one of its versions. */
export interface KnownIndexes {
  readonly version: number
  readonly indexes: readonly (readonly [string, string])[]
}

/** Commits that are sent at the same time; the SDK opens up to 50 connections by default. */
const atOnce = 32
const remembered = 10_000
/** Tries of a read that meets a dead connection or an internal error, on top of the SDK's own. */
const readTries = 3

/** The user's client with our patience: throttling and conflicts of transactions are waited for, all else is an error of ours. */
export class Connection {
  readonly client: DynamoDbClient
  readonly tables: TableNames
  readonly keyTtlSeconds: number
  readonly payloadFormat: PayloadFormat
  readonly inexactNumbers: InexactNumbers
  readonly semaphore = new Semaphore(atOnce)
  /** The last event of an aggregate that was read or written. Events are never deleted, so there can only be later ones. */
  readonly knownHeads = new LruMap<Head>(remembered)
  /** What the rows that were read or written last are found by, so that a save need not read them first. */
  readonly knownIndexes = new LruMap<KnownIndexes>(remembered)
  /** The live generation of a view as it was last seen. */
  readonly knownLive = new LruMap<number>(remembered)
  /** `undefined` until it is known. */
  foreignWriters: boolean | undefined
  /** By aggregate type, the ids that were added to the index of first events, and when. */
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

  /** @throws StoreError */
  read<T>(work: (client: DynamoDbClient) => Promise<T>): Promise<T> {
    return this.patiently(() => work(this.client), toStoreError)
  }

  /** Waits and tries again as all reads do; `toError` says what went wrong. @throws StoreError */
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

  /** One action goes by itself, at half the price of a transaction. */
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

  /** Whether it was done; `false` when a condition did not hold. @throws StoreError */
  async change(actions: readonly TransactionAction[]): Promise<boolean> {
    const written = await this.write(actions)
    if (written.kind === 'failed') throw written.error
    return written.kind === 'done'
  }

  /** The item as the update has left it; `undefined` when the condition did not hold. @throws StoreError */
  async update(update: Update): Promise<ReadItem | undefined> {
    const written = await this.#write(() => this.client.updateItem({ ...update, ReturnValues: 'ALL_NEW' }))
    if (written.kind === 'failed') throw written.error
    return written.kind === 'done' ? (written.answer.Attributes ?? {}) : undefined
  }

  /** All of an item, or only what `projection` names. */
  async get(table: string, key: Item, projection?: string): Promise<ReadItem | undefined> {
    const only = projection && { ProjectionExpression: projection, ExpressionAttributeNames: namesIn(projection) }
    return (await this.read((client) => client.getItem({ TableName: table, Key: key, ConsistentRead: true, ...only }))).Item
  }

  /** One page, strongly consistent. */
  async query(query: Omit<Query, 'ConsistentRead'>): Promise<{ items: readonly ReadItem[]; next: ReadItem | undefined }> {
    const page = await this.read((client) => client.query({ ...query, ConsistentRead: true }))
    return { items: page.Items ?? [], next: page.LastEvaluatedKey }
  }

  /** All items of these keys that are there, by table, in no order. Each key at most once. */
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

  /** Deletes these items of one table, each by itself. */
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
  new StoreError(
    'STORE_BUSY',
    `DynamoDB left items of a batch unprocessed until the time was over: not all of them were ${what}.`,
  )
