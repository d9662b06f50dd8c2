import type { Append, Commit, CommitOutcome, ViewWrite } from './commit.ts'

/**
 * Remembers, while a batch is worked through in list order, what those of its commits would have made that were not stored. What builds on that is a conflict, also where its
 * `expectedSequence` or `expectedVersion` fits by chance because another writer has put something else in that place.
 *
 * @example
 * ```ts
 * import { type Commit, type CommitOutcome, Unstored } from 'cqrs-es/store'
 *
 * export function inOrder(commits: readonly Commit[], storeOne: (commit: Commit) => CommitOutcome): CommitOutcome[] {
 *   const unstored = new Unstored()
 *   return commits.map((commit) => {
 *     const lost = commit.appends.some((append) => unstored.isBelow(append))
 *     return unstored.note(commit, lost ? { kind: 'conflict', on: 'sequence' } : storeOne(commit))
 *   })
 * }
 * ```
 */
export class Unstored {
  /** By what a commit makes, whether the last one that would make it was stored. */
  readonly #made = new Map<string, boolean>()

  /** Takes note of what became of a commit. Gives the outcome back. */
  note<O extends CommitOutcome>(commit: Commit, outcome: O): O {
    const stored = outcome.kind === 'stored' || outcome.kind === 'repeated'
    if (stored && this.#made.size === 0) return outcome
    for (const append of commit.appends) this.#made.set(afterAppend(append), stored)
    for (const write of commit.views ?? []) this.#made.set(afterWrite(write), stored)
    return outcome
  }

  /** Whether these events would follow some that were not stored. */
  isBelow({ aggregateType, aggregateId, expectedSequence }: Append): boolean {
    return this.#made.get(place(aggregateType, aggregateId, expectedSequence)) === false
  }

  /** Whether this row would follow one that was not stored. */
  isBelowView({ name, generation, id, expectedVersion }: ViewWrite): boolean {
    return this.#made.get(place(name, generation, id, expectedVersion)) === false
  }
}

const afterAppend = ({ aggregateType, aggregateId, expectedSequence, events }: Append) =>
  place(aggregateType, aggregateId, expectedSequence + events.length)

const afterWrite = ({ name, generation, id, expectedVersion }: ViewWrite) => place(name, generation, id, expectedVersion + 1)

/** No name holds a NUL character; a view's place has one part more than an aggregate's. */
const place = (...parts: readonly (string | number)[]): string => parts.join('\0')
