import type { Append, Commit, CommitOutcome, ViewWrite } from './commit.ts'

/**
 * Remembers the results of commits of a batch that were not stored.
 *
 * A later commit that builds on such a result is a conflict, even if its `expectedSequence` or
 * `expectedVersion` matches by chance because another writer stored something else there.
 *
 * @example
 * ```ts
 * import { type Commit, type CommitFacts, type CommitOutcome, FailedDependencies, findConflict } from 'cqrs-es/store'
 *
 * export function inOrder(commits: readonly Commit[], facts: CommitFacts, write: (commit: Commit) => CommitOutcome) {
 *   const failed = new FailedDependencies()
 *   return commits.map((commit) => failed.note(commit, findConflict(commit, facts, failed) ?? write(commit)))
 * }
 * ```
 */
export class FailedDependencies {
  /** Result of a commit → whether the last commit that would make it was stored. */
  readonly #made = new Map<string, boolean>()

  /** Notes the outcome of a commit, and returns it. */
  note<O extends CommitOutcome>(commit: Commit, outcome: O): O {
    const stored = outcome.kind === 'stored' || outcome.kind === 'repeated'
    if (stored && this.#made.size === 0) return outcome
    for (const append of commit.appends) this.#made.set(afterAppend(append), stored)
    for (const write of commit.views ?? []) this.#made.set(afterWrite(write), stored)
    return outcome
  }

  /** Whether these events would follow events that were not stored. */
  blocks({ aggregateType, aggregateId, expectedSequence }: Append): boolean {
    return this.#made.size > 0 && this.#made.get(place(aggregateType, aggregateId, expectedSequence)) === false
  }

  /** Whether this row would follow one that was not stored. */
  blocksView({ name, generation, id, expectedVersion }: ViewWrite): boolean {
    return this.#made.size > 0 && this.#made.get(place(name, generation, id, expectedVersion)) === false
  }
}

const afterAppend = ({ aggregateType, aggregateId, expectedSequence, events }: Append) =>
  place(aggregateType, aggregateId, expectedSequence + events.length)

const afterWrite = ({ name, generation, id, expectedVersion }: ViewWrite) => place(name, generation, id, expectedVersion + 1)

/** Unambiguous: no name has a NUL character, and views have one part more than aggregates. */
const place = (...parts: readonly (string | number)[]): string => parts.join('\0')
