import { StoreError } from '../errors.ts'
import type { Position } from '../event-envelope.ts'
import type { Append, Commit, CommitOutcome, ViewWrite } from '../store/commit.ts'
import { FailedDependencies } from '../store/failed-dependencies.ts'
import { findConflict } from '../store/find-conflict.ts'
import { type SerializedCommit, serializeCommit } from '../store/serialize-commit.ts'
import type { Connection } from './connection.ts'
import { toStoreError } from './errors.ts'
import { factsOf } from './facts.ts'
import * as statements from './statements.ts'

/** A commit with its JSON texts, or with the outcome if it has none. */
interface Prepared {
  readonly commit: Commit
  readonly texts: SerializedCommit | CommitOutcome
}

/**
 * Stores the batch in one transaction.
 *
 * If one commit makes SQLite refuse a row, the transaction is rolled back and each commit is sent
 * alone, with the same id. So the usual case needs no savepoints.
 */
export async function appendBatch(connection: Connection, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const batch = commits.map(prepare)
  if (batch.every(({ texts }) => 'kind' in texts)) return batch.map(({ texts }) => texts as CommitOutcome)
  return store(connection, batch, () => new FailedDependencies())
}

function prepare(commit: Commit): Prepared {
  try {
    return { commit, texts: serializeCommit(commit) }
  } catch (cause) {
    return { commit, texts: { kind: 'failed', certain: true, cause } }
  }
}

/** `before` returns the state of the commits before the batch; each attempt calls it again. */
async function store(
  connection: Connection,
  batch: readonly Prepared[],
  before: () => FailedDependencies,
): Promise<CommitOutcome[]> {
  let stage: 'begin' | 'rows' | 'commit' = 'begin'
  try {
    return await connection.write(() => {
      stage = 'rows'
      const failed = before()
      const outcomes = batch.map(({ commit, texts }) =>
        failed.note(commit, 'kind' in texts ? texts : applyCommit(connection, failed, commit, texts)),
      )
      stage = 'commit'
      return outcomes
    })
  } catch (cause) {
    const { code } = toStoreError(cause)
    if (batch.length > 1 && reached(stage, 'rows') && ofOneMember.has(code)) return storeEach(connection, batch)
    const certain = !reached(stage, 'commit') || isSureAtCommit(code)
    return batch.map(({ texts }) => ('kind' in texts ? texts : { kind: 'failed', certain, cause }))
  }
}

async function storeEach(connection: Connection, batch: readonly Prepared[]): Promise<CommitOutcome[]> {
  const failed = new FailedDependencies()
  const outcomes: CommitOutcome[] = []
  for (const one of batch)
    for (const outcome of await store(connection, [one], () => failed)) outcomes.push(failed.note(one.commit, outcome))
  return outcomes
}

/** Errors that the rows of a single commit may have caused. */
const ofOneMember: ReadonlySet<string> = new Set(['STORE_FAILED', 'STORE_LIMIT', 'STORE_FULL'])

/**
 * Whether an error of COMMIT means that nothing is in the file.
 *
 * An I/O error does not: it may occur after the last byte was written.
 */
export const isSureAtCommit = (code: string): boolean => ['STORE_BUSY', 'STORE_FULL', 'STORE_READ_ONLY'].includes(code)

/** A function, because TypeScript does not see that a callback has changed `stage`. */
const reached = (stage: string, wanted: string): boolean => stage === wanted

/**
 * Stores one commit within the open transaction, or returns its conflict.
 *
 * Everything is checked before anything is written.
 */
const applyCommit = (
  connection: Connection,
  failed: FailedDependencies,
  commit: Commit,
  texts: SerializedCommit,
): CommitOutcome => findConflict(commit, factsOf(connection), failed) ?? write(connection, commit, texts)

export function write(connection: Connection, commit: Commit, texts: SerializedCommit): CommitOutcome {
  const positions: Position[] = []
  commit.appends.forEach((append, i) => {
    positions.push(...writeEvents(connection, commit.id, append, texts.events[i] ?? []))
    const state = texts.snapshots[i]
    if (append.snapshot === undefined || state === undefined) return
    const last = append.expectedSequence + append.events.length
    const { aggregateType, aggregateId, snapshot } = append
    connection.run(statements.saveSnapshot, aggregateType, aggregateId, last, state, snapshot.stateVersion, last)
  })
  writeKey(connection, commit)
  commit.views?.forEach((view, i) => {
    writeView(connection, view, texts.views[i] ?? 'null')
  })
  if (commit.checkpoint !== undefined) {
    const { name, position, fence } = commit.checkpoint
    connection.run(statements.saveCheckpoint, name, position, fence, commit.id)
  }
  return { kind: 'stored', positions }
}

function writeEvents(
  connection: Connection,
  commitId: string,
  append: Append,
  texts: SerializedCommit['events'][number],
): Position[] {
  const { aggregateType, aggregateId, expectedSequence, events } = append
  return events.map(({ type, version, recordedAt }, i) => {
    const { data = '', metadata = '' } = texts[i] ?? {}
    const sequence = expectedSequence + 1 + i
    const values = [aggregateType, aggregateId, sequence, type, version, data, metadata, recordedAt, commitId]
    const { changes, lastInsertRowid } = connection.run(statements.insertEvent, ...values)
    if (Number(changes) === 1) return String(lastInsertRowid) as Position
    throw new StoreError(
      'STORE_FAILED',
      'SQLite did not insert an event: a trigger of the database skipped it. Nothing was stored. Look for a trigger on events.',
    )
  })
}

function writeKey(connection: Connection, { id, appends: [first], key }: Commit): void {
  if (key === undefined || first === undefined) return
  const { aggregateType, aggregateId, expectedSequence, events } = first
  const range = [expectedSequence + 1, expectedSequence + events.length]
  connection.run(statements.insertKey, aggregateType, aggregateId, key.idempotencyKey, key.commandHash, id, ...range)
}

function writeView(connection: Connection, write: ViewWrite, payload: string): void {
  const { name, generation, id, expectedVersion, sequence, indexes } = write
  connection.run(statements.saveView, name, generation, id, expectedVersion + 1, payload, sequence ?? null)
  if (expectedVersion > 0) connection.run(statements.deleteViewIndexes, name, generation, id)
  if (write.view === null) return
  for (const { index, value } of indexes ?? []) connection.run(statements.insertViewIndex, name, generation, id, index, value)
}
