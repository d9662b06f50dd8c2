import type { Position } from '../event-envelope.ts'
import type { Append, CheckpointWrite, Commit, CommitOutcome, ViewWrite } from './commit.ts'
import type { FailedDependencies } from './failed-dependencies.ts'
import { isWritable } from './generations.ts'
import { type Head, isDecidedOn } from './head.ts'
import type { ViewGeneration } from './store.ts'

/**
 * Looks up facts in the database that a commit may conflict with, all as of one moment.
 *
 * Only the functions that `findConflict` needs are called. They are synchronous: where reads are
 * not, read everything that the commit touches first.
 */
export interface CommitFacts {
  /**
   * Positions of the commit's events if it is stored already; empty without a global order.
   *
   * Called only for commits with appends.
   */
  positions(commit: Commit): readonly Position[] | undefined
  checkpoint(name: string): CheckpointFacts
  /** Whether the aggregate of the append has this idempotency key. */
  hasKey(append: Append, idempotencyKey: string): boolean
  /** The last event of the append's aggregate, or `noEvents`. */
  head(append: Append): Head
  /** The generations of a view, as `viewGenerations` returns them. */
  generations(name: string): readonly ViewGeneration[]
  /** Version of the row, 0 if there is none. */
  viewVersion(row: ViewWrite): number
}

/** The stored facts of a checkpoint, `null` where nothing is stored. */
export interface CheckpointFacts {
  /** The valid fence of its lease: taken and not released. */
  readonly fence: number | null
  readonly position: string | null
  /** Id of the commit that moved it last. */
  readonly commitId: string | null
}

/**
 * Returns the conflict of a commit, or `undefined` if the commit may be written.
 *
 * Returns `repeated` if it is stored already. Else the first conflict in this order: fence, key,
 * sequence, generation, view.
 *
 * Call it inside the transaction that writes the commit, or let the database check the same facts
 * when it writes. The object `failed` knows the earlier commits of the batch.
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

/** Returns the conflict of the checkpoint of a commit without appends. */
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
 * Checks all generations before the first row.
 *
 * Rows of one view are usually adjacent: its generations are then read once.
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
