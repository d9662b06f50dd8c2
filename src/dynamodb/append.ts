import { StoreError } from '../errors.ts'
import type { Commit, CommitOutcome } from '../store/commit.ts'
import { FailedDependencies } from '../store/failed-dependencies.ts'
import { findConflict } from '../store/find-conflict.ts'
import { isDecidedOn, noEvents } from '../store/head.ts'
import { type SerializedCommit, serializeCommit } from '../store/serialize-commit.ts'
import { actionsOf, type OldIndexes, rowOf } from './actions.ts'
import type { ReadItem } from './client.ts'
import type { Connection } from './connection.ts'
import { toStoreError } from './errors.ts'
import { headProjection, ownerProblem, readFacts } from './facts.ts'
import { addIfFirst } from './first-events.ts'
import { headOf, indexesOf, number, readIndexes, text } from './items.ts'
import { aggregateKey, aggregateOf, eventKey } from './keys.ts'
import { checkActions, checkEvents } from './limits.ts'
import { readRows } from './views.ts'

/**
 * Stores a batch: in list order if commits touch the same things, else concurrently.
 *
 * Such things are aggregates, view rows and checkpoints.
 */
export function appendBatch(connection: Connection, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const failed = new FailedDependencies()
  const tails = new Map<string, Promise<unknown>>()
  const outcomes = commits.map((commit) => {
    const touched = touchedBy(commit)
    const before = Promise.all(touched.map((name) => tails.get(name)))
    const outcome = before.then(async () => {
      const one = await connection.semaphore.run(() => appendOne(connection, commit, failed))
      return failed.note(commit, one)
    })
    for (const name of touched) tails.set(name, outcome)
    return outcome
  })
  return Promise.all(outcomes)
}

/** Idempotency keys belong to an aggregate, so they need no entry of their own. */
const touchedBy = ({ appends, views = [], checkpoint }: Commit): string[] => [
  ...appends.map(({ aggregateType, aggregateId }) => `aggregate ${aggregateKey(aggregateType, aggregateId)}`),
  ...views.map((write) => `row ${rowOf(write)}`),
  ...(checkpoint === undefined ? [] : [`checkpoint ${checkpoint.name}`]),
]

/** Never rejects. An error that is caught here means that nothing was sent. */
async function appendOne(connection: Connection, commit: Commit, failed: FailedDependencies): Promise<CommitOutcome> {
  try {
    const texts = serializeCommit(commit, connection.payloadFormat)
    checkEvents(commit, texts)
    return await send(connection, commit, texts, failed)
  } catch (cause) {
    return { kind: 'failed', certain: true, cause: toStoreError(cause) }
  }
}

const buildsOnUnstored = ({ appends, views = [] }: Commit, failed: FailedDependencies): boolean =>
  appends.some((append) => failed.blocks(append)) || views.some((write) => failed.blocksView(write))

/**
 * Sends a commit until it is stored or a conflict is found.
 *
 * The SDK gives each transaction a token, which makes its own retries safe. The commit's id cannot
 * be that token: for ten minutes, DynamoDB would answer `stored` whatever the second transaction
 * contains.
 */
async function send(
  connection: Connection,
  commit: Commit,
  texts: SerializedCommit,
  failed: FailedDependencies,
): Promise<CommitOutcome> {
  // Another writer may have filled the place of an event that was not stored.
  const isDoomed = buildsOnUnstored(commit, failed)
  for (const waiting = connection.waiting(); ; ) {
    const actions = actionsOf(connection, commit, texts, await readOldIndexes(connection, commit))
    checkActions(actions)
    if (actions.length === 0) return { kind: 'stored', positions: [] }
    let refused: ReadonlyMap<number, ReadItem> = new Map()
    if (!isDoomed && (await hasNoGap(connection, commit))) {
      const written = await connection.write(actions.map(({ action }) => action))
      if (written.kind === 'failed') return { kind: 'failed', certain: written.certain, cause: written.error }
      if (written.kind === 'done') {
        remember(connection, commit)
        return { kind: 'stored', positions: [] }
      }
      refused = written.items
    }
    const outcome = await whyRefused(connection, commit, refused, failed)
    if (outcome !== undefined) return outcome
    if (!(await waiting.pause())) {
      const cause = new StoreError(
        'STORE_BUSY',
        'DynamoDB refused the commit repeatedly without a visible conflict. Nothing was stored. Retry later.',
      )
      return { kind: 'failed', certain: true, cause }
    }
  }
}

/**
 * Finds the conflict. If that fails, the outcome is uncertain: the commit may be stored already.
 */
async function whyRefused(
  connection: Connection,
  commit: Commit,
  refused: ReadonlyMap<number, ReadItem>,
  failed: FailedDependencies,
): Promise<CommitOutcome | undefined> {
  try {
    const { facts, problem } = await readFacts(connection, commit, eventsIn(refused))
    return problem === undefined ? findConflict(commit, facts, failed) : { kind: 'failed', certain: true, cause: problem }
  } catch (cause) {
    return { kind: 'failed', certain: false, cause }
  }
}

/** The events returned with a refusal, by key. */
function eventsIn(refused: ReadonlyMap<number, ReadItem>): ReadonlyMap<string, ReadItem> {
  const events = [...refused.values()].filter((item) => item.AggregateIdSequence !== undefined)
  return new Map(events.map((item) => [`${text(item.AggregateTypeAndId)}:${number(item.AggregateIdSequence)}`, item]))
}

/**
 * Whether the event that each append was decided on exists.
 *
 * A condition only sees the item it writes, and a check of another item would turn a lone event
 * into a transaction. Events are never deleted, so an earlier read is as good, and a process that
 * has read or written the aggregate needs none.
 */
async function hasNoGap(connection: Connection, { appends }: Commit): Promise<boolean> {
  for (const append of appends) {
    const { aggregateType, aggregateId, expectedSequence } = append
    const known = connection.knownHeads.get(aggregateOf(aggregateType, aggregateId)) ?? noEvents
    // If a later event exists, the put itself is refused.
    if (expectedSequence < known.sequence || isDecidedOn(append, known)) continue
    const key = eventKey(aggregateType, aggregateId, expectedSequence)
    const item = await connection.get(connection.tables.events, key, headProjection)
    if (item === undefined) return false
    const problem = ownerProblem(item, append)
    if (problem !== undefined) throw problem
    if (!isDecidedOn(append, headOf(item))) return false
    if (connection.foreignWriters === true)
      await addIfFirst(connection, await connection.get(connection.tables.events, eventKey(aggregateType, aggregateId, 1)))
  }
  return true
}

/** Reads the index values of rows to be replaced. A row of another version is a conflict anyway. */
async function readOldIndexes(connection: Connection, { views = [] }: Commit): Promise<OldIndexes> {
  const old = new Map<string, readonly (readonly [string, string])[]>()
  const unknown = views.filter((write) => {
    if (write.expectedVersion === 0) return false
    const known = connection.knownIndexes.get(rowOf(write))
    if (known?.version !== write.expectedVersion) return true
    old.set(rowOf(write), known.indexes)
    return false
  })
  const rows = await readRows(connection, unknown)
  unknown.forEach((write, i) => {
    const row = rows[i]
    if (row !== undefined) old.set(rowOf(write), readIndexes(row))
  })
  return old
}

function remember(connection: Connection, { id, appends, views = [] }: Commit): void {
  for (const { aggregateType, aggregateId, expectedSequence, events } of appends)
    connection.knownHeads.set(aggregateOf(aggregateType, aggregateId), {
      sequence: expectedSequence + events.length,
      commitId: id,
    })
  for (const write of views)
    connection.knownIndexes.set(rowOf(write), { version: write.expectedVersion + 1, indexes: indexesOf(write) })
}
