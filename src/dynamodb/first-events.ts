import { compareBytes } from '../store/order.ts'
import type { IdsPage, IdsRequest } from '../store/store.ts'
import type { Item, ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { namesIn, update } from './expressions.ts'
import { number, text } from './items.ts'
import { eventKey, foreignWritersKey } from './keys.ts'

/**
 * The index of first events lists the aggregates. Another program does not write the attribute that
 * the index needs. So its aggregates are added here: by a scan of the table before ids are read,
 * and whenever one of its events is read.
 */

/** Longer than the index lags the table. */
const indexFollowsMs = 60_000

/** Whether another program writes events, too: by the option, else by the note in the table. */
export async function hasForeignWriters(connection: Connection): Promise<boolean> {
  connection.foreignWriters ??= await isNoted(connection)
  return connection.foreignWriters
}

/** Notes for all processes that another program writes events, too. */
export async function noteForeignWriters(connection: Connection): Promise<void> {
  await connection.change([{ Put: { TableName: connection.tables.meta, Item: foreignWritersKey } }])
}

/**
 * Adds missing aggregates to the index if another program writes, or once more after it has
 * stopped.
 *
 * The option `foreignWriters: false` says that it has stopped.
 */
export async function repair(connection: Connection): Promise<void> {
  const noted = await isNoted(connection)
  connection.foreignWriters ??= noted
  if (connection.foreignWriters && !noted) await noteForeignWriters(connection)
  if (connection.foreignWriters || noted) await addFirstEvents(connection)
  if (!connection.foreignWriters && noted)
    await connection.change([{ Delete: { TableName: connection.tables.meta, Key: foreignWritersKey } }])
}

const isNoted = async (connection: Connection): Promise<boolean> =>
  (await connection.get(connection.tables.meta, foreignWritersKey)) !== undefined

/**
 * Adds all aggregates that the index lacks. Scans the whole table; can be repeated. @throws
 * StoreError
 */
export async function addFirstEvents(connection: Connection): Promise<void> {
  const filter = '#AggregateIdSequence = :first AND attribute_not_exists(#FirstOfType)'
  for (let from: ReadItem | undefined; ; ) {
    const page = await connection.read((client) =>
      client.scan({
        TableName: connection.tables.events,
        ConsistentRead: true,
        FilterExpression: filter,
        ExpressionAttributeNames: namesIn(filter),
        ExpressionAttributeValues: { ':first': { N: '1' } },
        ...(from && { ExclusiveStartKey: from as Item }),
      }),
    )
    for (const item of page.Items ?? []) {
      const change = changeOf(connection, item)
      if (change === undefined) continue
      await connection.change([{ Update: change }])
      remember(connection, item)
    }
    from = page.LastEvaluatedKey
    if (from === undefined) return
  }
}

/**
 * Adds an aggregate to the index if this is its first event and the index lacks it.
 *
 * Failures do not matter: the process may lack the permission.
 */
export async function addIfFirst(connection: Connection, item: ReadItem | undefined): Promise<void> {
  if (item === undefined || number(item.AggregateIdSequence) !== 1 || item.FirstOfType !== undefined) return
  const change = changeOf(connection, item)
  if (change === undefined) return
  try {
    await connection.client.updateItem(change)
    remember(connection, item)
  } catch {
    // It was added meanwhile, or will be the next time.
  }
}

function changeOf({ tables }: Connection, item: ReadItem) {
  const [type, id] = [text(item.AggregateType), text(item.AggregateId)]
  if (!type || !id) return undefined
  const isOpen = 'attribute_exists(#AggregateTypeAndId) AND attribute_not_exists(#FirstOfType)'
  return {
    TableName: tables.events,
    Key: eventKey(type, id, 1),
    ...update('SET #FirstOfType = :type', { ':type': { S: type } }, isOpen),
  }
}

function remember({ addedIds }: Connection, item: ReadItem): void {
  const [type = '', id = ''] = [text(item.AggregateType), text(item.AggregateId)]
  addedIds.set(type, (addedIds.get(type) ?? new Map()).set(id, performance.now()))
}

/** Completes a page of the index with ids that were just added, which the index may still lack. */
export function withAdded({ addedIds }: Connection, { aggregateType, after, limit }: IdsRequest, page: IdsPage): IdsPage {
  const added = addedIds.get(aggregateType)
  if (added === undefined) return page
  for (const [id, at] of added) if (performance.now() - at > indexFollowsMs) added.delete(id)
  if (added.size === 0) addedIds.delete(aggregateType)
  const last = page.more ? page.items.at(-1) : undefined
  const isInside = (id: string) =>
    (after === undefined || compareBytes(id, after) > 0) && (last === undefined || compareBytes(id, last) < 0)
  const items = [...new Set([...page.items, ...[...added.keys()].filter(isInside)])].sort(compareBytes)
  return { items: items.slice(0, limit), more: page.more || items.length > limit }
}
