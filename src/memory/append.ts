import type { Position } from '../event-envelope.ts'
import type { Append, Commit, CommitOutcome } from '../store/commit.ts'
import type { FailedDependencies } from '../store/failed-dependencies.ts'
import { type CommitFacts, findConflict } from '../store/find-conflict.ts'
import type { SerializedCommit } from '../store/serialize-commit.ts'
import type { AggregateRows, Tables } from './tables.ts'

/**
 * Stores one commit, or returns its conflict.
 *
 * Everything is checked before anything is written, and writing cannot fail.
 */
export const applyCommit = (
  tables: Tables,
  facts: CommitFacts,
  failed: FailedDependencies,
  commit: Commit,
  texts: SerializedCommit,
): CommitOutcome => findConflict(commit, facts, failed) ?? write(tables, commit, texts)

function write(tables: Tables, commit: Commit, texts: SerializedCommit): CommitOutcome {
  const positions: Position[] = []
  commit.appends.forEach((append, at) => {
    const aggregate = tables.aggregateToWrite(append.aggregateType, append.aggregateId)
    writeEvents(tables, aggregate, commit.id, append, texts.events[at] ?? [], positions)
    const state = texts.snapshots[at]
    if (append.snapshot !== undefined && state !== undefined) {
      const version = (aggregate.snapshot?.version ?? 0) + 1
      aggregate.snapshot = { sequence: aggregate.events.length, stateVersion: append.snapshot.stateVersion, version, state }
    }
    if (at > 0 || commit.key === undefined) return
    aggregate.keys ??= new Map()
    aggregate.keys.set(commit.key.idempotencyKey, {
      commandHash: commit.key.commandHash,
      commitId: commit.id,
      firstSequence: append.expectedSequence + 1,
      lastSequence: aggregate.events.length,
    })
  })
  commit.views?.forEach(({ name, generation, id, expectedVersion, sequence, indexes }, at) => {
    const byIndex = new Map(indexes?.map(({ index, value }) => [index, value]))
    tables.setView(name, generation, id, {
      version: expectedVersion + 1,
      view: texts.views[at] ?? 'null',
      sequence,
      indexes: byIndex,
    })
  })
  if (commit.checkpoint !== undefined) {
    const { name, position, fence } = commit.checkpoint
    tables.checkpoints.set(name, { position, fence, commitId: commit.id })
  }
  return { kind: 'stored', positions }
}

function writeEvents(
  tables: Tables,
  aggregate: AggregateRows,
  commitId: string,
  { aggregateType, aggregateId, events }: Append,
  texts: SerializedCommit['events'][number],
  positions: Position[],
): void {
  for (let i = 0; i < events.length; i++) {
    const event = events[i]
    const text = texts[i]
    if (event === undefined || text === undefined) continue
    const row = {
      position: String(tables.log.length + 1) as Position,
      aggregateType,
      aggregateId,
      sequence: aggregate.events.length + 1,
      type: event.type,
      version: event.version,
      data: text.data,
      metadata: text.metadata,
      commitId,
      recordedAt: event.recordedAt,
    }
    aggregate.events.push(row)
    tables.log.push(row)
    positions.push(row.position)
  }
}
