import type { CheckpointWrite, Commit, ViewWrite } from '../store/commit.ts'
import type { SerializedCommit } from '../store/serialize-commit.ts'
import type { TransactionAction } from './client.ts'
import type { Connection } from './connection.ts'
import { condition, update } from './expressions.ts'
import { mayWrite } from './generations.ts'
import { eventItem, indexesOf, snapshotKey, viewItem } from './items.ts'
import { bytesOf, consumerKey, entryKey, keyOfKey } from './keys.ts'

/** One action of a commit, and its subject for error messages. */
export interface Action {
  readonly what: 'checkpoint' | 'key' | 'event' | 'snapshot' | 'generation' | 'view' | 'index value'
  readonly action: TransactionAction
}

/** Index values by row, with keys from `rowOf`. */
export type OldIndexes = ReadonlyMap<string, readonly (readonly [string, string])[]>

/** The key of a row in memory. */
export const rowOf = ({ name, generation, id }: Pick<ViewWrite, 'name' | 'generation' | 'id'>): string =>
  JSON.stringify([name, generation, id])

/**
 * Returns all writes and checks of a commit, each with its condition.
 *
 * The transaction itself checks all conditions.
 */
export function actionsOf(connection: Connection, commit: Commit, texts: SerializedCommit, old: OldIndexes): Action[] {
  const { checkpoint, views = [] } = commit
  return [
    ...(checkpoint === undefined ? [] : [moveCheckpoint(connection, commit.id, checkpoint)]),
    ...rememberKey(connection, commit),
    ...putEvents(connection, commit, texts),
    ...saveSnapshots(connection, commit, texts),
    ...checkGenerations(connection, views),
    ...views.flatMap((write, i) => saveView(connection, write, texts.views[i] ?? 'null', old.get(rowOf(write)) ?? [])),
  ]
}

function moveCheckpoint({ tables }: Connection, commitId: string, checkpoint: CheckpointWrite): Action {
  const { name, position, fence, expectedPosition } = checkpoint
  const stands =
    expectedPosition === undefined
      ? ''
      : expectedPosition === null
        ? ' AND attribute_not_exists(#Position)'
        : ' AND #Position = :expected'
  const mayMove = `#Fence = :fence AND attribute_exists(#Holder) AND (attribute_not_exists(#MovedBy) OR #MovedBy <> :id)${stands}`
  const values = {
    ':position': { S: position },
    ':fence': { N: String(fence) },
    ':id': { S: commitId },
    ...(typeof expectedPosition === 'string' && { ':expected': { S: expectedPosition } }),
  }
  const set = 'SET #Position = :position, #PositionFence = :fence, #MovedBy = :id'
  return {
    what: 'checkpoint',
    action: { Update: { TableName: tables.meta, Key: consumerKey(name), ...update(set, values, mayMove) } },
  }
}

function rememberKey({ tables, keyTtlSeconds }: Connection, { id, appends: [to], key }: Commit): Action[] {
  if (key === undefined || to === undefined) return []
  const { aggregateType, aggregateId, expectedSequence, events } = to
  const now = secondsNow()
  const item = {
    ...keyOfKey(aggregateType, aggregateId, key.idempotencyKey),
    CommandHash: { S: key.commandHash },
    CommitId: { S: id },
    FirstSequence: { N: String(expectedSequence + 1) },
    LastSequence: { N: String(expectedSequence + events.length) },
    ...(Number.isFinite(keyTtlSeconds) && { ExpiresAt: { N: String(now + keyTtlSeconds) } }),
  }
  const isFree = 'attribute_not_exists(#Pk) OR #ExpiresAt <= :now'
  const put = { TableName: tables.meta, Item: item, ...condition(isFree, { ':now': { N: String(now) } }) }
  return [{ what: 'key', action: { Put: put } }]
}

/** DynamoDB deletes expired items up to days later, so readers check the time, too. */
export const secondsNow = (): number => Math.floor(Date.now() / 1000)

function putEvents({ tables }: Connection, { appends }: Commit, { events }: SerializedCommit): Action[] {
  const isFree = condition('attribute_not_exists(#AggregateTypeAndId)')
  return appends.flatMap((append, i) =>
    append.events.map((_, j): Action => {
      const item = eventItem(append, j, events[i]?.[j] ?? { data: '', metadata: '' })
      return { what: 'event', action: { Put: { TableName: tables.events, Item: item, ...isFree } } }
    }),
  )
}

/** `CurrentSnapshot` counts the saves; the Rust crate reads it, too. */
function saveSnapshots({ tables }: Connection, { id, appends }: Commit, { snapshots }: SerializedCommit): Action[] {
  return appends.flatMap(({ aggregateType, aggregateId, expectedSequence, events, snapshot }, i): Action[] => {
    const state = snapshots[i]
    if (snapshot === undefined || state === undefined) return []
    const values = {
      ':type': { S: aggregateType },
      ':id': { S: aggregateId },
      ':commit': { S: id },
      ':sequence': { N: String(expectedSequence + events.length) },
      ':state': { B: bytesOf(state) },
      ':version': { S: snapshot.stateVersion },
      ':none': { N: '0' },
      ':one': { N: '1' },
    }
    const set =
      'SET #AggregateType = :type, #AggregateId = :id, #CurrentSequence = :sequence, #VouchedSequence = :sequence, #CommitId = :commit, #Payload = :state, #StateVersion = :version, ' +
      '#CurrentSnapshot = if_not_exists(#CurrentSnapshot, :none) + :one'
    const key = snapshotKey(aggregateType, aggregateId)
    return [{ what: 'snapshot', action: { Update: { TableName: tables.snapshots, Key: key, ...update(set, values) } } }]
  })
}

/** One check for each view, for any number of its rows: a check costs as much as a write. */
function checkGenerations({ tables }: Connection, views: readonly ViewWrite[]): Action[] {
  const byName = new Map<string, Set<number>>()
  for (const { name, generation } of views.filter(hasGenerations))
    byName.set(name, (byName.get(name) ?? new Set()).add(generation))
  return [...byName].map(([name, generations]) => ({
    what: 'generation',
    action: { ConditionCheck: { TableName: tables.meta, ...mayWrite(name, [...generations]) } },
  }))
}

/** Rows of the package itself (`~…`) are never rebuilt. */
const hasGenerations = ({ name }: ViewWrite): boolean => !name.startsWith('~')

function saveView(
  { tables }: Connection,
  write: ViewWrite,
  payload: string,
  old: readonly (readonly [string, string])[],
): Action[] {
  const { name, generation, id, expectedVersion } = write
  const indexes = indexesOf(write)
  const isExpected =
    expectedVersion === 0
      ? condition('attribute_not_exists(#Pk)')
      : condition('#Version = :version', { ':version': { N: String(expectedVersion) } })
  const { ReturnValuesOnConditionCheckFailure: _, ...withoutTheRow } = isExpected
  const row: Action = {
    what: 'view',
    action: { Put: { TableName: tables.views, Item: viewItem(write, payload, indexes), ...withoutTheRow } },
  }
  const keyOf = ([index, value]: readonly [string, string]) => entryKey(name, generation, index, value, id)
  const kept = new Set(indexes.map((entry) => nameOf(keyOf(entry))))
  const gone = old.filter((entry) => !kept.has(nameOf(keyOf(entry))))
  const added = indexes.filter(([index, value]) => !old.some(([i, v]) => i === index && v === value))
  return [
    row,
    ...gone.map((entry): Action => ({ what: 'index value', action: { Delete: { TableName: tables.views, Key: keyOf(entry) } } })),
    ...added.map((entry): Action => {
      const item = { ...keyOf(entry), ViewId: { S: id }, Value: { S: entry[1] } }
      return { what: 'index value', action: { Put: { TableName: tables.views, Item: item } } }
    }),
  ]
}

/**
 * The key of an entry in memory.
 *
 * Long values may share a key. The new entry then replaces the old one, because a transaction must
 * not name an item twice.
 */
const nameOf = ({ Pk, Sk }: ReturnType<typeof entryKey>): string => JSON.stringify([Pk, Array.from((Sk as { B: Uint8Array }).B)])
