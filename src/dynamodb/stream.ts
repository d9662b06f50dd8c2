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

/** Records that one request gives at most. */
const recordsPerRequest = 1_000
/** Shards that are read at the same time, sharing what is left of the page. */
const atOnce = 5
/** Requests that are made for the end of a shard that is quiet; what is behind them is read again. */
const requestsToEnd = 10
/** Requests into a shard that is empty as it seems: DynamoDB may need several to come to its first record. */
const requestsToRecord = 3
/** How long the list of shards is believed. */
const believedMs = 30_000
/**
 * Records are kept for 24 hours, but nothing tells that some at the start of a shard are gone. A shard is written for some four hours, so those of one that was seen
 * empty less than 20 hours ago are all there.
 */
const emptyMs = 20 * 3_600_000
/** The time of such a look is left as it is for so long, that a cursor at the end does not change. */
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

/** The stream of the table of events, from any cursor on. Only iterators and the list of shards are kept in memory. */
export class EventStream {
  readonly #connection: Connection
  readonly #client: DynamoDbStreamsClient
  /** By shard and place, so that a cursor that is read again finds its own one. */
  readonly #iterators = new LruMap<string>(10_000)
  #listed: Listed | undefined

  constructor(connection: Connection, client: DynamoDbStreamsClient) {
    this.#connection = connection
    this.#client = client
  }

  /** Shards that the limit leaves no room for are the first of the next page. */
  async readChanges({ cursor, limit }: ChangesRequest): Promise<ChangesPage> {
    if (cursor === undefined) return { changes: [], cursor: printCursor(await this.#end()), more: false }
    const from = parseCursor(cursor)
    const { stream, shards } = await this.#list(from)
    if (stream !== from.stream) throw behind(`The stream of the table of events is ${stream} now, and no longer ${from.stream}.`)
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

  /** What is stored from now on goes behind the last record of a leaf, or into a shard that comes later. */
  async #end(): Promise<Cursor> {
    const { stream, shards } = await this.#list()
    return { stream, shards: await inTurns(leaves(shards), async (shard) => [shard, await this.#last(stream, shard)] as const) }
  }

  /**
   * An iterator that says `LATEST` is lost with the process, and has no number. So either a record has just come behind it, and the place is at that one; or the shard is
   * read up to its last record, unless there are too many: a place before the end is right too.
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

  /** At the first record of a new shard: from then on DynamoDB tells when it has forgotten it. */
  async #first(stream: string, shard: string): Promise<ShardPosition> {
    const start = await this.#fresh(stream, shard, 'TRIM_HORIZON')
    const { place, next } = found(await this.#page(start, 1))
    return place ?? (next === undefined ? 'done' : `start ${Date.now()}`)
  }

  async #read(stream: string, shard: string, place: ShardPosition, limit: number): Promise<ReadPlace> {
    if (place.startsWith('start') && Date.now() - Number(numberOf(place)) > emptyMs)
      throw behind(`The shard ${shard} of ${stream} was looked at too long ago.`)
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
    if (ShardIterator === undefined) throw new StoreError('STORE_FAILED', `DynamoDB gave no iterator for the shard ${shard}.`)
    return ShardIterator
  }

  async #page(iterator: string, limit: number): Promise<RecordsPage> {
    const page = await this.#usePage(iterator, limit)
    if (page === undefined) throw new StoreError('STORE_UNAVAILABLE', 'An iterator of the stream had expired before it was used.')
    return page
  }

  /**
   * `undefined` when the iterator is too old, or fails with what `isLost` knows. On DynamoDB Local a kept iterator may say that its records are trimmed though none are, after a write
   * to another table. A fresh one from the same place says it only when it is so.
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

  /** The shards of the table's stream. As they are now when a cursor waits for children of a finished one, or has one that is not known. */
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
      `The table ${name} has no stream: call createSchema() with "streams: true", or turn it on.`,
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

/** At the first record of a page, to be given again. */
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

/** The event of a record that tells of a new aggregate. */
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

/** One change per aggregate. */
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
