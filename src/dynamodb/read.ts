import { StoreError } from '../errors.ts'
import { type Head, noEvents } from '../store/head.ts'
import type { AggregatePage, AggregateRequest, IdsPage, IdsRequest, StoredKey } from '../store/store.ts'
import { secondsNow } from './actions.ts'
import type { Item, ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { isValidationError } from './errors.ts'
import { addFirstEvents, addIfFirst, hasForeignWriters, withAdded } from './first-events.ts'
import { headOf, isOf, number, snapshotKey, text, toStoredEvent, toStoredKey, toStoredSnapshot } from './items.ts'
import { aggregateKey, aggregateOf } from './keys.ts'
import { firstEventsIndex } from './schema.ts'

/** Maximum number of events in a page. */
const pageSize = 1_000

/** Requests per page: DynamoDB ends its own pages at 1 MB, which may be two events. */
const requestsPerPage = 4

/**
 * Reads the snapshot, then the events after it, which fit together whatever is appended meanwhile.
 */
export async function readAggregate(connection: Connection, request: AggregateRequest): Promise<AggregatePage> {
  const { aggregateType, aggregateId, after, upTo = Number.MAX_SAFE_INTEGER } = request
  const snapshot = await readSnapshot(connection, request, upTo)
  const from = snapshot?.sequence ?? after
  const limit = Math.min(request.limit ?? pageSize, pageSize)
  const { items, more } = await readEvents(connection, aggregateKey(aggregateType, aggregateId), from, upTo, limit)
  const own = items.filter((item) => isOf(item, aggregateType, aggregateId))
  const last = own.at(-1)
  await addIfFirst(connection, own[0])
  const head = last === undefined ? snapshot : headOf(last)
  if (head !== undefined) learn(connection, request, head)
  const events = own.map((item) => toStoredEvent(item, aggregateType, aggregateId, connection))
  return { ...(snapshot && { snapshot }), events, more: more && own.length > 0 }
}

function learn({ knownHeads }: Connection, { aggregateType, aggregateId }: AggregateRequest, { sequence, commitId }: Head): void {
  const key = aggregateOf(aggregateType, aggregateId)
  if (sequence >= (knownHeads.get(key) ?? noEvents).sequence) knownHeads.set(key, { sequence, commitId })
}

async function readSnapshot(connection: Connection, request: AggregateRequest, upTo: number) {
  const { aggregateType, aggregateId, after } = request
  if (request.snapshot === undefined) return undefined
  const item = await connection.get(connection.tables.snapshots, snapshotKey(aggregateType, aggregateId))
  const snapshot = item && toStoredSnapshot(item, request.snapshot.stateVersion)
  return snapshot !== undefined && snapshot.sequence > after && snapshot.sequence <= upTo ? snapshot : undefined
}

/** Reads one event more than returned, to find out whether there are more. */
async function readEvents(connection: Connection, key: string, after: number, upTo: number, limit: number) {
  if (after >= upTo) return { items: [], more: false }
  const items: ReadItem[] = []
  for (let from = after, requests = 1; ; requests++) {
    const page = await connection.query({
      TableName: connection.tables.events,
      KeyConditionExpression: '#Key = :key AND #Sequence BETWEEN :from AND :to',
      ExpressionAttributeNames: { '#Key': 'AggregateTypeAndId', '#Sequence': 'AggregateIdSequence' },
      ExpressionAttributeValues: { ':key': { S: key }, ':from': { N: String(from + 1) }, ':to': { N: String(upTo) } },
      Limit: limit + 1 - items.length,
    })
    items.push(...page.items)
    if (items.length > limit) return { items: items.slice(0, limit), more: true }
    if (page.next === undefined) return { items, more: false }
    if (requests >= requestsPerPage && items.length > 1) return { items: items.slice(0, -1), more: true }
    from = number(page.next.AggregateIdSequence)
  }
}

/**
 * Reads ids from the index of first events.
 *
 * Before the first page, it adds the aggregates of another program to the index.
 */
export async function readIds(connection: Connection, request: IdsRequest): Promise<IdsPage> {
  const page = await readIndex(connection, request)
  if (request.after === undefined && (await hasForeignWriters(connection))) await addFirstEvents(connection)
  return withAdded(connection, request, page)
}

/** The index lags the table for moments: DynamoDB's indexes have no consistent reads. */
async function readIndex(connection: Connection, { aggregateType, after, limit }: IdsRequest): Promise<IdsPage> {
  const ids: string[] = []
  for (let from = after; ; ) {
    const page = await queryIds(connection, aggregateType, from, limit + 1 - ids.length)
    ids.push(...(page.Items ?? []).map((item) => text(item.AggregateId) ?? ''))
    if (ids.length > limit) return { items: ids.slice(0, limit), more: true }
    if (page.LastEvaluatedKey === undefined) return { items: ids, more: false }
    from = text(page.LastEvaluatedKey.AggregateId)
  }
}

function queryIds(connection: Connection, aggregateType: string, after: string | undefined, limit: number) {
  return connection.read(async (client) => {
    try {
      return await client.query({
        TableName: connection.tables.events,
        IndexName: firstEventsIndex,
        KeyConditionExpression: after === undefined ? '#Type = :type' : '#Type = :type AND #Id > :after',
        ExpressionAttributeNames: { '#Type': 'FirstOfType', ...(after !== undefined && { '#Id': 'AggregateId' }) },
        ExpressionAttributeValues: { ':type': { S: aggregateType }, ...(after !== undefined && { ':after': { S: after } }) },
        Limit: limit,
      })
    } catch (cause) {
      if (!isValidationError(cause)) throw cause
      const table = connection.tables.events
      const message = `The table ${table} has no index ${firstEventsIndex}, or DynamoDB is still filling it. Call createSchema(), or retry later.`
      throw new StoreError('SCHEMA_MISSING', message, cause)
    }
  })
}

/** Reads an idempotency key, unless it has expired. */
export async function readKey(connection: Connection, key: Item): Promise<StoredKey | undefined> {
  const item = await connection.get(connection.tables.meta, key)
  return item !== undefined && isRemembered(item) ? toStoredKey(item) : undefined
}

/** Whether an idempotency key exists and has not expired. */
export const isRemembered = (item: ReadItem | undefined): boolean =>
  item !== undefined && !(number(item.ExpiresAt) <= secondsNow())
