import type { Position } from '../event-envelope.ts'
import type { Append, Commit, CommitOutcome, ViewWrite } from '../store/commit.ts'
import type { FailedDependencies } from '../store/failed-dependencies.ts'
import { type CheckpointFacts, type CommitFacts, findConflict } from '../store/find-conflict.ts'
import { type Head, noEvents } from '../store/head.ts'
import type { ViewGeneration } from '../store/store.ts'
import { joined, keyOf, type Prepared, type Round, viewOf } from './round.ts'

/**
 * The relevant rows as of one moment, if the database could not store a round.
 *
 * Each list has one entry per row of the round, in the same order. Nothing was stored.
 */
export interface RoundFacts {
  /** The last event of each root. */
  readonly heads: readonly Head[]
  /** Position of each event if it is already stored with the id of its commit, else `null`. */
  readonly positions: readonly (string | null)[]
  /** Whether each idempotency key is taken. */
  readonly keys: readonly boolean[]
  /** Version of each view row, 0 if there is none. */
  readonly views: readonly number[]
  /** All generations of each view of `round.generations`. */
  readonly generations: readonly (readonly ViewGeneration[])[]
  /** For each checkpoint: the valid fence of its lease, and the stored checkpoint. */
  readonly checkpoints: readonly CheckpointFacts[]
}

/** Returns the outcome of each member of a round that conflicts with the facts. */
export function findConflicts(round: Round, found: RoundFacts, failed: FailedDependencies): ReadonlyMap<Prepared, CommitOutcome> {
  const facts = new FactsOfRound(round, found)
  const outcomes = new Map<Prepared, CommitOutcome>()
  for (const member of round.members) {
    const outcome = findConflict(member.commit, facts, failed)
    if (outcome === undefined) facts.apply(member.commit)
    else outcomes.set(member, failed.note(member.commit, outcome))
  }
  return outcomes
}

/** The facts, advanced by the members that are already found to fit. */
class FactsOfRound implements CommitFacts {
  /** Positions of the events of each commit. */
  readonly #positions = new Map<Commit, readonly (string | null)[]>()
  readonly #heads: Map<string, Head>
  readonly #keys: Set<string>
  readonly #views: Map<string, number>
  readonly #generations: ReadonlyMap<string, readonly ViewGeneration[]>
  readonly #checkpoints: ReadonlyMap<string, CheckpointFacts | undefined>

  constructor(round: Round, found: RoundFacts) {
    let from = 0
    for (const { commit } of round.members) {
      const to = commit.appends.reduce((sum, { events }) => sum + events.length, from)
      this.#positions.set(commit, found.positions.slice(from, to))
      from = to
    }
    this.#heads = new Map(round.roots.map(({ t, i }, at) => [joined(t, i), found.heads[at] ?? noEvents]))
    this.#keys = new Set(round.keys.filter((_, at) => found.keys[at]).map(({ t, i, k }) => joined(t, i, k)))
    this.#views = new Map(round.views.map(({ n, g, i }, at) => [joined(n, g, i), found.views[at] ?? 0]))
    this.#generations = new Map(round.generations.map(({ n }, at) => [n, found.generations[at] ?? []]))
    this.#checkpoints = new Map(round.checkpoints.map(({ n }, at) => [n, found.checkpoints[at]]))
  }

  positions(commit: Commit): readonly Position[] | undefined {
    const positions = this.#positions.get(commit) ?? [null]
    return positions.includes(null) ? undefined : (positions as readonly Position[])
  }

  checkpoint(name: string): CheckpointFacts {
    return this.#checkpoints.get(name) ?? { fence: null, position: null, commitId: null }
  }

  hasKey(append: Append, idempotencyKey: string): boolean {
    return this.#keys.has(keyOf(append, idempotencyKey))
  }

  head({ aggregateType, aggregateId }: Append): Head {
    return this.#heads.get(joined(aggregateType, aggregateId)) ?? noEvents
  }

  generations(name: string): readonly ViewGeneration[] {
    return this.#generations.get(name) ?? []
  }

  viewVersion(row: ViewWrite): number {
    return this.#views.get(viewOf(row)) ?? 0
  }

  apply({ id, appends, views = [], key }: Commit): void {
    for (const { aggregateType, aggregateId, expectedSequence, events } of appends)
      this.#heads.set(joined(aggregateType, aggregateId), { sequence: expectedSequence + events.length, commitId: id })
    const [first] = appends
    if (key !== undefined && first !== undefined) this.#keys.add(keyOf(first, key.idempotencyKey))
    for (const write of views) this.#views.set(viewOf(write), write.expectedVersion + 1)
  }
}
