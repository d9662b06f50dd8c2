import { StoreError } from '../errors.ts'
import type { Append, Commit, CommitOutcome } from '../store/commit.ts'
import { isWritable } from '../store/generations.ts'
import { isDecidedOn, noEvents } from '../store/head.ts'
import type { ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { namesIn } from './expressions.ts'
import { readGenerations } from './generations.ts'
import { headOf, isOf, number, text } from './items.ts'
import { aggregateKey, consumerKey, eventKey, keyOfKey, viewKey } from './keys.ts'
import { readKey } from './read.ts'

/**
 * Why a commit was refused. DynamoDB need not name every condition that does not hold, so all are read, in the order in which the port wants
 * them told. `undefined` when there is nothing in the way any more.
 *
 * @throws StoreError
 */
export async function findConflict(
  connection: Connection,
  commit: Commit,
  refused: ReadonlyMap<string, ReadItem>,
): Promise<CommitOutcome | undefined> {
  const { appends } = commit
  const first = appends[0] && (await firstEvent(connection, appends[0], refused))
  if (appends[0] === undefined ? await hasMoved(connection, commit) : text(first?.CommitId) === commit.id)
    return { kind: 'repeated', positions: [] }
  const on = (await fence(connection, commit)) ?? (await key(connection, commit))
  if (on !== undefined) return { kind: 'conflict', on }
  for (const append of appends) {
    const last = await lastEvent(connection, append)
    const problem = ownerProblem(last, append)
    if (problem !== undefined) return { kind: 'failed', certain: true, cause: problem }
    const head = last === undefined ? noEvents : headOf(last)
    if (!isDecidedOn(append, head)) return { kind: 'conflict', on: 'sequence', actualSequence: head.sequence }
  }
  const behind = (await generation(connection, commit)) ?? (await view(connection, commit))
  return behind === undefined ? undefined : { kind: 'conflict', on: behind }
}

/** Names an event in memory, for the items that came back with a refusal. */
export const eventOf = (aggregateType: string, aggregateId: string, sequence: number): string =>
  `${aggregateKey(aggregateType, aggregateId)}:${sequence}`

/** What stands where the append's first event would: when it is ours, all of the commit is stored. */
async function firstEvent(connection: Connection, append: Append, refused: ReadonlyMap<string, ReadItem>) {
  const at = [append.aggregateType, append.aggregateId, append.expectedSequence + 1] as const
  return refused.get(eventOf(...at)) ?? (await connection.get(connection.tables.events, eventKey(...at)))
}

/** Whether the last move of the checkpoint was this commit's. */
async function hasMoved(connection: Connection, { id, checkpoint }: Commit): Promise<boolean> {
  if (checkpoint === undefined) return false
  return text((await connection.get(connection.tables.meta, consumerKey(checkpoint.name)))?.MovedBy) === id
}

async function fence(connection: Connection, { checkpoint }: Commit): Promise<'fence' | undefined> {
  if (checkpoint === undefined) return undefined
  const item = await connection.get(connection.tables.meta, consumerKey(checkpoint.name))
  if (item?.Holder === undefined || number(item.Fence) !== checkpoint.fence) return 'fence'
  const { expectedPosition } = checkpoint
  return expectedPosition === undefined || (text(item.Position) ?? null) === expectedPosition ? undefined : 'fence'
}

async function key(connection: Connection, { key, appends: [first] }: Commit): Promise<'key' | undefined> {
  if (key === undefined || first === undefined) return undefined
  const { aggregateType, aggregateId } = first
  const taken = await readKey(connection, keyOfKey(aggregateType, aggregateId, key.idempotencyKey))
  return taken === undefined ? undefined : 'key'
}

/** What an append looks at of an event before it. */
export const headProjection = '#AggregateIdSequence, #AggregateType, #AggregateId, #CommitId'

async function lastEvent(connection: Connection, { aggregateType, aggregateId }: Append): Promise<ReadItem | undefined> {
  const keyCondition = '#AggregateTypeAndId = :key'
  const { items } = await connection.query({
    TableName: connection.tables.events,
    KeyConditionExpression: keyCondition,
    ProjectionExpression: headProjection,
    ExpressionAttributeNames: namesIn(keyCondition, headProjection),
    ExpressionAttributeValues: { ':key': { S: aggregateKey(aggregateType, aggregateId) } },
    ScanIndexForward: false,
    Limit: 1,
  })
  return items[0]
}

/** When another aggregate has the place of this one. */
export function ownerProblem(item: ReadItem | undefined, { aggregateType, aggregateId }: Append): StoreError | undefined {
  if (item === undefined || isOf(item, aggregateType, aggregateId)) return undefined
  return new StoreError(
    'STORE_FAILED',
    `The events of ${aggregateType} '${aggregateId}' cannot be stored: their key in DynamoDB, '${aggregateKey(aggregateType, aggregateId)}', is that of ${text(item.AggregateType)} '${text(item.AggregateId)}', written by another program whose types hold a colon.`,
  )
}

async function generation(connection: Connection, { views = [] }: Commit): Promise<'generation' | undefined> {
  for (const name of new Set(views.map((write) => write.name))) {
    const all = await readGenerations(connection, name)
    if (views.some((write) => write.name === name && !isWritable(all, write.generation))) return 'generation'
  }
  return undefined
}

async function view(connection: Connection, { views = [] }: Commit): Promise<'view' | undefined> {
  const table = connection.tables.views
  const rows = await Promise.all(views.map(({ name, generation, id }) => connection.get(table, viewKey(name, generation, id))))
  const isAsExpected = views.every(({ expectedVersion }, i) => number(rows[i]?.Version ?? { N: '0' }) === expectedVersion)
  return isAsExpected ? undefined : 'view'
}
