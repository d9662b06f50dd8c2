import { StoreError } from '../errors.ts'
import type { Append, Commit } from '../store/commit.ts'
import type { CommitFacts } from '../store/find-conflict.ts'
import { noEvents } from '../store/head.ts'
import { rowOf } from './actions.ts'
import type { Item, ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { namesIn } from './expressions.ts'
import { toGenerations } from './generations.ts'
import { headOf, isOf, number, text } from './items.ts'
import { aggregateKey, aggregateOf, consumerKey, eventKey, generationsKey, keyOfKey } from './keys.ts'
import { isRemembered } from './read.ts'
import { readRows } from './views.ts'

/**
 * Reads the facts that may explain a refused commit, all at once.
 *
 * DynamoDB need not name every failed condition. If the commit can never be stored, `problem` says
 * why.
 *
 * @param refused events that the refusal returned, by partition and sequence
 * @throws StoreError
 */
export async function readFacts(
  connection: Connection,
  commit: Commit,
  refused: ReadonlyMap<string, ReadItem>,
): Promise<{ readonly facts: CommitFacts; readonly problem: StoreError | undefined }> {
  const { appends, views = [] } = commit
  const [first] = appends
  const isStored = first !== undefined && text((await firstEvent(connection, first, refused))?.CommitId) === commit.id
  const [lasts, metas, rows] = isStored
    ? [[], [], []]
    : await Promise.all([
        Promise.all(appends.map((append) => lastEvent(connection, append))),
        readMetas(connection, commit),
        readRows(connection, views),
      ])
  const heads = new Map(appends.map((append, i) => [aggregateOf(append.aggregateType, append.aggregateId), lasts[i]]))
  const metaOf = new Map(metas.map((item) => [nameOf(item), item]))
  const versions = new Map(views.map((write, i) => [rowOf(write), number(rows[i]?.Version ?? { N: '0' })]))
  const facts: CommitFacts = {
    positions: () => (isStored ? [] : undefined),
    checkpoint(name) {
      const item = metaOf.get(nameOf(consumerKey(name)))
      return {
        fence: item?.Holder === undefined ? null : number(item.Fence),
        position: text(item?.Position) ?? null,
        commitId: text(item?.MovedBy) ?? null,
      }
    },
    hasKey: ({ aggregateType, aggregateId }, idempotencyKey) =>
      isRemembered(metaOf.get(nameOf(keyOfKey(aggregateType, aggregateId, idempotencyKey)))),
    head({ aggregateType, aggregateId }) {
      const last = heads.get(aggregateOf(aggregateType, aggregateId))
      return last === undefined ? noEvents : headOf(last)
    },
    generations: (name) => toGenerations(metaOf.get(nameOf(generationsKey(name, 0)))),
    viewVersion: (row) => versions.get(rowOf(row)) ?? 0,
  }
  const problem = appends.map((append, i) => ownerProblem(lasts[i], append)).find((found) => found !== undefined)
  return { facts, problem }
}

/** The key of an event in memory, for the items returned with a refusal. */
const eventOf = (aggregateType: string, aggregateId: string, sequence: number): string =>
  `${aggregateKey(aggregateType, aggregateId)}:${sequence}`

/**
 * Reads the item in the place of the append's first event. If it is this commit's, all of the
 * commit is stored.
 */
async function firstEvent(connection: Connection, append: Append, refused: ReadonlyMap<string, ReadItem>) {
  const at = [append.aggregateType, append.aggregateId, append.expectedSequence + 1] as const
  return refused.get(eventOf(...at)) ?? (await connection.get(connection.tables.events, eventKey(...at)))
}

/** Reads the lease with its checkpoint, the idempotency key, and the generations of each view. */
async function readMetas(connection: Connection, commit: Commit): Promise<readonly ReadItem[]> {
  const { appends, key, checkpoint, views = [] } = commit
  const [first] = appends
  const table = connection.tables.meta
  const keys = [
    ...(checkpoint === undefined ? [] : [consumerKey(checkpoint.name)]),
    ...(key && first ? [keyOfKey(first.aggregateType, first.aggregateId, key.idempotencyKey)] : []),
    ...[...new Set(views.map(({ name }) => name))].map((name) => generationsKey(name, 0)),
  ]
  return (await connection.batchGet(keys.map((one) => ({ table, key: one })))).get(table) ?? []
}

const nameOf = ({ Pk, Sk }: Item | ReadItem): string => JSON.stringify([Pk, Sk])

/** Attributes of an earlier event that an append compares. */
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

/** Returns an error if another aggregate has the same partition. */
export function ownerProblem(item: ReadItem | undefined, { aggregateType, aggregateId }: Append): StoreError | undefined {
  if (item === undefined || isOf(item, aggregateType, aggregateId)) return undefined
  return new StoreError(
    'STORE_FAILED',
    `Events of ${aggregateType} '${aggregateId}' cannot be stored: ${text(item.AggregateType)} '${text(item.AggregateId)}' of another program has the same key in DynamoDB. Use another id.`,
  )
}
