import { isCqrsError, StoreError } from '../errors.ts'
import type { ChangesPage, ChangesRequest } from '../store/store.ts'
import { LruMap } from '../util/lru-map.ts'
import { type DynamoDbChange, type DynamoDbStreamRecord, dynamoDbChanges } from './changes.ts'
import type { ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { behind, type Cursor, numberOf, parseCursor, printCursor, type ShardPosition } from './cursor.ts'
import { isExpiredIterator, isTrimmed, toShardsError, toStreamError } from './errors.ts'
import { addIfFirst } from './first-events.ts'
import { aggregateOf } from './keys.ts'
import { follow, leaves, type Shards } from './shards.ts'
import type { DynamoDbStreamsClient, RecordsPage } from './streams-client.ts'

/** Maximum number of records in one request. */
const recordsPerRequest = 1_000
/** Shards read at the same time, which share the rest of the page. */
const atOnce = 5
/** Requests to find the end of a quiet shard. Records after them are read again. */
const requestsToEnd = 10
/** Requests into a shard that seems empty: DynamoDB may need several to reach the first record. */
const requestsToRecord = 3
/** Milliseconds for which the list of shards is used again. */
const believedMs = 30_000
/**
 * Age up to which a cursor at the start of an empty shard is valid.
 *
 * Records are kept for 24 hours, and DynamoDB does not report that some at the start of a shard are
 * gone. A shard is written for about four hours, so a shard that was empty less than 20 hours ago
 * is complete.
 */
const emptyMs = 20 * 3_600_000
/**
 * Minimum age before the time in a cursor is renewed, so that a cursor at the end stays the same.
 */
const lookMs = 3_600_000

interface Listed {
  readonly stream: string
  readonly shards: Shards
  readonly at: number
}

interface ReadPlace {
  readonly shard: string
  readonly place: ShardPosition
  readonly records: readonly DynamoDbStreamRecord[]
  readonly hasChanged: boolean
}

/**
 * Reads the stream of the table of events from a cursor.
 *
 * Only iterators and the list of shards are kept in memory.
 */
export class EventStream {
  readonly #connection: Connection
  readonly #client: DynamoDbStreamsClient
  /** By shard and position, so that repeated reads of a cursor find its iterator. */
  readonly #iterators = new LruMap<string>(10_000)
  #listed: Listed | undefined

  constructor(connection: Connection, client: DynamoDbStreamsClient) {
    this.#connection = connection
    this.#client = client
  }

  /** If the limit leaves no room for a shard, the next page starts with it. */
  async readChanges({ cursor, limit }: ChangesRequest): Promise<ChangesPage> {
    if (cursor === undefined) return { changes: [], cursor: printCursor(await this.#end()), more: false }
    const from = parseCursor(cursor)
    const { stream, shards } = await this.#list(from)
    if (stream !== from.stream) throw behind(`The stream of the table of events is now ${stream}, no longer ${from.stream}.`)
    const { kept, next } = follow(shards, from)
    const added = await inTurns(next, async (shard) => [shard, await this.#first(stream, shard)] as const)
    const all = [...kept, ...added]
    const open = all.filter(([, place]) => place !== 'done')
    const read: ReadPlace[] = []
    for (let left = limit; left > 0 && read.length < open.length; ) {
      const turn = open.slice(read.length, read.length + Math.min(atOnce, left))
      const share = Math.min(Math.floor(left / turn.length), recordsPerRequest)
      const pages = await Promise.all(turn.map(([shard, place]) => this.#read(stream, shard, place, share)))
      read.push(...pages)
      left -= pages.reduce((sum, { records }) => sum + records.length, 0)
    }
    const images = read.flatMap(({ records }) => records.map(firstImage)).filter((image) => image !== undefined)
    await inTurns(images, (image) => addIfFirst(this.#connection, image))
    const unread = open.slice(read.length)
    const waiting = all.filter(([, place]) => place === 'done')
    const places = [...unread, ...read.map(({ shard, place }) => [shard, place] as const), ...waiting]
    return {
      changes: highest(read.flatMap(({ records }) => dynamoDbChanges(records))),
      cursor: printCursor({ stream, shards: places }),
      more: unread.length > 0 || added.length > 0 || read.some(({ hasChanged }) => hasChanged),
    }
  }

  /** New records are added after the last record of a leaf, or to a later shard. */
  async #end(): Promise<Cursor> {
    const { stream, shards } = await this.#list()
    return { stream, shards: await inTurns(leaves(shards), async (shard) => [shard, await this.#last(stream, shard)] as const) }
  }

  /**
   * Finds the end of a shard.
   *
   * An iterator of type `LATEST` has no number and is lost with the process. So either a record has
   * just arrived, and its number is used, or the shard is read up to its last record. With too many
   * records it stops earlier, because a place before the end is correct, too.
   */
  async #last(stream: string, shard: string): Promise<ShardPosition> {
    const latest = await this.#fresh(stream, shard, 'LATEST')
    const { place, next } = found(await this.#page(latest, 1))
    if (place !== undefined || next === undefined) return place ?? 'done'
    let last: ShardPosition = `start ${Date.now()}`
    try {
      let iterator = await this.#fresh(stream, shard, 'TRIM_HORIZON')
      for (let requests = 0; requests < requestsToEnd; requests++) {
        const page = await this.#page(iterator, recordsPerRequest)
        last = lastOf(page) ?? last
        if (page.NextShardIterator === undefined) return 'done'
        iterator = page.NextShardIterator
        this.#iterators.set(keyOf(stream, shard, last), iterator)
        if (page.Records?.length === 0) break
      }
    } catch (cause) {
      if (!isCqrsError(cause, 'STORE_BEHIND')) throw cause
    }
    return last
  }

  /** The first record of a new shard: with its number, DynamoDB reports when the record is gone. */
  async #first(stream: string, shard: string): Promise<ShardPosition> {
    const start = await this.#fresh(stream, shard, 'TRIM_HORIZON')
    const { place, next } = found(await this.#page(start, 1))
    return place ?? (next === undefined ? 'done' : `start ${Date.now()}`)
  }

  async #read(stream: string, shard: string, place: ShardPosition, limit: number): Promise<ReadPlace> {
    if (place.startsWith('start') && Date.now() - Number(numberOf(place)) > emptyMs)
      throw behind(`The shard ${shard} of ${stream} was last read too long ago, so records may be gone.`)
    const cached = this.#iterators.get(keyOf(stream, shard, place))
    const again = cached === undefined ? undefined : await this.#usePage(cached, limit, isTrimmed)
    const page = again ?? (await this.#freshPage(stream, shard, place, limit))
    const { Records: records = [], NextShardIterator: next } = page
    const reached = next === undefined ? 'done' : (lastOf(page) ?? lookedAt(place))
    if (next !== undefined) this.#iterators.set(keyOf(stream, shard, reached), next)
    return { shard, place: reached, records, hasChanged: records.length > 0 || reached === 'done' }
  }

  async #freshPage(stream: string, shard: string, place: ShardPosition, limit: number): Promise<RecordsPage> {
    const iterator = await (place.startsWith('start')
      ? this.#fresh(stream, shard, 'TRIM_HORIZON')
      : this.#fresh(stream, shard, place.startsWith('at') ? 'AT_SEQUENCE_NUMBER' : 'AFTER_SEQUENCE_NUMBER', numberOf(place)))
    let page = await this.#page(iterator, limit)
    for (let requests = 1; requests < requestsToRecord; requests++) {
      const { Records: records = [], NextShardIterator: next } = page
      if (records.length > 0 || next === undefined) break
      const more = await this.#usePage(next, limit, isTrimmed)
      if (more === undefined) break
      page = more
    }
    return page
  }

  async #fresh(
    stream: string,
    shard: string,
    type: Parameters<DynamoDbStreamsClient['getShardIterator']>[0]['ShardIteratorType'],
    number?: string,
  ): Promise<string> {
    const input = { StreamArn: stream, ShardId: shard, ShardIteratorType: type, ...(number && { SequenceNumber: number }) }
    const { ShardIterator } = await this.#connection.patiently(() => this.#client.getShardIterator(input), toStreamError)
    if (ShardIterator === undefined) throw new StoreError('STORE_FAILED', `DynamoDB returned no iterator for the shard ${shard}.`)
    return ShardIterator
  }

  async #page(iterator: string, limit: number): Promise<RecordsPage> {
    const page = await this.#usePage(iterator, limit)
    if (page === undefined)
      throw new StoreError('STORE_UNAVAILABLE', 'An iterator of the stream expired before it was used. Retry later.')
    return page
  }

  /**
   * Returns `undefined` if the iterator has expired, or `isLost` accepts its error.
   *
   * On DynamoDB Local, a kept iterator may report trimmed records after a write to another table,
   * though none are trimmed. A fresh iterator from the same place is reliable.
   */
  #usePage(iterator: string, limit: number, isLost: (cause: unknown) => boolean = () => false): Promise<RecordsPage | undefined> {
    return this.#connection.patiently(async () => {
      try {
        return await this.#client.getRecords({ ShardIterator: iterator, Limit: limit })
      } catch (cause) {
        if (isExpiredIterator(cause) || isLost(cause)) return undefined
        throw cause
      }
    }, toStreamError)
  }

  /**
   * Lists the shards of the stream, without a request if the known list is fresh.
   *
   * It is not fresh enough if the cursor waits for children of a finished shard, or has an unknown
   * one.
   */
  async #list(cursor?: Cursor): Promise<Listed> {
    const known = this.#listed
    const isKnown =
      known !== undefined &&
      cursor !== undefined &&
      known.stream === cursor.stream &&
      performance.now() - known.at < believedMs &&
      cursor.shards.every(([shard, place]) => place !== 'done' && known.shards.has(shard))
    if (isKnown) return known
    const at = performance.now()
    const stream = await this.#arn()
    this.#listed = { stream, shards: await this.#shards(stream), at }
    return this.#listed
  }

  async #arn(): Promise<string> {
    const name = this.#connection.tables.events
    const { Table } = await this.#connection.read((client) => client.describeTable({ TableName: name }))
    if (Table?.StreamSpecification?.StreamEnabled === true && Table.LatestStreamArn !== undefined) return Table.LatestStreamArn
    throw new StoreError(
      'SCHEMA_MISSING',
      `The table ${name} has no stream. Call createSchema() with streams: true, or enable the stream in DynamoDB.`,
    )
  }

  async #shards(stream: string): Promise<Shards> {
    const shards = new Map<string, string | undefined>()
    for (let after: string | undefined; ; ) {
      const input = { StreamArn: stream, ...(after !== undefined && { ExclusiveStartShardId: after }) }
      const { StreamDescription } = await this.#connection.patiently(() => this.#client.describeStream(input), toShardsError)
      for (const { ShardId, ParentShardId } of StreamDescription?.Shards ?? []) if (ShardId) shards.set(ShardId, ParentShardId)
      after = StreamDescription?.LastEvaluatedShardId
      if (after === undefined) return shards
    }
  }
}

const keyOf = (stream: string, shard: string, place: ShardPosition): string => `${stream} ${shard} ${place}`

/** The place of a page's first record, which will be read again. */
function found({ Records, NextShardIterator: next }: RecordsPage): {
  place: ShardPosition | undefined
  next: string | undefined
} {
  const number = Records?.[0]?.dynamodb?.SequenceNumber
  return { place: number === undefined ? undefined : `at ${number}`, next }
}

function lastOf({ Records }: RecordsPage): ShardPosition | undefined {
  const number = Records?.at(-1)?.dynamodb?.SequenceNumber
  return number === undefined ? undefined : `after ${number}`
}

/** The event of a record that creates an aggregate. */
function firstImage({ eventName, dynamodb }: DynamoDbStreamRecord): ReadItem | undefined {
  const image = dynamodb?.NewImage
  const { AggregateType, AggregateId, AggregateIdSequence } = image ?? {}
  if (eventName !== 'INSERT' || image?.FirstOfType !== undefined || AggregateIdSequence?.N !== '1') return undefined
  return {
    AggregateType: { S: AggregateType?.S ?? '' },
    AggregateId: { S: AggregateId?.S ?? '' },
    AggregateIdSequence: { N: '1' },
  }
}

function lookedAt(place: ShardPosition): ShardPosition {
  const now = Date.now()
  return place.startsWith('start') && now - Number(numberOf(place)) > lookMs ? `start ${now}` : place
}

/** Keeps one change per aggregate, the highest. */
function highest(changes: readonly (DynamoDbChange | undefined)[]): DynamoDbChange[] {
  const byAggregate = new Map<string, DynamoDbChange>()
  for (const change of changes) {
    if (change === undefined) continue
    const key = aggregateOf(change.aggregateType, change.aggregateId)
    if ((byAggregate.get(key)?.sequence ?? 0) < change.sequence) byAggregate.set(key, change)
  }
  return [...byAggregate.values()]
}

async function inTurns<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const done: R[] = []
  while (done.length < all.length) done.push(...(await Promise.all(all.slice(done.length, done.length + atOnce).map(work))))
  return done
}
