import type { Position } from '../event-envelope.ts'
import type { Append, CheckpointWrite, Commit, CommitOutcome, ViewWrite } from './commit.ts'
import type { FailedDependencies } from './failed-dependencies.ts'
import { isWritable } from './generations.ts'
import { type Head, isDecidedOn } from './head.ts'
import type { ViewGeneration } from './store.ts'

/**
 * Looks up what a database has that a commit could meet, all as of one moment. `findConflict` asks
 * only for what it needs.
 *
 * The lookups are synchronous: where reads are not, read everything that the commit touches first.
 */
export interface CommitFacts {
  /**
   * Positions of the commit's events if they are stored already, under its id; empty without a
   * global order. Asked of commits with appends alone.
   */
  positions(commit: Commit): readonly Position[] | undefined
  checkpoint(name: string): CheckpointFacts
  /** Whether the idempotency key is taken in the append's aggregate. */
  hasKey(append: Append, idempotencyKey: string): boolean
  /** The last event of the append's aggregate, `noEvents` where there is none. */
  head(append: Append): Head
  /** As `viewGenerations` answers. */
  generations(name: string): readonly ViewGeneration[]
  /** Version of the row, 0 when there is none. */
  viewVersion(row: ViewWrite): number
}

/** What is stored under the name of a checkpoint, `null` where there is nothing. */
export interface CheckpointFacts {
  /** The valid fence of its lease: of one that was taken and not released. */
  readonly fence: number | null
  readonly position: string | null
  /** Of the commit that moved it last. */
  readonly commitId: string | null
}

/**
 * Returns what is in the way of a commit, `undefined` when it may be written: `repeated` when it is
 * stored already, else the first conflict of `fence`, `key`, `sequence`, `generation` and `view`.
 *
 * Call it inside the transaction that writes the commit, or let the database check the same once
 * more when it writes. `failed` has noted the commits before it in the batch.
 *
 * @example
 * ```ts
 * import { type CommitFacts, findConflict, noEvents, FailedDependencies } from 'cqrs-es/store'
 *
 * const empty: CommitFacts = {
 *   positions: () => undefined,
 *   checkpoint: () => ({ fence: null, position: null, commitId: null }),
 *   hasKey: () => false,
 *   head: () => noEvents,
 *   generations: () => [],
 *   viewVersion: () => 0,
 * }
 * const append = { aggregateType: 'account', aggregateId: 'acct-1', expectedSequence: 3, events: [] }
 * console.log(findConflict({ id: 'commit-1', appends: [append] }, empty, new FailedDependencies()))
 * // { kind: 'conflict', on: 'sequence', actualSequence: 0 }
 * ```
 */
export function findConflict(commit: Commit, facts: CommitFacts, failed: FailedDependencies): CommitOutcome | undefined {
  const { id, appends, checkpoint } = commit
  const [first] = appends
  if (first !== undefined) {
    const positions = facts.positions(commit)
    if (positions !== undefined) return { kind: 'repeated', positions }
  }
  if (checkpoint !== undefined) {
    const found = facts.checkpoint(checkpoint.name)
    const outcome = first === undefined ? checkpointConflict(id, checkpoint, found) : fenceConflict(checkpoint, found)
    if (outcome !== undefined) return outcome
  }
  if (first !== undefined && commit.key !== undefined && facts.hasKey(first, commit.key.idempotencyKey))
    return { kind: 'conflict', on: 'key' }
  return appendConflict(appends, facts, failed) ?? viewConflict(commit.views ?? [], facts, failed)
}

/** Returns what the checkpoint puts in the way of a commit without appends. */
export const checkpointConflict = (id: string, checkpoint: CheckpointWrite, found: CheckpointFacts): CommitOutcome | undefined =>
  found.commitId === id ? { kind: 'repeated', positions: [] } : fenceConflict(checkpoint, found)

const fenceConflict = ({ fence, expectedPosition }: CheckpointWrite, found: CheckpointFacts): CommitOutcome | undefined =>
  found.fence === fence && (expectedPosition === undefined || expectedPosition === found.position)
    ? undefined
    : { kind: 'conflict', on: 'fence' }

function appendConflict(appends: readonly Append[], facts: CommitFacts, failed: FailedDependencies): CommitOutcome | undefined {
  for (const append of appends) {
    const head = facts.head(append)
    if (!isDecidedOn(append, head) || failed.blocks(append))
      return { kind: 'conflict', on: 'sequence', actualSequence: head.sequence }
  }
  return undefined
}

/**
 * All generations before the first row. Rows of one view usually stand together, and then ask for
 * its generations once.
 */
function viewConflict(views: readonly ViewWrite[], facts: CommitFacts, failed: FailedDependencies): CommitOutcome | undefined {
  let view: string | undefined
  let generations: readonly ViewGeneration[] = []
  for (const { name, generation } of views) {
    if (name !== view) generations = facts.generations(name)
    view = name
    if (!isWritable(generations, generation)) return { kind: 'conflict', on: 'generation' }
  }
  for (const row of views)
    if (facts.viewVersion(row) !== row.expectedVersion || failed.blocksView(row)) return { kind: 'conflict', on: 'view' }
  return undefined
}
