import type { Position } from '../event-envelope.ts'
import type { CheckpointWrite, Commit, CommitOutcome } from '../store/commit.ts'
import { isWritable } from '../store/generations.ts'
import { type Head, isDecidedOn, noEvents } from '../store/head.ts'
import type { ViewGeneration } from '../store/store.ts'
import type { Unstored } from '../store/unstored.ts'
import { joined, keyOf, type Prepared, type Round, viewOf } from './round.ts'

/**
 * What the database found when it could not store a round, as of one moment: one entry per row of the round, in the same order. Nothing was stored.
 */
export interface Facts {
  /** The last event of each root. */
  readonly heads: readonly Head[]
  /** Position of each event that is stored already with the id of its commit, else `null`. */
  readonly positions: readonly (string | null)[]
  /** Whether each idempotency key is taken. */
  readonly keys: readonly boolean[]
  /** Version of each view row, 0 when there is none. */
  readonly views: readonly number[]
  /** All generations of each view of `round.generations`. */
  readonly generations: readonly (readonly ViewGeneration[])[]
  /** Of each checkpoint: the valid fence of its lease, and where it stands. */
  readonly checkpoints: readonly CheckpointFacts[]
}

export interface CheckpointFacts {
  readonly fence: number | null
  readonly position: string | null
  readonly commitId: string | null
}

/** What becomes of the members of a round: an outcome, or `undefined` for those that nothing is in the way of. */
export function decideRound(round: Round, facts: Facts, unstored: Unstored): ReadonlyMap<Prepared, CommitOutcome> {
  const state = new State(round, facts, unstored)
  const outcomes = new Map<Prepared, CommitOutcome>()
  let firstEvent = 0
  for (const member of round.members) {
    const { commit } = member
    const count = commit.appends.reduce((sum, { events }) => sum + events.length, 0)
    const outcome = state.repeated(commit, firstEvent, count) ?? state.conflict(commit)
    firstEvent += count
    if (outcome === undefined) state.apply(commit)
    else outcomes.set(member, unstored.note(commit, outcome))
  }
  return outcomes
}

/** What becomes of a commit of a checkpoint alone, `undefined` when nothing is in its way. */
export function decideCheckpoint(
  { id, checkpoint }: { readonly id: string; readonly checkpoint: CheckpointWrite },
  found: CheckpointFacts,
): CommitOutcome | undefined {
  if (found.commitId === id) return { kind: 'repeated', positions: [] }
  return canMove(checkpoint, found) ? undefined : { kind: 'conflict', on: 'fence' }
}

const canMove = ({ fence, expectedPosition }: CheckpointWrite, found: CheckpointFacts | undefined): boolean =>
  found?.fence === fence && (expectedPosition === undefined || expectedPosition === found.position)

/** What the database has, and what it will have when the members so far are stored. */
class State {
  readonly #positions: Facts['positions']
  readonly #heads: Map<string, Head>
  readonly #keys: Set<string>
  readonly #views: Map<string, number>
  readonly #generations: ReadonlyMap<string, readonly ViewGeneration[]>
  readonly #checkpoints: ReadonlyMap<string, CheckpointFacts | undefined>

  readonly #unstored: Unstored

  constructor(round: Round, facts: Facts, unstored: Unstored) {
    this.#unstored = unstored
    this.#positions = facts.positions
    this.#heads = new Map(round.roots.map(({ t, i }, at) => [joined(t, i), facts.heads[at] ?? noEvents]))
    this.#keys = new Set(round.keys.filter((_, at) => facts.keys[at]).map(({ t, i, k }) => joined(t, i, k)))
    this.#views = new Map(round.views.map(({ n, g, i }, at) => [joined(n, g, i), facts.views[at] ?? 0]))
    this.#generations = new Map(round.generations.map(({ n }, at) => [n, facts.generations[at] ?? []]))
    this.#checkpoints = new Map(round.checkpoints.map(({ n }, at) => [n, facts.checkpoints[at]]))
  }

  repeated({ id, appends, checkpoint }: Commit, firstEvent: number, count: number): CommitOutcome | undefined {
    if (appends.length === 0) {
      const same = checkpoint !== undefined && this.#checkpoints.get(checkpoint.name)?.commitId === id
      return same ? { kind: 'repeated', positions: [] } : undefined
    }
    const positions = this.#positions.slice(firstEvent, firstEvent + count)
    return positions.includes(null) ? undefined : { kind: 'repeated', positions: positions as Position[] }
  }

  conflict({ appends, views = [], key, checkpoint }: Commit): CommitOutcome | undefined {
    if (checkpoint !== undefined && !canMove(checkpoint, this.#checkpoints.get(checkpoint.name)))
      return { kind: 'conflict', on: 'fence' }
    const [first] = appends
    if (key !== undefined && first !== undefined && this.#keys.has(keyOf(first, key.idempotencyKey)))
      return { kind: 'conflict', on: 'key' }
    for (const append of appends) {
      const head = this.#heads.get(joined(append.aggregateType, append.aggregateId)) ?? noEvents
      if (!isDecidedOn(append, head) || this.#unstored.isBelow(append))
        return { kind: 'conflict', on: 'sequence', actualSequence: head.sequence }
    }
    if (views.some(({ name, generation }) => !isWritable(this.#generations.get(name) ?? [], generation)))
      return { kind: 'conflict', on: 'generation' }
    for (const write of views) {
      const version = this.#views.get(viewOf(write)) ?? 0
      if (version !== write.expectedVersion || this.#unstored.isBelowView(write)) return { kind: 'conflict', on: 'view' }
    }
    return undefined
  }

  apply({ id, appends, views = [], key }: Commit): void {
    for (const { aggregateType, aggregateId, expectedSequence, events } of appends)
      this.#heads.set(joined(aggregateType, aggregateId), { sequence: expectedSequence + events.length, commitId: id })
    const [first] = appends
    if (key !== undefined && first !== undefined) this.#keys.add(keyOf(first, key.idempotencyKey))
    for (const write of views) this.#views.set(viewOf(write), write.expectedVersion + 1)
  }
}
