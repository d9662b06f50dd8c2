import type { Position } from '../event-envelope.ts'
import type { Append, Commit, CommitOutcome } from '../store/commit.ts'
import { isWritable } from '../store/generations.ts'
import { isDecidedOn, noEvents } from '../store/head.ts'
import type { CommitTexts } from '../store/texts.ts'
import type { Unstored } from '../store/unstored.ts'
import type { Leases } from './leases.ts'
import type { AggregateRows, Tables } from './tables.ts'

/** Stores one commit, or says what is in its way. Nothing is written before all is checked, and from then on nothing can fail. */
export function applyCommit(
  tables: Tables,
  leases: Leases,
  unstored: Unstored,
  commit: Commit,
  texts: CommitTexts,
): CommitOutcome {
  return repeated(tables, commit) ?? conflict(tables, leases, unstored, commit) ?? write(tables, commit, texts)
}

function repeated(tables: Tables, commit: Commit): CommitOutcome | undefined {
  const first = commit.appends[0]
  if (first === undefined) {
    const { checkpoint } = commit
    const same = checkpoint !== undefined && tables.checkpoints.get(checkpoint.name)?.commitId === commit.id
    return same ? { kind: 'repeated', positions: [] } : undefined
  }
  const stored = tables.aggregate(first.aggregateType, first.aggregateId)?.events[first.expectedSequence]
  if (stored?.commitId !== commit.id) return undefined
  const positions = commit.appends.flatMap(({ aggregateType, aggregateId, expectedSequence, events }) => {
    const rows = tables.aggregate(aggregateType, aggregateId)?.events ?? []
    return rows.slice(expectedSequence, expectedSequence + events.length).map((row) => row.position)
  })
  return { kind: 'repeated', positions }
}

function conflict(tables: Tables, leases: Leases, unstored: Unstored, commit: Commit): CommitOutcome | undefined {
  const { appends, views, key, checkpoint } = commit
  if (checkpoint !== undefined) {
    const { name, fence, expectedPosition } = checkpoint
    const stands = tables.checkpoints.get(name)?.position ?? null
    const moved = expectedPosition !== undefined && expectedPosition !== stands
    if (moved || leases.fence(name) !== fence) return { kind: 'conflict', on: 'fence' }
  }
  const first = appends[0]
  if (key !== undefined && first !== undefined) {
    if (tables.aggregate(first.aggregateType, first.aggregateId)?.keys?.has(key.idempotencyKey)) {
      return { kind: 'conflict', on: 'key' }
    }
  }
  for (const append of appends) {
    const head = tables.aggregate(append.aggregateType, append.aggregateId)?.events.at(-1) ?? noEvents
    if (!isDecidedOn(append, head) || unstored.isBelow(append))
      return { kind: 'conflict', on: 'sequence', actualSequence: head.sequence }
  }
  if (views === undefined) return undefined
  for (const { name, generation } of views) {
    if (!isWritable(tables.viewGenerations(name), generation)) return { kind: 'conflict', on: 'generation' }
  }
  for (const view of views) {
    const version = tables.view(view.name, view.generation, view.id)?.version ?? 0
    if (version !== view.expectedVersion || unstored.isBelowView(view)) return { kind: 'conflict', on: 'view' }
  }
  return undefined
}

function write(tables: Tables, commit: Commit, texts: CommitTexts): CommitOutcome {
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
  texts: CommitTexts['events'][number],
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
